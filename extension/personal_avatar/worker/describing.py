"""A job that describes photos: each becomes a caption, in the order in which they were given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from personal_avatar.captions.finishing import finished
from personal_avatar.captions.lint import Subject
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import BLIP, describer
from personal_avatar.captions.task import CaptionTask, file_name
from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Progress, Stage
from personal_avatar.params import validated
from personal_avatar.photos.read import read_photo


def describe(task: CaptionTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """{"captions": {name: text}, "skipped": {name: why}}. The copies of the photos are removed at the end, however it
    comes. Raises `WeightsError`, `Cancelled`."""
    try:
        return _described(task, folder / "photos", emit, control)
    finally:
        shutil.rmtree(folder / "photos", ignore_errors=True)


def _described(task: CaptionTask, photos: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    emit(Stage("caption"))
    settings: CaptionSettings = validated(CaptionSettings, task.settings)
    subject = Subject(task.trigger, task.class_noun)
    say = describer(task.tagger, task.weights_folder, settings, _device() if task.tagger == BLIP else "cpu")
    captions: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for number, name in enumerate(task.names):
        control.check()
        try:
            captions[name] = finished(say(read_photo(photos / file_name(number))[1]), subject, settings.mend)
        except (UnreadablePhoto, FileTooLarge) as error:
            skipped[name] = error.message.replace(file_name(number), name)
        emit(Progress(number + 1, len(task.names)))
    return {"captions": captions, "skipped": skipped}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
