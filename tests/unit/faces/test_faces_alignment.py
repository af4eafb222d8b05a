"""The geometry of alignment."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.faces.alignment import TEMPLATE_112_PX, align_to, apply, inverse, similarity_transform, warp

angles = st.floats(-180, 180)
scales = st.floats(0.1, 20)
shifts = st.floats(-2000, 2000)


def similarity(angle_deg: float, scale: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    return np.array([[cos, -sin, x], [sin, cos, y]])


@given(angles, scales, shifts, shifts)
def test_a_similarity_is_found_again_from_moved_points(angle: float, scale: float, x: float, y: float) -> None:
    true = similarity(angle, scale, x, y)
    found = similarity_transform(TEMPLATE_112_PX, apply(true, TEMPLATE_112_PX))
    assert np.allclose(found, true, atol=1e-6 * (1 + scale + abs(x) + abs(y)))


@given(angles, scales, shifts, shifts)
def test_the_inverse_undoes(angle: float, scale: float, x: float, y: float) -> None:
    matrix = similarity(angle, scale, x, y)
    back = apply(inverse(matrix), apply(matrix, TEMPLATE_112_PX))
    assert np.allclose(back, TEMPLATE_112_PX, atol=1e-6 * (1 + abs(x) + abs(y)) / scale)


def test_equal_landmarks_do_not_break_it() -> None:
    assert np.isfinite(similarity_transform(np.ones((5, 2)), TEMPLATE_112_PX)).all()


def test_the_identity_changes_no_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(warp(image, similarity(0, 1, 0, 0), (50, 40)), image)


def test_whole_shifts_move_pixels_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(warp(image, similarity(0, 1, 5, 3), (50, 40))[3:, 5:], image[:-3, :-5])


@pytest.mark.slow
@settings(max_examples=25)
@given(st.floats(-60, 60), st.floats(0.3, 8), st.integers(0, 10_000))
def test_landmarks_come_to_lie_on_the_template(angle: float, scale: float, seed: int) -> None:
    """A bright disc at every landmark of a face of any size and tilt is bright at its place in the crop."""
    centre = np.array([56.0, 72.0])
    side = int(112 * scale * 1.6) + 40
    place = similarity(angle, scale, 0, 0)
    place[:, 2] = np.random.default_rng(seed).uniform(-5, 5, 2) + side / 2 - apply(place, centre[None])[0]
    landmarks = apply(place, TEMPLATE_112_PX)
    y, x = np.mgrid[:side, :side]
    discs = sum(np.hypot(x - mark[0], y - mark[1]) < max(3 * scale, 2) for mark in landmarks)
    image = np.repeat((np.minimum(discs, 1) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    crop = align_to(image, landmarks)
    assert crop.shape == (112, 112, 3)
    for column, row in np.rint(TEMPLATE_112_PX).astype(int):
        assert crop[row, column].min() > 128
    assert crop[2:20, 2:20].max() < 128
