"""Where the mask is white: on heads of drawings whose hair is known to the pixel, and wherever a face may lie."""
from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.crop import Window, cut, to_crop
from personal_avatar.photos.framing import frame
from personal_avatar.photos.mask import head_mask
from personal_avatar.photos.settings import FULL, PORTRAIT, PhotoSettings

from tests.unit.photos.upright_faces import face_at
from tools.avatar_tiny.characters import Character, random_character, random_shot
from tools.avatar_tiny.drawing import draw
from tools.avatar_tiny.samples import HELD_OUT_SEED

SIZE = (256, 256)
SEEDS = range(1, 9)


@lru_cache
def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A drawing, uint8 RGB, and where its hair is, bool: what changes with the colour of the hair."""
    character, shot = random_character(HELD_OUT_SEED + seed), random_shot(seed)
    other = _recoloured(character)
    picture, twin = draw(character, shot, SIZE[0]).picture, draw(other, shot, SIZE[0]).picture
    return picture, np.abs(picture.astype(int) - twin.astype(int)).max(axis=2) > 12


def _recoloured(character: Character) -> Character:
    return replace(character, hair=tuple(255 - value for value in character.hair))


@pytest.mark.slow
@pytest.mark.parametrize("framing", [PORTRAIT, FULL])
def test_hair_of_drawings_is_covered(analyser: FaceAnalyser, framing: str) -> None:
    covered = []
    for seed in SEEDS:
        picture, hair = drawn(seed)
        face = analyser.detect(picture)[0]
        window, size = frame(face, SIZE, 128, PhotoSettings(), framing)
        mask = head_mask(face, SIZE, window, size)
        shown = cut(np.repeat((hair * 255).astype(np.uint8)[:, :, None], 3, axis=2), window, size).image[:, :, 0] > 127
        chin = to_crop(window, size, (face.box_px[0], face.box_px[3]))[1]
        shown[int(chin) :] = False
        covered.append(float(mask[shown].mean()) / 255 if shown.any() else 1.0)
    assert np.mean(covered) > 0.99 and min(covered) > 0.97


@pytest.mark.slow
def test_the_reference_has_hair_to_cover() -> None:
    assert sum(drawn(seed)[1].mean() > 0.05 for seed in SEEDS) >= 4


@pytest.mark.slow
@given(
    st.floats(100, 300), st.floats(100, 300), st.floats(20, 120), st.floats(-180, 180), st.floats(-0.2, 0.2)
)
def test_the_face_is_white_wherever_and_however_it_lies(
    x: float, y: float, width: float, tilt: float, nose: float
) -> None:
    face = face_at(x, y, width, tilt, nose)
    window = Window((200, 200), (400, 400))
    mask = head_mask(face, (400, 400), window, (400, 400))
    assert mask.shape == (400, 400) and mask.dtype == np.uint8
    for mark in face.landmarks_px:
        across, down = (min(max(int(value), 0), 399) for value in mark)
        assert mask[down, across] == 255
    rows, columns = np.nonzero(mask)
    far = np.hypot(columns + 0.5 - x, rows + 0.5 - y).max()
    assert far < 2.0 * width


def test_the_mask_reaches_above_the_face_more_than_below_and_turns_with_it() -> None:
    window = Window((200, 200), (400, 400))
    upright = head_mask(face_at(200, 200, 80), (400, 400), window, (400, 400))
    rows = np.nonzero(upright[:, 200] == 255)[0]
    assert 200 - rows[0] > 1.3 * (rows[-1] - 200)
    lying = head_mask(face_at(200, 200, 80, tilt_deg=90), (400, 400), window, (400, 400))
    assert np.abs(np.rot90(upright, -1).astype(int) - lying).max() <= 1


def test_the_back_of_a_turned_head_is_covered() -> None:
    window = Window((200, 200), (400, 400))
    middles = []
    for nose in (-0.15, 0.0, 0.15):
        mask = head_mask(face_at(200, 200, 80, nose=nose), (400, 400), window, (400, 400)).astype(float)
        middles.append(float((mask.sum(axis=0) * np.arange(400)).sum() / mask.sum()))
    assert middles[0] > middles[1] > middles[2]


def test_the_edge_is_soft_and_what_was_padded_is_black() -> None:
    mask = head_mask(face_at(20, 200, 80), (400, 400), Window((0, 200), (400, 400)), (400, 400))
    assert (mask[:, :200] == 0).all()
    assert set(np.unique(mask)) >= {0, 255} and len(np.unique(mask)) > 50
    assert np.abs(np.diff(mask[:, 210:].astype(int), axis=0)).max() < 40


def test_a_levelled_crop_has_a_mask_of_the_same_place() -> None:
    """The forehead lies in the white of the mask after the crop was turned, and the mask stands upright."""
    face = face_at(300, 300, 90, tilt_deg=35)
    window, size = frame(face, (600, 600), 128, PhotoSettings(), PORTRAIT)
    assert window.tilt_deg == pytest.approx(35)
    mask = head_mask(face, (600, 600), window, size)
    forehead = (300 + 0.7 * 90 * math.sin(math.radians(35)), 300 - 0.7 * 90 * math.cos(math.radians(35)))
    across, down = to_crop(window, size, forehead)
    assert mask[int(down), int(across)] == 255
    assert np.abs(mask.astype(int) - mask[:, ::-1]).max() <= 8
