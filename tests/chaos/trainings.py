"""Real trainings of the shipped tiny checkpoint, for faults that come between their steps."""
from __future__ import annotations

import random
import tempfile
import threading
from functools import cache
from pathlib import Path

import numpy as np
from personal_avatar.domain import Avatar, Method, to_json
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.training.planning.task import TrainTask

from tests.chaos.program import ROOT
from tests.chaos.scene import Broken, Scene
from tests.shipped import tiny

TRAIN = "train"
ASSETS = ROOT / "extension" / "personal_avatar" / "assets"
PLAN = {
    "steps": 32, "save_count": 8, "score_pictures": 1, "sample_steps": 1, "rank": 2, "conv_rank": 0, "batch_size": 1,
    "must_rise": False, "resolution_px": 64,
}
# Faults that a training has to survive with the same weights as if nothing had happened.
SURVIVED = ("kill_worker", "kill_both", "kill_program", "terminate_worker", "pause_and_kill", "clock_jump")
PATIENCE_S = 400.0
_one_reference = threading.Lock()


def task(data: Path) -> TrainTask:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    photos = tuple(ASSETS / "samples" / f"{number:02d}.jpg" for number in (1, 2, 3, 4, 5))
    return TrainTask(
        avatar, data / "avatar", photos, tiny(), Method.LORA, PLAN, data / "Lora", ROOT / ".cache" / "weights"
    )


def submitted(scene: Scene) -> Job:
    return scene.submit("training", TRAIN, to_json(task(scene.data)))


def weights(scene: Scene, job: Job) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file((scene.store.view(job.id).result or {})["files"][0])


@cache
def _reference() -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="avatar-chaos-") as folder:
        scene = Scene(Path(folder), random.Random(0), PATIENCE_S)
        try:
            job = submitted(scene)
            scene.start()
            if scene.at_rest(job) is not State.SUCCEEDED:
                raise Broken(f"an undisturbed training fails: {scene.store.status(job.id).error}")
            return weights(scene, job)
        finally:
            scene.clear()


def same(scene: Scene, job: Job) -> None:
    """Bit for bit what an undisturbed training makes; raises `Broken`."""
    with _one_reference:
        wanted = _reference()
    found = weights(scene, job)
    if found.keys() != wanted.keys() or any(not np.array_equal(found[name], wanted[name]) for name in wanted):
        raise Broken("the weights differ from those of an undisturbed training")
