"""What a training's pictures need of the host, and datasets for trainers elsewhere."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import from_json
from personal_avatar.errors import InvalidSettings, UpscalerMissing
from personal_avatar.jobs.events import Log
from personal_avatar.jobs.states import State
from personal_avatar.photos import kohya
from personal_avatar.storage import sha256_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.training.planning.plan import ENLARGED, ORIGINS
from personal_avatar.training.planning.task import TrainTask
from PIL import Image

from tests.unit.api.house import GOOD, DrawingHost, build_studio

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

ASKED = {"upscaler": "Squares", "look": "photo", "min_sharpness": 0, "other_people": "off"}
REQUEST = TrainRequest("Anna", (), "woman", consent="she agreed", plan={"resolution_px": 512}, photo_settings=ASKED)


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """With a host whose upscaler makes squares of pixels."""

    def upscale(self: DrawingHost, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        if name != "Squares":
            raise UpscalerMissing(f"The upscaler {name} is not installed.")
        return image.repeat(factor, axis=0).repeat(factor, axis=1)

    monkeypatch.setattr(DrawingHost, "upscalers", lambda self: ("Squares",))
    monkeypatch.setattr(DrawingHost, "upscale", upscale)
    yield build_studio(tmp_path / "data", face_weights)


@pytest.fixture()
def small(tmp_path: Path) -> tuple[Path, ...]:
    """Two drawings of 144 pixels, and one that is large enough."""
    folder = tmp_path / "small"
    folder.mkdir()
    for number, source in enumerate(GOOD[:2]):
        with Image.open(source) as picture:
            picture.resize((144, 144), Image.Resampling.LANCZOS).save(folder / f"{number}.png")
    shutil.copy(GOOD[2], folder / "2.jpg")
    return tuple(sorted(folder.iterdir()))


def test_small_photos_are_enlarged_before_the_process_of_the_training_starts(
    studio: Studio, small: tuple[Path, ...]
) -> None:
    job = studio.trainings.start(replace(REQUEST, photos=small))
    assert studio.queue.wait(job.id, 60).status.state is State.SUCCEEDED
    folder = studio.avatars.folder("anna")
    hashes = {sha256_of(photo) for photo in small[:2]}
    assert {file.name[:64] for file in (folder / ENLARGED).iterdir()} == hashes
    told = [record.event.message for record in studio.events(job.id) if isinstance(record.event, Log)]
    assert "Photos enlarged by Squares: 2 of 3." in told
    studio.delete_avatar("anna")
    assert not folder.exists()


def test_what_is_not_asked_for_is_not_done_and_the_earlier_is_forgotten(
    studio: Studio, small: tuple[Path, ...]
) -> None:
    studio.queue.wait(studio.trainings.start(replace(REQUEST, photos=small)).id, 60)
    job = studio.trainings.start(replace(REQUEST, photos=small, photo_settings={}))
    studio.queue.wait(job.id, 60)
    assert not (studio.avatars.folder("anna") / ENLARGED).exists()


def test_an_unknown_upscaler_is_refused_before_work_begins(studio: Studio, small: tuple[Path, ...]) -> None:
    wrong = replace(REQUEST, photos=small, photo_settings={"upscaler": "Magic"})
    with pytest.raises(InvalidSettings, match="Magic") as caught:
        studio.trainings.start(wrong)
    assert "Squares" in caught.value.hint and studio.jobs.ids() == []


def test_a_training_that_cannot_be_made_ready_fails_by_name(
    studio: Studio, small: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: DrawingHost, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        raise UpscalerMissing("The WebUI could not use Squares.")

    monkeypatch.setattr(DrawingHost, "upscale", broken)
    view = studio.queue.wait(studio.trainings.start(replace(REQUEST, photos=small)).id, 60)
    assert view.status.state is State.FAILED and (view.status.error or {})["code"] == "UPSCALER_MISSING"


def test_a_dataset_has_pictures_of_enlarged_photos_and_no_trace_of_them(
    studio: Studio, small: tuple[Path, ...], tmp_path: Path
) -> None:
    report = studio.check_photos(small, ASKED)
    plain = studio.prepare_photos(report, tmp_path / "plain", 512, "woman", {**ASKED, "upscaler": ""})
    large = studio.prepare_photos(report, tmp_path / "large", 512, "woman", ASKED)
    assert plain.fingerprint != large.fingerprint
    assert not (tmp_path / "large" / ENLARGED).exists()
    said = json.loads((tmp_path / "large" / "manifest.json").read_text())["crops"]
    assert [crop["upscaled"] for crop in said] == [2, 2, 1]
    assert studio.prepare_photos(report, tmp_path / "large", 512, "woman", ASKED) == large


def test_enlarging_leaves_photos_alone_that_lie_where_enlargements_did(
    studio: Studio, small: tuple[Path, ...], tmp_path: Path
) -> None:
    own = tuple(Path(shutil.copy(photo, tmp_path / "small" / f"own-{photo.name}")) for photo in small)
    (tmp_path / "out").mkdir()
    shutil.move(tmp_path / "small", tmp_path / "out" / ENLARGED)
    photos = [tmp_path / "out" / ENLARGED / photo.name for photo in own]
    before = [photo.read_bytes() for photo in photos]
    studio.prepare_photos(studio.check_photos(photos, ASKED), tmp_path / "out", 512, "woman", ASKED)
    assert [photo.read_bytes() for photo in photos] == before


def test_repeats_and_masks_of_a_kohya_dataset_reach_the_training(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "set" / "5_ohwx woman"
    folder.mkdir(parents=True)
    (tmp_path / "set" / "masks").mkdir()
    photo = Path(shutil.copy(GOOD[0], folder / "a.jpg"))
    Image.new("L", (512, 512), 200).save(tmp_path / "set" / "masks" / "a.png")
    job = studio.trainings.start(replace(REQUEST, photos=(photo,), photo_settings={}))
    task = from_json(TrainTask, job.payload)
    (origin,) = kohya.kept(task.avatar_folder / ORIGINS / task.origins).values()
    assert (origin.repeats, origin.words) == (5, "ohwx woman")
    assert origin.mask is not None and origin.mask.is_relative_to(task.avatar_folder)
    studio.queue.wait(job.id, 60)
    studio.queue.wait(studio.trainings.start(replace(REQUEST, photos=(GOOD[1],), photo_settings={})).id, 60)
    assert not (task.avatar_folder / ORIGINS).exists()
