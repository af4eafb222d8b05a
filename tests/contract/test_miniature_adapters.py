"""Files of random weights are in the layout that diffusers and transformers know; the standard ones of true size."""
from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch
from miniature_adapters import CLIP_WIDTH, NAMES, make_adapter, make_clip_vision, make_face_pack, make_identitynet
from miniatures import make
from personal_avatar.benchmarks.identity_layout import adapter_shapes, attention_widths
from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES
from personal_avatar.domain import Family
from personal_avatar.faces.registry import find_pack
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from safetensors.torch import load_file
from torch.nn import Module

pytestmark = pytest.mark.slow

# In megabytes, as the pages of InstantX/InstantID (fp32) and h94/IP-Adapter-FaceID (fp16) show them.
PUBLISHED = {
    (AdapterKind.INSTANTID, Family.SDXL): 1690 / 2,
    (AdapterKind.FACEID, Family.SD1): 96.7,
    (AdapterKind.FACEID, Family.SDXL): 1070,
    (AdapterKind.FACEID_PLUS, Family.SD1): 157,
    (AdapterKind.FACEID_PLUS_V2, Family.SDXL): 1490,
    (AdapterKind.FACEID_PORTRAIT, Family.SD1): 64.6,
    (AdapterKind.FACEID_PORTRAIT, Family.SDXL): 750,
}


@pytest.fixture(scope="module")
def unets(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Module]:
    made = {family: make(family, tmp_path_factory.mktemp(family.value)) for family in (Family.SD1, Family.SDXL)}
    return {family: registry.load(base, compute.choose("fp32"), 64).unet for family, base in made.items()}


@pytest.mark.parametrize(("kind", "family"), PUBLISHED)
def test_the_standard_sizes_are_those_of_the_published_files(kind: AdapterKind, family: Family) -> None:
    shapes = adapter_shapes(kind, STANDARD_SIZES[family])
    assert 2 * sum(map(prod, shapes.values())) / 1e6 == pytest.approx(PUBLISHED[kind, family], rel=4e-3)


def test_the_attentions_of_sdxl_stand_in_the_order_down_up_middle() -> None:
    assert attention_widths(STANDARD_SIZES[Family.SDXL]) == [640] * 8 + [1280] * 100 + [640] * 12 + [1280] * 20


@pytest.mark.parametrize(("kind", "family"), NAMES, ids=NAMES.values())
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_diffusers_takes_every_miniature_adapter(
    unets: dict[Family, Module], kind: AdapterKind, family: Family, suffix: str, tmp_path: Path
) -> None:
    """It raises when a tensor is missing, unknown or of another shape."""
    path = make_adapter(kind, family, tmp_path, suffix=suffix)
    unet = unets[family]
    weights = _nested(path)
    unet._load_ip_adapter_weights([weights])  # type: ignore[operator]
    lora = unet._load_ip_adapter_loras([weights])  # type: ignore[operator]
    assert bool(lora) == any("lora" in name for name in weights["ip_adapter"])
    asked = sum(1 for name in unet.attn_processors if name.endswith("attn2.processor"))  # type: ignore[union-attr]
    assert sum(1 for name in weights["ip_adapter"] if name.endswith("to_k_ip.weight")) == asked


def _nested(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    if path.suffix == ".bin":
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    found: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(path).items():
        root, rest = name.split(".", 1)
        found[root][rest] = tensor
    return found


@pytest.mark.parametrize("half", [False, True])
def test_the_identitynet_fits_the_unet_of_the_sdxl_miniature(
    unets: dict[Family, Module], half: bool, tmp_path: Path
) -> None:
    from diffusers import ControlNetModel

    path = make_identitynet(tmp_path, half=half)
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16 if half else torch.float32}
    net, unet = ControlNetModel.from_pretrained(tmp_path, torch_dtype=torch.float32), unets[Family.SDXL]
    added = {"text_embeds": torch.randn(1, 128), "time_ids": torch.randn(1, 6)}
    states = torch.randn(1, 16, 160)
    picture = torch.rand(1, 3, 64, 64)
    down, middle = net(
        torch.randn(1, 4, 8, 8), 5, states, picture, added_cond_kwargs=added, return_dict=False
    )
    assert all(float(residual.detach().abs().mean()) > 1e-3 for residual in (*down, middle))
    unet.set_attn_processor(_plain())  # type: ignore[operator]
    unet.encoder_hid_proj = None  # type: ignore[assignment]
    unet.config.encoder_hid_dim_type = None  # type: ignore[union-attr]
    made = unet(
        torch.randn(1, 4, 8, 8), 5, states, added_cond_kwargs=added, down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample
    assert made.isfinite().all()


def _plain() -> object:
    from diffusers.models.attention_processor import AttnProcessor2_0

    return AttnProcessor2_0()


def test_transformers_reads_the_picture_encoder(tmp_path: Path) -> None:
    from transformers import CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection.from_pretrained(make_clip_vision(tmp_path))
    states = encoder(torch.rand(1, 3, 224, 224), output_hidden_states=True).hidden_states
    assert states[-2].shape == (1, 257, CLIP_WIDTH)
    assert not torch.equal(states[-2], states[-1])


def test_the_packs_are_found_by_name(weights_folder: Path, tmp_path: Path) -> None:
    folder = make_face_pack(tmp_path, weights_folder.parent / "insightface" / "buffalo_s")
    for pack, recogniser in (("antelopev2", "glintr100.onnx"), ("buffalo_l", "w600k_r50.onnx")):
        found = find_pack(folder / pack)
        assert found is not None and found.recogniser.name == recogniser


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    one, same, other = (
        load_file(make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path / str(number), seed=seed))
        for number, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
