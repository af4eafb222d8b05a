from __future__ import annotations

import numpy as np
import pytest
from personal_avatar.domain import Face
from personal_avatar.errors import NoFace
from personal_avatar.training.evaluation.likeness import LikenessMeter

FACE = Face((0, 0, 1, 1), ((0.0, 0.0),) * 5, 1.0)


class ColourReader:
    """A picture's mean colour is its embedding; a black picture shows no face."""

    def detect(self, image: np.ndarray) -> list[Face]:
        return [FACE] if image.any() else []

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        mean = image.reshape(-1, 3).mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype(np.float32)


class PixelReader(ColourReader):
    """All of a picture is its embedding."""

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return (image.ravel() / np.linalg.norm(image.ravel().astype(float))).astype(np.float32)


def plain(*colour: int) -> np.ndarray:
    return np.full((4, 4, 3), colour, dtype=np.uint8)


RED, GREEN, YELLOW, BLACK = plain(200, 0, 0), plain(0, 200, 0), plain(200, 200, 0), plain(0, 0, 0)


def test_likeness_is_the_mean_over_the_references() -> None:
    assert LikenessMeter(ColourReader(), [RED, GREEN]).likeness(RED) == pytest.approx(0.5)


def test_a_picture_without_a_face_counts_zero_and_is_reported() -> None:
    found = LikenessMeter(ColourReader(), [RED]).measure([RED, BLACK])
    assert found.mean == pytest.approx(0.5)
    assert found.each[1] is None
    assert found.faces_found == 0.5


def test_the_ceiling_never_compares_a_photo_with_itself() -> None:
    assert LikenessMeter(ColourReader(), [RED, YELLOW]).ceiling([RED, YELLOW]) == pytest.approx(0.5**0.5)


def test_a_single_reference_is_compared_with_itself_through_the_vae() -> None:
    assert LikenessMeter(ColourReader(), [RED]).ceiling([YELLOW]) == pytest.approx(0.5**0.5)


def test_further_photos_of_the_person_tell_the_ceiling_as_well() -> None:
    found = LikenessMeter(ColourReader(), [RED, YELLOW]).ceiling([RED, YELLOW, GREEN])
    assert found == pytest.approx((2 * 0.5**0.5 + (0 + 0.5**0.5) / 2) / 3)


def test_which_photos_were_held_out_decides_less_when_further_ones_tell_the_ceiling() -> None:
    random = np.random.default_rng(7)
    photos = random.integers(60, 256, (11, 4, 4, 3)).astype(np.uint8)
    alone, with_others = [], []
    for _ in range(200):
        lot = photos[random.permutation(11)]
        meter = LikenessMeter(PixelReader(), lot[:3])
        after = meter.measure(photos).mean
        alone.append(after - meter.ceiling(lot[:3]))
        with_others.append(after - meter.ceiling(lot))
    assert np.std(with_others) < 0.5 * np.std(alone)


def test_a_reference_without_a_face_is_left_out_and_keeps_the_others_in_place() -> None:
    meter = LikenessMeter(ColourReader(), [BLACK, RED, YELLOW])
    assert meter.likeness(RED) == pytest.approx((1 + 0.5**0.5) / 2)
    assert meter.ceiling([GREEN, RED, YELLOW]) == pytest.approx(((0 + 0.5**0.5) / 2 + 2 * 0.5**0.5) / 3)


def test_references_without_any_face_are_an_error() -> None:
    with pytest.raises(NoFace):
        LikenessMeter(ColourReader(), [BLACK])
