"""The WebUI's list of checkpoints: which one is chosen, which there are, how one of ours gets there."""
from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from modules import sd_models, shared

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseNotFound, NoCheckpoint
from personal_avatar.problems import stated
from personal_avatar.storage import sha256_of, write_bytes
from personal_avatar.webui.describe import describe

PLACEHOLDER = "@TEXT_ENCODER@"
TEXT_ENCODER = Path("diffusers") / "tokenizer"


def selected() -> BaseModelFile:
    """The checkpoint that the next picture will be made with, loaded already or not. Raises `NoCheckpoint`."""
    chosen = sd_models.checkpoint_aliases.get(shared.opts.sd_model_checkpoint)
    try:
        return describe(chosen or sd_models.select_checkpoint())
    except FileNotFoundError:
        raise stated(NoCheckpoint, "base.none") from None


def find(wanted: str) -> BaseModelFile:
    """A checkpoint of the WebUI's list by title, name, hash or path, nothing else. Raises `BaseNotFound`."""
    info = sd_models.checkpoint_aliases.get(wanted) or _by_path(Path(wanted))
    if info is None or not Path(info.filename).is_file():
        raise stated(BaseNotFound, "base.not_listed", "remedy.refresh", wanted=repr(wanted))
    return describe(info)


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
    """The `CheckpointInfo` of one file, put on the WebUI's list if need be; the list, which others read, stays.

    Its title is final: the hash that the WebUI puts behind the name is computed here. Raises `BaseNotFound`.
    """
    if not path.is_file():
        raise stated(BaseNotFound, "base.nothing", place=path)
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
