"""The WebUI's configuration beside a checkpoint: the yaml of the same name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported
from personal_avatar.naming import first_line
from personal_avatar.problems import stated

CELL_PX = 8
CELLS = range(4, 257)  # a side that a checkpoint may have been trained on


def sidecar_of(base: BaseModelFile) -> Path:
    """Where the yaml is, if there is one."""
    return base.config or base.path.with_suffix(".yaml")


def read_params(base: BaseModelFile) -> dict[str, Any]:
    """`model.params` of the yaml beside the checkpoint; empty when there is none. Raises `BaseUnsupported`."""
    import yaml

    path = sidecar_of(base)
    if not path.is_file():
        return {}
    try:
        return params_in(path)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise stated(BaseUnsupported, "base.yaml", "remedy.mend", file=path.name, cause=first_line(error)) from None


def params_in(path: Path) -> dict[str, Any]:
    """`model.params` of a yaml. Raises `OSError`, `yaml.YAMLError`; `KeyError`, `TypeError` or `ValueError` for what is
    none."""
    return dict(_parsed(path.read_text(encoding="utf-8"))["model"]["params"])


@lru_cache(maxsize=8)
def _parsed(written: str) -> Any:
    """Of the same text once: a page asks several times whenever it is refreshed. Nobody may change it."""
    import yaml

    return yaml.safe_load(written)


def side_px(params: dict[str, Any]) -> int:
    """`image_size`, which is in cells of the latent picture; 0 where there is none that can be believed."""
    cells = params.get("image_size")
    return cells * CELL_PX if type(cells) is int and cells in CELLS else 0


def unet_params(params: dict[str, Any]) -> dict[str, Any]:
    """Of the UNet: ldm calls its place `unet_config`, sgm `network_config`."""
    return _params_at(params, "unet_config") or _params_at(params, "network_config")


def cross_width(params: dict[str, Any]) -> int:
    """How wide what the UNet's cross-attentions read is, by the yaml; 0 where it does not say. Some have a number for
    each level."""
    said = unet_params(params).get("context_dim")
    widths: list[Any] = said if isinstance(said, list) else [said]
    is_one = bool(widths) and all(type(width) is int and width == widths[0] for width in widths)
    return widths[0] if is_one else 0


def encoder_params(params: dict[str, Any], number: int) -> dict[str, Any]:
    """Of the text encoder: ldm has one in `cond_stage_config`, sgm a list in `conditioner_config`."""
    models = _params_at(params, "conditioner_config").get("emb_models")
    if isinstance(models, list) and number < len(models):
        return mapping(mapping(models[number]).get("params"))
    return _params_at(params, "cond_stage_config")


def encoder_folder(params: dict[str, Any], shipped: Path) -> Path | None:
    """A local folder that the yaml names as the text encoder's; `shipped` for the place-holder of our own yaml."""
    version = str(encoder_params(params, 0).get("version", ""))
    if version == "@TEXT_ENCODER@":
        return shipped
    return Path(version) if version and Path(version).is_dir() else None


def mapping(found: Any) -> dict[str, Any]:
    """What stands at a place of the yaml, if it is a table; else an empty one."""
    return dict(found) if isinstance(found, dict) else {}


def _params_at(params: dict[str, Any], place: str) -> dict[str, Any]:
    return mapping(mapping(params.get(place)).get("params"))
