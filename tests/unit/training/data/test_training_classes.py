"""Pictures of the class, and whether pictures follow their prompts, on the shipped checkpoint."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from personal_avatar.domain import BaseModelFile, Face, Look
from personal_avatar.errors import Cancelled
from personal_avatar.training import compute
from personal_avatar.training.data import classes
from personal_avatar.training.data.classes import (
    NO_FACE,
    SEVERAL,
    SMALL,
    SUBJECT,
    TWIN,
    ClassPictures,
    Inspection,
    Subject,
    Wanted,
    class_pictures,
)
from personal_avatar.training.evaluation.following import PromptJudge
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel

SETTINGS = SampleSettings(192, 6, 5.0, 4)
CAPTIONS = ("a portrait of a man, blue background", "a portrait of a woman, red background")


class OneFace:
    """Sees so many faces of this width in everything; all are of the vector (1, 0)."""

    def __init__(self, faces: int = 1, width_px: float = 90) -> None:
        self.faces, self.width_px = faces, width_px

    def detect(self, image: np.ndarray) -> list[Face]:
        return [Face((0, 0, self.width_px, 99), ((0.0, 0.0),) * 5, 1.0)] * self.faces

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return np.array([1.0, 0.0])


@pytest.fixture(scope="module")
def model(tiny: BaseModelFile) -> DiffusionModel:
    torch.set_num_threads(1)
    return registry.load(replace(tiny, native_px=192), compute.choose("fp32"), 192)


def wanted(folder: Path, count: int = 4) -> Wanted:
    return Wanted("man", count, replace(SETTINGS, resolution_px=64, steps=2), folder)


@pytest.mark.slow
def test_class_pictures_are_made_once_and_kept(model: DiffusionModel, tmp_path: Path) -> None:
    told: list[int] = []
    first = class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: told.append(made))
    again = class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: told.append(-1))
    assert set(told) == {0}
    assert again.captions == first.captions
    assert all(np.array_equal(one, other) for one, other in zip(first.images, again.images, strict=True))
    assert all("a man" in caption and "Seed" not in caption for caption in first.captions)


@pytest.mark.slow
def test_more_are_added_to_those_that_are_there_and_a_damaged_one_is_made_anew(
    model: DiffusionModel, tmp_path: Path
) -> None:
    first = class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: None)
    files = sorted(tmp_path.rglob("*.png"))
    files[0].write_bytes(b"no picture")
    more = class_pictures(model, wanted(tmp_path, 6), OneFace(), lambda made, of: None)
    assert len(more.images) == 6
    assert np.array_equal(more.images[0], first.images[0])


@pytest.mark.slow
def test_a_class_without_faces_gets_pictures_all_the_same(model: DiffusionModel, tmp_path: Path) -> None:
    assert len(class_pictures(model, wanted(tmp_path), OneFace(0), lambda made, of: None).images) == 4


@pytest.mark.parametrize(
    ("reader", "fault"),
    [(OneFace(0), NO_FACE), (OneFace(2), SEVERAL), (OneFace(1, 15), SMALL), (OneFace(1, 30), None)],
)
def test_a_picture_shows_one_face_that_is_not_tiny(reader: OneFace, fault: str | None) -> None:
    inspection = Inspection(reader, None)
    assert inspection.fault(noise(0)) == fault
    assert inspection.left_out == ({fault: 1} if fault else {})


@pytest.mark.parametrize("reader", [OneFace(0), OneFace(2), OneFace(1, 15)])
def test_no_face_is_asked_of_a_class_that_has_none(reader: OneFace) -> None:
    inspection = Inspection(reader, None, shows_faces=False)
    assert inspection.fault(noise(0)) is None
    assert inspection.fault(noise(0)) == TWIN


def test_what_another_picture_shows_already_is_left_out() -> None:
    inspection = Inspection(OneFace(), None)
    assert inspection.fault(noise(0)) is None and inspection.fault(noise(1)) is None
    assert inspection.fault(np.clip(noise(0) + 1, 0, 255).astype(np.uint8)) == TWIN


def test_the_person_is_not_among_the_class_but_drawn_people_all_look_alike() -> None:
    subject = Subject(np.array([1.0, 0.0]), 0.4)
    assert Inspection(OneFace(), subject).fault(noise(0)) == SUBJECT
    assert Inspection(OneFace(), Subject(np.array([0.0, 1.0]), 0.4)).fault(noise(0)) is None
    assert Inspection(OneFace(), subject).fault(np.full((200, 200, 3), 90, np.uint8)) is None


def test_the_log_says_what_was_left_out_and_why() -> None:
    found = ClassPictures(Path("x"), [noise(0)] * 3, ["a man"] * 3, [1, 2, 3], {NO_FACE: 2, TWIN: 1}, 1)
    assert found.told("man") == (
        "Pictures of man: 3. Others were made and left out: 2 without a face, 1 like another one;"
        " 1 of them taken for want of better."
    )


@pytest.fixture
def first(model: DiffusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClassPictures:
    """Of a training that was before, taken for photos."""
    monkeypatch.setattr(classes, "look_of", lambda image: Look.PHOTO)
    return class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: None)


def for_somebody(folder: Path) -> Wanted:
    """For a training of whoever has the vector (1, 0)."""
    return replace(wanted(folder), subject=Subject(np.array([1.0, 0.0]), 0.4))


@pytest.mark.slow
def test_pictures_of_the_person_are_made_anew_for_this_training_and_kept_for_others(
    first: ClassPictures, model: DiffusionModel, tmp_path: Path
) -> None:
    reader = Recognising(first.images[1])
    second = class_pictures(model, for_somebody(tmp_path), reader, lambda made, of: None)
    assert len(second.images) == 4 and second.left_out[SUBJECT] == 1
    assert set(second.seeds) - set(first.seeds) == {max(first.seeds) + 1}
    assert class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: None).seeds == first.seeds


@pytest.mark.slow
def test_where_kept_pictures_show_the_person_as_many_new_ones_are_tried_as_are_missing(
    first: ClassPictures, model: DiffusionModel, tmp_path: Path
) -> None:
    none = class_pictures(model, for_somebody(tmp_path), OneFace(), lambda made, of: None)
    assert none.images == [] and none.left_out[SUBJECT] == len(first.images) + 4 * classes.TRIES


class Recognising(OneFace):
    """Sees the person in one picture alone."""

    def __init__(self, picture: np.ndarray) -> None:
        super().__init__()
        self.picture = picture

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return np.array([1.0, 0.0] if np.array_equal(image, self.picture) else [0.0, 1.0])


def noise(seed: int) -> np.ndarray:
    """Nothing that could be drawn, uint8 RGB."""
    return np.random.default_rng(seed).integers(0, 256, (200, 200, 3), dtype=np.uint8)


@pytest.mark.slow
def test_a_wish_to_stop_leaves_what_was_made(model: DiffusionModel, tmp_path: Path) -> None:
    def stop(made: int, of: int) -> None:
        if made:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        class_pictures(model, wanted(tmp_path, 8), OneFace(), stop)
    assert len(list(tmp_path.rglob("*.png"))) == 4


def test_seeds_of_class_pictures_are_not_those_of_the_measurement() -> None:
    from personal_avatar.training.evaluation.grid import CHOOSING_SEED, FINAL_SEED

    assert max(CHOOSING_SEED, FINAL_SEED) + 1000 < classes.FIRST_SEED


@pytest.mark.slow
@pytest.mark.parametrize("clip_skip", [1, 2])
def test_pictures_follow_their_own_prompt_and_not_another_ones(model: DiffusionModel, clip_skip: int) -> None:
    judge = PromptJudge(model, CAPTIONS, clip_skip)
    images = make_pictures(model, [Shot(caption, 3) for caption in CAPTIONS], replace(SETTINGS, clip_skip=clip_skip))
    assert judge.score(images, CAPTIONS) == 1.0
    assert judge.score(images, CAPTIONS[::-1]) == 0.0
