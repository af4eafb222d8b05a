"""How much of an unseen character a training recovers, measured by the project's own training, end to end.

Each character is drawn eleven times, moving freely, as photos are; the trainer keeps three pictures for the scores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from . import models
from .characters import random_character, random_shot
from .drawing import draw
from .samples import HELD_OUT_SEED

SUBJECTS_SEED = HELD_OUT_SEED + 2_000
PICTURES = 11
SIZE_PX = 512


def draw_subject(seed: int, folder: Path) -> str:
    """Eleven PNG files of one unseen character; returns its class noun."""
    folder.mkdir(parents=True, exist_ok=True)
    character = random_character(seed)
    for number in range(PICTURES):
        shot = random_shot(seed * 100 + number, style=("shaded", "soft3d")[number % 2])
        Image.fromarray(draw(character, shot, SIZE_PX).picture).save(folder / f"{number:02d}.png")
    return character.sex


@dataclass(frozen=True)
class Wanted:
    """What is tried: a method, and settings (`key=value`) that differ from the preset for small checkpoints."""

    method: str = "lora"
    settings: tuple[str, ...] = ()


def measure_subject(seed: int, folder: Path, checkpoint: Path, wanted: Wanted) -> dict[str, Any]:
    """The document that `personal-avatar train --json` prints.

    Raises RuntimeError with the end of its output when the training fails.
    """
    noun = draw_subject(seed, folder / "pictures")
    command = [sys.executable, "-m", "personal_avatar", "train", "--photos", str(folder / "pictures"), "--json"]
    command += [
        "--name",
        f"Unseen {seed}",
        "--class",
        noun,
        "--checkpoint",
        str(checkpoint),
        "--data",
        str(folder / "data"),
        "--method",
        wanted.method,
        *(("--set", *wanted.settings) if wanted.settings else ()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(models.ASSETS.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(
            f"training on drawings of character {seed} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
        )
    return json.loads(done.stdout)


def measure(count: int, folder: Path, checkpoint: Path, wanted: Wanted) -> list[dict[str, Any]]:
    """Likeness of `count` unseen characters, one after the other."""
    results = []
    for seed in range(SUBJECTS_SEED, SUBJECTS_SEED + count):
        document = measure_subject(seed, folder / str(seed), checkpoint, wanted)
        numbers = {name: document.get(name) for name in ("likeness", "leakage", "prompt_following", "seconds")}
        results.append({"character": seed, **numbers})
    return results
