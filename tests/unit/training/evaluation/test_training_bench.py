"""What a training is judged by: which photos tell the best possible likeness."""

from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.domain import Dataset, Sample
from personal_avatar.photos.settings import FRAMINGS, PhotoSettings
from personal_avatar.training.evaluation.bench import CEILING_PHOTOS, ceiling_samples


def dataset(trained: int, held_out: int) -> Dataset:
    samples = tuple(Sample(Path(f"{number}.png"), "a photo", f"{number:064x}") for number in range(trained + held_out))
    return Dataset("id", Path(), samples[held_out:], samples[:held_out], 64, "sks man", "man", "f")


def test_photos_that_were_held_out_come_first_and_those_trained_on_help_to_tell_the_ceiling() -> None:
    found = dataset(8, 3)
    assert ceiling_samples(found, True) == found.held_out + found.samples


def test_pictures_that_may_lack_a_face_tell_nothing() -> None:
    assert ceiling_samples(dataset(8, 3), False) == dataset(8, 3).held_out


def test_where_none_were_held_out_each_photo_counts_once() -> None:
    assert ceiling_samples(dataset(4, 0), True) == dataset(4, 0).samples


def test_of_many_photos_a_few_are_enough_and_none_that_is_compared_with_is_left_out() -> None:
    assert len(ceiling_samples(dataset(90, 3), True)) == CEILING_PHOTOS
    assert ceiling_samples(dataset(40, 20), True) == dataset(40, 20).held_out


@pytest.mark.parametrize("framing", FRAMINGS)
def test_only_pictures_cut_about_faces_are_portraits(framing: str) -> None:
    assert PhotoSettings(framing=framing).makes_portraits == (framing in ("head", "portrait"))
    assert not PhotoSettings(framing=framing, faces="ignored").makes_portraits
