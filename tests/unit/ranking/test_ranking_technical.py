"""What spoils a picture, and how much of it is seen."""
from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.ranking.technical import MEASURES, RAMPS, patch_of, technical
from PIL import Image, ImageFilter

FACE = Face((40.0, 40.0, 216.0, 216.0), ((100.0, 110.0),) * 5, 0.9)


def clean() -> np.ndarray:
    """A shaded ball with edges, 256 x 256, as smooth as a rendered face."""
    rows, columns = np.mgrid[0:256, 0:256] / 255
    light = 60 + 120 * np.exp(-((rows - 0.4) ** 2 + (columns - 0.45) ** 2) * 6)
    shade = np.stack([light, light * 0.85 + 12 * rows, light * 0.7 + 20 * columns], axis=-1)
    for place in range(60, 200, 9):
        shade[place : place + 2, 60 + place // 4 : 180] -= 35
    fine = np.random.default_rng(1).normal(0, 0.8, shade.shape)
    return np.clip(shade + fine, 0, 255).astype(np.uint8)


def packed(image: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data).convert("RGB"))


def noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image + np.random.default_rng(2).normal(0, 25, image.shape), 0, 255).astype(np.uint8)


SPOILT = {
    "clear": lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(6))),
    "quiet": noisy,
    "unburnt": lambda image: np.clip((image.astype(float) - 128) * 6 + 128, 0, 255).astype(np.uint8),
    "graded": lambda image: (image // 32 * 32 + 16).astype(np.uint8),
    "unblocked": lambda image: packed(image, 5),
}


def test_a_clean_picture_has_nothing_against_it() -> None:
    assert technical(clean(), FACE, 1)["quality"] > 0.8


@pytest.mark.parametrize("part", SPOILT)
def test_each_flaw_lowers_its_own_part_and_the_whole(part: str) -> None:
    before, after = technical(clean(), FACE, 1), technical(SPOILT[part](clean()), FACE, 1)
    assert after[part] < before[part] - 0.4
    assert after["quality"] < 0.5 * before["quality"]


def test_small_faces_and_wrong_numbers_of_faces_count_against_it() -> None:
    small = Face((10.0, 10.0, 20.0, 20.0), ((12.0, 12.0),) * 5, 0.9)
    assert technical(clean(), small, 1)["close"] < 0.2
    assert technical(clean(), FACE, 2)["alone"] == 0.5
    assert technical(clean(), FACE, 2, people=2)["alone"] == 1.0
    assert technical(clean(), None, 0)["quality"] == 0.0


def test_blocks_are_found_wherever_the_face_begins() -> None:
    spoilt, image = SPOILT["unblocked"](clean()), clean()
    for start in range(8):
        box = (start, start, 200 + start, 200 + start)
        assert MEASURES["unblocked"](patch_of(spoilt, box)) > MEASURES["unblocked"](patch_of(image, box)) + 0.3


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 255), st.floats(-30, 60), st.floats(-30, 60),
    st.floats(0, 80), st.integers(0, 9),
)
def test_any_face_of_any_picture_gives_parts_between_0_and_1(
    height: int, width: int, level: int, left: float, top: float, side: float, faces: int
) -> None:
    image = np.random.default_rng(level).integers(0, level + 1, (height, width, 3)).astype(np.uint8)
    face = Face((left, top, left + side, top + side), ((left, top),) * 5, 0.5)
    found = technical(image, face, faces)
    assert set(found) == {"alone", "quality", *RAMPS}
    assert all(0.0 <= value <= 1.0 for value in found.values())
