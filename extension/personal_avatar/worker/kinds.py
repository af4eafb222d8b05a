"""Kind of job -> its work. A new kind is one function and one line in `KINDS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from personal_avatar.domain import ONE_PHOTO, from_json
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.training import libraries

Work = Callable[[Path, EventWriter, Control], dict[str, Any]]
Kind = Callable[[dict[str, Any]], Work]


def train(payload: dict[str, Any]) -> Work:
    """`payload` is a `training.task.TrainTask` as JSON."""
    libraries.load(libraries.RUN)
    from personal_avatar.training.planning.presets import is_tiny
    from personal_avatar.training.planning.shortage import advised
    from personal_avatar.training.planning.task import TrainTask
    from personal_avatar.training.run import run

    task = from_json(TrainTask, payload)

    def start(folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
        limit_threads(1 if is_tiny(task.base) else 0)
        with advised(task):
            return run(task, folder, emit, control)

    return start


def caption(payload: dict[str, Any]) -> Work:
    """`payload` is a `captions.task.CaptionTask` as JSON."""
    from personal_avatar.captions.task import CaptionTask

    task = from_json(CaptionTask, payload)

    def start(folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
        from personal_avatar.worker.describing import describe

        limit_threads(0)
        return describe(task, folder, emit, control)

    return start


def one_photo(payload: dict[str, Any]) -> Work:
    """`payload` is a `training.task.OnePhotoTask` as JSON."""
    from personal_avatar.training.planning.presets import is_tiny
    from personal_avatar.training.planning.task import OnePhotoTask

    task = from_json(OnePhotoTask, payload)

    def start(folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
        from personal_avatar.worker.one_photo import measure

        limit_threads(1 if is_tiny(task.training.base) else 0)
        return measure(task, folder, emit, control)

    return start


def limit_threads(otherwise: int) -> None:
    """As many threads for torch as OMP_NUM_THREADS says, else `otherwise`, else (0) torch's own choice.

    Tiny models get one: threads that wait for each other on busy cores are many times slower than one alone.
    """
    import torch

    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wanted) if wanted.isdigit() else otherwise
    if threads > 0:
        torch.set_num_threads(threads)


def can_pause(kind: str, payload: dict[str, Any]) -> bool:
    """Whether the work can stop between two steps and go on later."""
    from personal_avatar.training.planning.task import TrainTask

    return kind == "train" and from_json(TrainTask, payload).can_pause


KINDS: dict[str, Kind] = {"train": train, "caption": caption, ONE_PHOTO: one_photo}
