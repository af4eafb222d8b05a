"""The WebUI's checkpoints as `BaseModelFile`: which one is chosen, which there are, how a shipped one gets there."""
from __future__ import annotations

import itertools
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from modules import sd_models, shared

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported, NoCheckpoint
from personal_avatar.storage import sha256_of, write_bytes
from personal_avatar.training.families.detect import Shapes, detect, read_shapes

PLACEHOLDER = "@TEXT_ENCODER@"
TEXT_ENCODER = Path("diffusers") / "tokenizer"
LATENT_FACTOR = 8


def selected() -> BaseModelFile:
    """The checkpoint that the next picture will be made with, loaded already or not. Raises `NoCheckpoint`."""
    chosen = sd_models.checkpoint_aliases.get(shared.opts.sd_model_checkpoint)
    try:
        return describe(chosen or sd_models.select_checkpoint())
    except FileNotFoundError:
        raise NoCheckpoint("The WebUI has found no checkpoint.") from None


def find(wanted: str) -> BaseModelFile:
    """A checkpoint of the WebUI's list by title, name, hash or path, nothing else. Raises `BaseNotFound`."""
    info = sd_models.checkpoint_aliases.get(wanted) or _by_path(Path(wanted))
    if info is None or not Path(info.filename).is_file():
        raise BaseNotFound(
            f"The WebUI knows no checkpoint {wanted!r}.", "Refresh the WebUI's list and choose from it."
        )
    return describe(info)


def describe(info: Any) -> BaseModelFile:
    """A `CheckpointInfo` as our noun, without reading weights or computing hashes. Raises `BaseUnsupported`."""
    path = Path(info.filename)
    config = path.with_suffix(".yaml")
    loaded = _loaded(path)
    family = _family_of(loaded) if loaded is not None else detect(_shapes(path), path.name)
    params = _params(config)
    prediction = _prediction(loaded, params)
    return BaseModelFile(
        path=path, title=info.title, family=family, sha256=info.sha256 or "", prediction=prediction,
        config=config if config.is_file() else None, native_px=_native_px(family, prediction, params),
    )


def install(source: Path, target: Path) -> BaseModelFile:
    """Copy a shipped checkpoint and its yaml into `target` and put it on the WebUI's list.

    A file of that name and content is used again, a different one is left alone and ours gets another name.
    """
    weights = next(source.glob("*.safetensors"))
    path = _free_or_same(weights, target)
    config = weights.with_suffix(".yaml").read_text(encoding="utf-8")
    encoder = (source / TEXT_ENCODER).absolute()
    write_bytes(path.with_suffix(".yaml"), config.replace(PLACEHOLDER, encoder.as_posix()).encode("utf-8"))
    if not path.exists():
        write_bytes(path, weights.read_bytes())
    return describe(enlist(path))


def enlist(path: Path) -> Any:
    """The `CheckpointInfo` of one file, put on the WebUI's list if need be; the list, which others read, stays."""
    info = _by_path(path)
    if info is None:
        info = sd_models.CheckpointInfo(str(path))
        info.register()
        info.calculate_shorthash()
    return info


def _by_path(path: Path) -> Any | None:
    known = list(sd_models.checkpoints_list.values())
    return next((info for info in known if os.path.abspath(info.filename) == os.path.abspath(path)), None)


def _free_or_same(weights: Path, target: Path) -> Path:
    wanted = sha256_of(weights)
    names = itertools.chain([weights.name], (f"{weights.stem}-{n}{weights.suffix}" for n in itertools.count(2)))
    return next(path for path in map(target.joinpath, names) if not path.exists() or sha256_of(path) == wanted)


def _loaded(path: Path) -> Any | None:
    """The model in memory when it is this file's; never starts loading one."""
    model = sd_models.model_data.sd_model
    same = model is not None and os.path.abspath(model.sd_checkpoint_info.filename) == os.path.abspath(path)
    return model if same else None


def _family_of(model: Any) -> Family:
    for family, marks in ((Family.SDXL, model.is_sdxl), (Family.SD2, model.is_sd2), (Family.SD1, model.is_sd1)):
        if marks:
            return family
    raise BaseUnsupported("The loaded checkpoint is neither Stable Diffusion 1 or 2 nor SDXL.")


def _shapes(path: Path) -> Shapes:
    if path.suffix != ".safetensors":
        raise NoCheckpoint(f"{path.name} is not loaded yet; its kind is seen only then.", "Wait until it is loaded.")
    if not path.is_file():
        raise NoCheckpoint(f"{path} is gone.")
    return _shapes_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _shapes_at(path: Path, changed_ns: int) -> Shapes:
    return read_shapes(path)


def _params(config: Path) -> dict[str, Any]:
    """`model.params` of the yaml beside a checkpoint, empty when there is none."""
    if not config.is_file():
        return {}
    import yaml

    try:
        return dict(yaml.safe_load(config.read_text(encoding="utf-8"))["model"]["params"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}


def _prediction(model: Any | None, params: dict[str, Any]) -> str:
    written = getattr(model, "parameterization", None) or params.get("parameterization", "eps")
    return "v_prediction" if written == "v" else "epsilon"


def _native_px(family: Family, prediction: str, params: dict[str, Any]) -> int:
    """Side of the pictures that the checkpoint was trained on: its yaml's `image_size`, else what its family has."""
    if isinstance(params.get("image_size"), int):
        return int(params["image_size"]) * LATENT_FACTOR
    if family is Family.SD2:
        return 768 if prediction == "v_prediction" else 512
    return 1024 if family is Family.SDXL else 512
