"""A training on drawings, where the recogniser for drawn characters is there: it judges everything."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
from drawn_models import CCIP_NAME, make_ccip
from personal_avatar.domain import Avatar, BaseModelFile, Method
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.training.plan import TrainTask
from personal_avatar.training.run import run

SAMPLES = Path(personal_avatar.__file__).parent / "assets" / "samples"
QUICK = {
    "steps": 2, "save_count": 1, "score_pictures": 1, "sample_steps": 1, "rank": 2, "resolution_px": 64,
    "batch_size": 1, "must_rise": False, "prior_weight": 0.0,
}


@pytest.fixture
def task(tmp_path: Path, miniature: BaseModelFile, face_weights: Path) -> TrainTask:
    weights = tmp_path / "weights"
    shutil.copytree(face_weights, weights, ignore=lambda folder, names: [n for n in names if not n.endswith("onnx")])
    make_ccip(weights)
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    photos = tuple(SAMPLES / f"{number:02d}.jpg" for number in range(1, 6))
    return TrainTask(
        avatar, tmp_path / "avatar", photos, miniature, Method.LORA, dict(QUICK), tmp_path / "Lora", weights,
        photo_settings={"other_people": "off"},
    )


@pytest.mark.slow
def test_the_avatar_is_measured_by_the_recogniser_for_drawings(task: TrainTask, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    result: dict[str, Any] = run(task, folder, EventWriter(folder), Control(folder))
    assert result["recogniser"] == CCIP_NAME
    assert len(result["reference"]) == 768
    assert -1 <= result["likeness"]["ceiling"] <= 1
