"""Pictures of the class, and whether pictures follow their prompts, on the shipped checkpoint."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from personal_avatar.domain import BaseModelFile, Face
from personal_avatar.errors import Cancelled
from personal_avatar.training import classes, compute
from personal_avatar.training.classes import Wanted, class_pictures
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.following import PromptJudge
from personal_avatar.training.samples import SampleSettings, Shot, make_pictures

SETTINGS = SampleSettings(192, 6, 5.0, 4)
CAPTIONS = ("a portrait of a man, blue background", "a portrait of a woman, red background")


class OneFace:
    """Sees one face in everything, or none in anything."""

    def __init__(self, faces: int = 1) -> None:
        self.faces = faces

    def detect(self, image: np.ndarray) -> list[Face]:
        return [Face((0, 0, 9, 9), ((0.0, 0.0),) * 5, 1.0)] * self.faces

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        raise AssertionError("class pictures are not recognised")


@pytest.fixture(scope="module")
def model(tiny: BaseModelFile) -> DiffusionModel:
    torch.set_num_threads(1)
    return registry.load(replace(tiny, native_px=192), compute.choose("fp32"), 192)


def wanted(folder: Path, count: int = 4) -> Wanted:
    return Wanted("man", count, replace(SETTINGS, steps=2), folder)


@pytest.mark.slow
def test_class_pictures_are_made_once_and_kept(model: DiffusionModel, tmp_path: Path) -> None:
    told: list[int] = []
    first = class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: told.append(made))
    again = class_pictures(model, wanted(tmp_path), OneFace(), lambda made, of: told.append(-1))
    assert told == [0]
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


@pytest.mark.slow
def test_a_wish_to_stop_leaves_what_was_made(model: DiffusionModel, tmp_path: Path) -> None:
    def stop(made: int, of: int) -> None:
        if made:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        class_pictures(model, wanted(tmp_path, 8), OneFace(), stop)
    assert len(list(tmp_path.rglob("*.png"))) == 4


def test_seeds_of_class_pictures_are_not_those_of_the_measurement() -> None:
    from personal_avatar.training.grid import CHOOSING_SEED, FINAL_SEED

    assert max(CHOOSING_SEED, FINAL_SEED) + 1000 < classes.FIRST_SEED


@pytest.mark.slow
def test_pictures_follow_their_own_prompt_and_not_another_ones(model: DiffusionModel) -> None:
    judge = PromptJudge(model, CAPTIONS)
    images = make_pictures(model, [Shot(caption, 3) for caption in CAPTIONS], SETTINGS)
    assert judge.score(images, CAPTIONS) == 1.0
    assert judge.score(images, CAPTIONS[::-1]) == 0.0
