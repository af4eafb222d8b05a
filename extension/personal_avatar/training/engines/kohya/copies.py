"""Pickled checkpoints and VAEs, as sd-scripts is handed them: copies of their tensors in safetensors.

It would unpickle them plainly: only where the program that wrote them is installed, and running whatever is written in
them, also what our own reader passes over (pickles.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from personal_avatar.domain import BaseModelFile
from personal_avatar.training.families.files import Weights, is_one_by_one, read_weights
from personal_avatar.training.families.sidecar import sidecar_of
from personal_avatar.training.files import write_tensors
from personal_avatar.training.planning.counts import AVERAGED

FOLDER_NAME = "copies"


def handed(base: BaseModelFile, folder: Path) -> BaseModelFile:
    """The checkpoint with the files that sd-scripts reads: what is no pickle where it lies, copies below `folder`."""
    path = _place(base.path, folder / FOLDER_NAME / "checkpoint")
    vae = _place(base.vae, folder / FOLDER_NAME / "vae") if base.vae else None
    return replace(base, path=path, vae=vae, config=sidecar_of(base))


def most_bytes(base: BaseModelFile) -> int:
    """Of the copies, at most."""
    return sum(path.stat().st_size for path in (base.path, base.vae) if path is not None and not is_one_by_one(path))


def _place(path: Path, folder: Path) -> Path:
    return path if is_one_by_one(path) else folder / f"{path.stem}.safetensors"


@contextmanager
def copied(base: BaseModelFile, folder: Path) -> Iterator[None]:
    """Within, the copies that `handed` names are there. Raises `BaseNotFound`, `BaseUnsupported`."""
    copy = handed(base, folder)
    try:
        for path, place in ((base.path, copy.path), (base.vae, copy.vae)):
            if path is not None and place is not None and place != path:
                write_tensors(place, _apart(read_weights(path)))
        yield
    finally:
        shutil.rmtree(folder / FOLDER_NAME, ignore_errors=True)


def _apart(weights: Weights) -> Weights:
    """Each in memory of its own; those of the average (EMA), which nobody trains, are left out. Takes them out of
    `weights`, for two of each would be too much."""
    taken = ((name, weights.pop(name)) for name in list(weights))
    return {name: one.clone().contiguous() for name, one in taken if not name.startswith(AVERAGED)}
