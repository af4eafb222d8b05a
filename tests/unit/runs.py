"""Finished runs of portraits, as jobs leave them, without painting."""
from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from personal_avatar.domain import Portrait, to_json
from personal_avatar.jobs.events import Done, EventWriter, Log, SampleMade
from personal_avatar.jobs.states import State
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.studio import Studio
from personal_avatar.studio.works import CREATE

from tests.unit.api.house import GOOD

INFOTEXT = "a portrait of anna <lora:anna:1>\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, Seed: {seed}"


@lru_cache
def drawn(number: int) -> np.ndarray:
    """A shipped drawing at half its size, read once."""
    return load_picture(GOOD[number])[::2, ::2].copy()


def finished_run(
    studio: Studio, count: int = 3, elsewhere: Path | None = None, state: State = State.SUCCEEDED, avatar_id: str = ""
) -> str:
    """A finished run of portraits; number 1 is restored. `elsewhere`: where a host has saved the pictures."""
    job = studio.jobs.create(CREATE, {}, title="Anna", user_id="local", avatar_id=avatar_id)
    folder = studio.jobs.folder(job.id)
    emit, made = EventWriter(folder), []
    for number in range(count):
        drawing = drawn(number % len(GOOD))
        home = elsewhere or folder / "artifacts"
        path = save_picture(drawing, home / f"{number:04d}.png", INFOTEXT.format(seed=number))
        emit(SampleMade(str(path), number, "a portrait", 0.9 - number / 10))
        scores = {"sharpness": 0.5 + number / 100, "quality": 0.2 * number}
        portrait = Portrait(path, number, "a portrait, \u2028 in oil", "oil", 0.9 - number / 10, scores, 1)
        if number == 1:
            twin = folder / "artifacts" / f"{number:04d}-restored.png"
            save_picture(drawing, twin, INFOTEXT.format(seed=number))
            portrait = replace(portrait, restored=twin, scores={**scores, "restored": 0.95})
        made.append(portrait)
    emit(Log("Told."))
    result = {"model_id": "", "images": [to_json(portrait) for portrait in made], "checkpoint": "x", "seconds": 1.0}
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "artifacts" / "portraits.json").write_text(json.dumps(result))
    studio.jobs.move(job.id, State.RUNNING)
    emit(Done(result))
    if state is not State.RUNNING:
        studio.jobs.move(job.id, state)
    return job.id
