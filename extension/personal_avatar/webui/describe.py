"""A checkpoint of the WebUI as `BaseModelFile`: what it is, loaded or not, and with which VAE the WebUI uses it."""
from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from modules import sd_models, sd_vae, shared

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.domain.families import NATIVE_PX, NATIVE_PX_OF_SD2_EPSILON
from personal_avatar.errors import BaseUnsupported, NoCheckpoint
from personal_avatar.problems import stated
from personal_avatar.training.families import detect
from personal_avatar.training.families.files import Shapes, is_one_by_one, read_shapes
from personal_avatar.training.families.sidecar import side_px

NOISE_SCHEDULE, ZERO_TERMINAL_SNR = "sd_noise_schedule", "Zero Terminal SNR"


def describe(info: Any) -> BaseModelFile:
    """A `CheckpointInfo` as our noun, without reading weights or computing hashes. Raises `BaseUnsupported`."""
    path = Path(info.filename)
    config = path.with_suffix(".yaml")
    loaded = _loaded(path)
    shapes, params = _shapes(path, loaded), _params(config)
    family = _family_of(loaded) if loaded is not None else detect.detect(shapes, path.name)
    prediction, zero_terminal_snr = _prediction(loaded, shapes, params)
    return BaseModelFile(
        path=path, title=info.title, family=family, sha256=info.sha256 or "", prediction=prediction,
        config=config if config.is_file() else None, native_px=_native_px(family, prediction, params),
        vae=vae_for(path), zero_terminal_snr=zero_terminal_snr,
    )


def vae_for(path: Path) -> Path | None:
    """The file that the WebUI puts in place of the VAE inside a checkpoint: as --vae-path, the checkpoint's own
    settings, a file beside it or the setting "SD VAE" say, in the WebUI's order."""
    chosen = sd_vae.resolve_vae(str(path)).vae
    return Path(chosen).absolute() if chosen else None


def _loaded(path: Path) -> Any | None:
    """The model in memory when it is this file's; never starts loading one."""
    model = sd_models.model_data.sd_model
    same = model is not None and os.path.abspath(model.sd_checkpoint_info.filename) == os.path.abspath(path)
    return model if same else None


def _family_of(model: Any) -> Family:
    for family, marks in ((Family.SDXL, model.is_sdxl), (Family.SD2, model.is_sd2), (Family.SD1, model.is_sd1)):
        if marks:
            return family
    raise stated(BaseUnsupported, "base.neither")


def _shapes(path: Path, loaded: Any | None) -> Shapes:
    """What is in the file. Of a loaded one the WebUI knows it: a .ckpt is not unpickled again, a file may be gone."""
    if loaded is not None and (not is_one_by_one(path) or not path.is_file()):
        return {}
    if not path.is_file():
        raise stated(NoCheckpoint, "base.gone", path=path)
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


def _prediction(loaded: Any | None, shapes: Shapes, params: dict[str, Any]) -> tuple[str, bool]:
    """("epsilon" | "v_prediction" | "", zero terminal SNR)."""
    loaded_as = loaded.parameterization if loaded is not None else ""
    said, zero_terminal_snr = detect.prediction(shapes, params or None, loaded_as)
    chosen = said == "v_prediction" and getattr(shared.opts, NOISE_SCHEDULE) == ZERO_TERMINAL_SNR
    return said, zero_terminal_snr or chosen


def _native_px(family: Family, prediction: str, params: dict[str, Any]) -> int:
    """Side of the pictures that the checkpoint was trained on: its yaml's `image_size`, else what its family has."""
    if said := side_px(params):
        return said
    is_small = family is Family.SD2 and prediction != "v_prediction"
    return NATIVE_PX_OF_SD2_EPSILON if is_small else NATIVE_PX[family]
