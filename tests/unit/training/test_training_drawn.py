"""A training on drawings, where the recogniser for drawn characters is there: it judges everything."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import personal_avatar
import pytest
from drawn_models import CCIP_NAME, make_ccip
from personal_avatar.domain import Avatar, BaseModelFile, Method
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.photos.prepare import reference_embedding
from personal_avatar.training.data.photos import checked
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.run import _open

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

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
    (tmp_path / "job").mkdir()
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    photos = tuple(SAMPLES / f"{number:02d}.jpg" for number in range(1, 6))
    return TrainTask(
        avatar, tmp_path / "avatar", photos, miniature, Method.LORA, dict(QUICK), tmp_path / "Lora", weights,
        photo_settings={"other_people": "off"},
    )


def test_the_training_is_measured_by_the_recogniser_for_drawings(task: TrainTask, tmp_path: Path) -> None:
    """Likeness, reference and card all come from this one analyser."""
    work = _open(task, tmp_path / "job", EventWriter(tmp_path / "job"), Control(tmp_path / "job"))
    assert work.analyser.name == CCIP_NAME
    report = checked(work)
    assert len(report.accepted) == 5
    assert reference_embedding(report, work.analyser).shape == (768,)


def test_the_user_may_have_it_otherwise(task: TrainTask, tmp_path: Path) -> None:
    task = replace(task, photo_settings={"look": "photo"})
    work = _open(task, tmp_path / "job", EventWriter(tmp_path / "job"), Control(tmp_path / "job"))
    assert work.analyser.name == "sface-2021dec"
