"""Which network a file holds, told by the names and shapes in it; nothing of the file but its header is read.

Widths of the published files are known (768: SD 1.x, 2048: SDXL), but the structure decides, so that files of other
widths are recognised as well. Only what the tensors cannot tell is taken from the file's name.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.domain import Family
from personal_avatar.domain.families import OF_CROSS_ATTENTIONS, OF_WIDTH
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.problems import stated

Shapes = Mapping[str, tuple[int, ...]]

EMBEDDING = 512  # numbers that a recogniser of insightface says about a face
ID_TOKENS = 4  # of FaceID; portrait adapters have 16
KOLORS_CLIP_WIDTH = 1024
SAFETENSORS = ".safetensors"
SUFFIXES = (SAFETENSORS, ".bin", ".pth", ".pt", ".ckpt")
_SDXL_ONLY = ("add_embedding.", "label_emb.")
NAMES = {"sdxl": Family.SDXL, "xl": Family.SDXL, "sd15": Family.SD1, "sd1": Family.SD1, "15": Family.SD1}
_ADAPTER = re.compile(r"ip_adapter\.(\d+)\.to_k_ip\.weight$")
_LORA = re.compile(r"^lora_|\.lora_(down|up|A|B)\.|_lora\.(down|up)\.|lora_linear_layer|\.hada_|\.lokr_")


@dataclass(frozen=True)
class Adapter:
    """`family`: None when neither the number of cross-attentions, nor the width of the tokens, nor the name tells.
    `widths`: of the cross-attentions that it is made for, in rising order."""

    kind: AdapterKind
    family: Family | None
    widths: tuple[int, ...]


@dataclass(frozen=True)
class IdentityNet:
    """A ControlNet for SDXL in diffusers' layout. `told`: how surely names say that it is InstantID's: 2 by its own
    name or by the place where it is published, 1 by a folder above it only, 0 not at all."""

    told: int


@dataclass(frozen=True)
class ClipVision:
    """The half of CLIP that sees, in the layout of transformers. `width`: 1280 for ViT-H.

    SigLIP has the same names but no embedding of the class.
    """

    width: int


@dataclass(frozen=True)
class Other:
    """Something else. `what`: in words, as "a LoRA"."""

    what: str


Found = Adapter | IdentityNet | ClipVision | Other


def read_shapes(path: Path) -> Shapes:
    """Names and shapes of a file of any of `SUFFIXES`. Raises `WeightsCorrupt`, also when it is not there."""
    try:
        if path.suffix.lower() != SAFETENSORS:
            return _pickled(path)
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise _corrupt(path, error) from None
    except OSError as error:
        raise _corrupt(path, error) from None


def _pickled(path: Path) -> Shapes:
    from personal_avatar.pickles import read_contents

    try:
        return read_contents(path)
    except BaseUnsupported as error:
        raise _corrupt(path, error.message) from None


def _corrupt(path: Path, reason: object) -> WeightsCorrupt:
    return stated(
        WeightsCorrupt, "failure.unreadable_file", "remedy.download_again", file=path.name, cause=reason, path=path,
    )


def recognised(shapes: Shapes, path: Path, telling: int = 3) -> Found:
    """What a file is. The names of the file and of its folders are looked at, the last `telling` parts of `path`."""
    if any(name.startswith("image_proj.") for name in shapes):
        return _adapter(shapes, path)
    if "vision_model.embeddings.class_embedding" in shapes:
        return ClipVision(_outputs(shapes, "vision_model.embeddings.patch_embedding.weight"))
    if _is_control_net(shapes):
        return _control_net(shapes, path, min(telling, 3))
    return Other(_other(shapes))


def wanted_adapter(found: Found, path: Path) -> Adapter:
    """`found` if it is an adapter for faces. Raises `BaseUnsupported` that says what the file is instead."""
    if isinstance(found, Adapter):
        return found
    what = {
        IdentityNet: "a ControlNet for SDXL", ClipVision: "a CLIP that sees pictures",
    }.get(type(found)) or getattr(found, "what", "something else")
    raise stated(BaseUnsupported, "failure.no_adapter", "remedy.adapter", file=path.name, content=what)


def _adapter(shapes: Shapes, path: Path) -> Found:
    numbers = [int(match[1]) for name in shapes if (match := _ADAPTER.search(name))]
    if not numbers:
        return Other("an IP-Adapter without cross-attentions of Stable Diffusion")
    kind = _kind(shapes, path)
    if isinstance(kind, Other):
        return kind
    width = _inputs(shapes, f"ip_adapter.{numbers[0]}.to_k_ip.weight")
    family = Family.SDXL if kind is AdapterKind.INSTANTID else _family(len(numbers), width, path)
    widths = sorted(_outputs(shapes, name) for name in shapes if _ADAPTER.search(name))
    return Adapter(kind, family, tuple(widths))


def _kind(shapes: Shapes, path: Path) -> AdapterKind | Other:
    if "image_proj.latents" in shapes:
        seen = _inputs(shapes, "image_proj.proj_in.weight")
        return AdapterKind.INSTANTID if seen == EMBEDDING else Other("an IP-Adapter Plus for whole pictures")
    if _inputs(shapes, "image_proj.proj.0.weight") != EMBEDDING or "image_proj.norm.weight" not in shapes:
        return Other("an IP-Adapter for whole pictures")
    name = _plain(path.stem)
    if any(name.startswith("image_proj.perceiver_resampler.") for name in shapes):
        if _inputs(shapes, "image_proj.perceiver_resampler.proj_in.weight") == KOLORS_CLIP_WIDTH:
            return Other("an IP-Adapter FaceID for Kolors")
        return AdapterKind.FACEID_PLUS_V2 if "plusv2" in name else AdapterKind.FACEID_PLUS
    if _outputs(shapes, "image_proj.proj.2.weight") == ID_TOKENS * _outputs(shapes, "image_proj.norm.weight"):
        return AdapterKind.FACEID
    return AdapterKind.FACEID_PORTRAIT_UNNORM if "unnorm" in name else AdapterKind.FACEID_PORTRAIT


def _family(layers: int, width: int, path: Path) -> Family | None:
    """By the number of layers, then the width, then the file's name; SD 2 has as many layers as SD 1."""
    if OF_WIDTH.get(width) is Family.SD2:
        return Family.SD2
    named = next((family for word, family in NAMES.items() if word in _words(path.stem)), None)
    return OF_CROSS_ATTENTIONS.get(layers) or OF_WIDTH.get(width) or named


def _inputs(shapes: Shapes, name: str) -> int:
    shape = shapes.get(name, ())
    return shape[1] if len(shape) == 2 else 0


def _outputs(shapes: Shapes, name: str) -> int:
    return (*shapes.get(name, ()), 0)[0]


def _is_control_net(shapes: Shapes) -> bool:
    marks = ("controlnet_cond_embedding.", "input_hint_block.", "control_model.input_hint_block.")
    return any(name.startswith(marks) for name in shapes)


def _control_net(shapes: Shapes, path: Path, telling: int) -> Found:
    if not any(name.removeprefix("control_model.").startswith(_SDXL_ONLY) for name in shapes):
        return Other("a ControlNet for SD 1 or 2")
    if any(name.startswith("control_model.") for name in shapes):
        return Other("a ControlNet for SDXL in the layout of LDM")  # InstantID was never published so
    return IdentityNet(_says_instantid(path, telling))


def _says_instantid(path: Path, telling: int) -> int:
    """The published file is InstantID/ControlNetModel/diffusion_pytorch_model.safetensors; users rename it."""
    own, *folders = [_plain(part) for part in reversed(path.parts[-telling:])]
    published = path.parent.name == "ControlNetModel" and path.stem == "diffusion_pytorch_model"
    beside = published and any(path.parent.parent.glob("ip-adapter*"))
    if beside or "instant" in own or "identitynet" in own:
        return 2
    above = any("instantid" in name or "identitynet" in name for name in folders)
    return 2 if above and published else int(above)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower().replace("sd1.5", "sd15"))


def _starts(*beginnings: str) -> Callable[[Shapes], bool]:
    return lambda shapes: any(name.startswith(beginnings) for name in shapes)


_OTHERS: tuple[tuple[str, Callable[[Shapes], bool]], ...] = (
    ("a LoRA", lambda shapes: any(_LORA.search(name) for name in shapes)),
    ("a checkpoint", _starts("model.diffusion_model.")),
    ("PhotoMaker", _starts("id_encoder.", "lora_weights.")),
    ("PuLID", _starts("id_adapter.", "id_adapter_attn_layers.", "pulid_")),
    ("an adapter for Flux", _starts("double_blocks.", "single_blocks.")),
    ("a T2I-Adapter", _starts("body.", "adapter.body.")),
    ("a UNet", _starts("down_blocks.", "input_blocks.")),
    ("a VAE", _starts("first_stage_model.", "encoder.down")),
    ("an embedding", _starts("emb_params", "string_to_param", "clip_l", "clip_g")),
    ("a network that sees pictures otherwise than CLIP", _starts("vision_model.")),
    ("a CLIP in the layout of open_clip", _starts("visual.")),
)


def _other(shapes: Shapes) -> str:
    return next((what for what, holds in _OTHERS if holds(shapes)), "of an unknown kind")
