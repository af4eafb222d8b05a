"""Photos and drawings are told apart; how often that goes wrong stands in faces/look.py."""
from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from personal_avatar.domain import Look
from personal_avatar.faces.look import DRAWN_FROM, look_of, majority, plainness
from PIL import Image
from real_photos import photo

from tools.avatar_tiny import characters
from tools.avatar_tiny.drawing import draw

NUMBERS = range(20_000_000, 20_000_006)


@pytest.mark.slow
@pytest.mark.parametrize("style", characters.STYLES)
def test_drawings_are_drawn(style: str) -> None:
    for number in NUMBERS:
        shot = characters.random_shot(number, style=style)
        assert look_of(draw(characters.random_character(number), shot, 384).picture) is Look.DRAWN


def test_the_shipped_samples_are_drawn(samples: Path) -> None:
    looks = [look_of(np.asarray(Image.open(path).convert("RGB"))) for path in sorted(samples.glob("*.jpg"))]
    assert looks == [Look.DRAWN] * 15


@pytest.mark.parametrize("name", ["astronaut.png", "t1.jpg"])
def test_photos_are_photos(name: str, weights_folder: Path) -> None:
    image = photo(name, weights_folder.parent / "photos")
    assert look_of(image) is Look.PHOTO
    assert look_of(np.pad(image, ((40, 0), (400, 400), (0, 0)), constant_values=255)) is Look.PHOTO  # a white wall
    assert look_of(compressed(image)) is Look.PHOTO


def compressed(image: np.ndarray) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def test_plain_ground_of_several_colours_does_not_count(weights_folder: Path) -> None:
    image = photo("astronaut.png", weights_folder.parent / "photos")
    framed = np.full((1000, 900, 3), 250, dtype=np.uint8)
    framed[:, 450:] = (40, 90, 160)
    framed[200:712, 200:712] = image
    assert plainness(framed) < DRAWN_FROM < plainness(np.full((64, 64, 3), 9, dtype=np.uint8))


def test_the_majority_decides_and_a_draw_is_a_photo() -> None:
    drawn, taken = Look.DRAWN, Look.PHOTO
    assert majority([drawn, drawn, taken]) is drawn
    assert majority([drawn, taken]) is taken
    assert majority([]) is taken


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_any_picture_has_a_look(image: np.ndarray) -> None:
    assert 0.0 <= plainness(image) <= 1.0
    assert look_of(image) in Look
