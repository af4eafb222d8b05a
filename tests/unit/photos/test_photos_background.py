"""Backgrounds of pictures whose person and background are known."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import validated
from personal_avatar.photos.background import replaced, rgb
from personal_avatar.photos.settings import BLUR, KEEP, PLAIN, PhotoSettings

colours = st.tuples(*[st.integers(0, 255)] * 3)


def composed(person: tuple[int, ...], behind: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A round person with a soft edge before a wall: uint8 RGB, and how much of each pixel is the person."""
    down, across = np.mgrid[:80, :80] + 0.5
    matte = np.clip((30 - np.hypot(across - 40, down - 40)) / 6, 0, 1).astype(np.float32)
    share = matte[:, :, None]
    image = np.rint(share * np.array(person) + (1 - share) * np.array(behind)).astype(np.uint8)
    return image, matte


@settings(max_examples=20)
@given(colours, colours, colours)
def test_nothing_of_the_old_background_shines_through_the_edge(
    person: tuple[int, ...], old: tuple[int, ...], new: tuple[int, ...]
) -> None:
    image, matte = composed(person, old)
    plain = PhotoSettings(background=PLAIN, background_colour="#" + "".join(f"{value:02x}" for value in new))
    wanted, _ = composed(person, new)
    made = replaced(image, matte, plain)
    contrast = max(abs(one - other) for one, other in zip(person, old, strict=True))
    assert made.dtype == np.uint8 and np.abs(made.astype(int) - wanted).max() <= 2 + 0.05 * contrast


def test_the_person_keeps_every_byte_and_the_colour_is_the_one_asked_for() -> None:
    image, matte = composed((200, 150, 120), (20, 90, 30))
    image[matte >= 1] = np.random.default_rng(0).integers(0, 256, (int((matte >= 1).sum()), 3))
    made = replaced(image, matte, PhotoSettings(background=PLAIN, background_colour="#0A0b0C"))
    assert np.array_equal(made[matte >= 1], image[matte >= 1])
    assert (made[matte == 0] == (10, 11, 12)).all()


def test_a_blurred_background_has_no_halo_of_the_person() -> None:
    image, matte = composed((255, 0, 0), (0, 0, 255))
    made = replaced(image, matte, PhotoSettings(background=BLUR))
    assert np.abs(made[matte == 0].astype(int) - (0, 0, 255)).max() <= 2


def test_blurring_takes_details_away() -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    _, matte = composed((0, 0, 0), (0, 0, 0))
    made = replaced(image, matte, PhotoSettings(background=BLUR))
    assert made[matte == 0].std() < 0.4 * image[matte == 0].std()
    assert np.array_equal(made[matte >= 1], image[matte >= 1])


@pytest.mark.parametrize("matte", [np.zeros((40, 50), np.float32), np.ones((40, 50), np.float32)])
@pytest.mark.parametrize("background", [BLUR, PLAIN, KEEP])
def test_nobody_and_nothing_but_somebody_are_no_trouble(matte: np.ndarray, background: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    made = replaced(image, matte, PhotoSettings(background=background))
    assert made.shape == image.shape and made.dtype == np.uint8
    if matte.all() or background == KEEP:
        assert np.array_equal(made, image)


def test_a_colour_is_six_hexadecimal_digits() -> None:
    assert rgb("#0aFF10") == (10, 255, 16)
    for wrong in ("grey", "#12345", "#1234567", "123456", "#12345g"):
        with pytest.raises(InvalidSettings, match="background_colour"):
            validated(PhotoSettings, {"background_colour": wrong})
