"""The face that is meant: where it lies, how it leans, and the plain look at a picture that insightface takes."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.faces.alignment import TEMPLATE_112_PX, align_as_trained, align_to, similarity_transform
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.prominent import plain, tilt_deg
from personal_avatar.photos.read import read_photo


@given(degrees=st.floats(-179, 179), scale=st.floats(0.2, 20))
def test_the_lean_of_a_head_is_measured(degrees: float, scale: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = TEMPLATE_112_PX @ turn.T * scale + 300
    upright = tilt_deg(Face((0, 0, 1, 1), tuple(map(tuple, TEMPLATE_112_PX.tolist())), 1.0))
    face = Face((0, 0, 1, 1), tuple(map(tuple, points.tolist())), 1.0)
    assert (tilt_deg(face) - upright - degrees + 180) % 360 == pytest.approx(180, abs=1e-3)


@given(height=st.integers(1, 900), width=st.integers(1, 900))
def test_the_plain_look_shows_any_picture_from_its_corner(height: int, width: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    view = plain(image, 128)
    rows, columns = (view.canvas == 200).all(-1).any(1).sum(), (view.canvas == 200).all(-1).any(0).sum()
    assert max(rows, columns) == 128 and view.canvas[:rows, :columns].min() == 200
    assert not view.canvas[rows:].any() and not view.canvas[:, columns:].any()
    assert view.scale == rows / height


def test_a_picture_of_the_size_of_the_canvas_is_left_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(plain(image, 64).canvas, image)


def test_half_as_large_is_the_mean_of_neighbours() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    means = image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(plain(image, 32).canvas - means).max() <= 1


def test_a_crop_at_its_place_is_the_picture_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert np.array_equal(align_as_trained(image, TEMPLATE_112_PX.tolist()), image)
    moved = align_as_trained(image, (TEMPLATE_112_PX - 40).tolist())
    assert np.array_equal(moved[40:, 40:], image[:72, :72]) and not moved[:39].any() and not moved[:, :39].any()


@given(scale=st.floats(0.3, 1.0), shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)))
def test_faces_not_larger_than_the_crop_are_cut_alike(scale: float, shift: tuple[float, float]) -> None:
    ramp = np.linspace(20, 220, 160).astype(np.uint8)
    image = np.stack([np.tile(ramp, (160, 1)), np.tile(ramp[:, None], (1, 160)), np.full((160, 160), 99, np.uint8)], -1)
    points = (TEMPLATE_112_PX * scale + 20 + np.array(shift)).tolist()
    one, other = align_as_trained(image, points).astype(int), align_to(image, points).astype(int)
    inside = (one[..., 2] == 99) & (other[..., 2] == 99)
    assert inside.any() and np.abs(one - other)[inside].max() <= 2


def test_drawings_and_the_default_models_work_too(analyser: Analyser, samples: Path) -> None:
    image = read_photo(samples / "01.jpg")[1]
    face = analyser.most_prominent(image)
    assert face is not None and abs(tilt_deg(face)) < 40
    matrix = similarity_transform(np.array(face.landmarks_px), np.array(analyser.detect(image)[0].landmarks_px))
    assert np.abs(matrix[:, :2] - np.eye(2)).max() < 0.2
    assert analyser.most_prominent(read_photo(samples / "no-face.jpg")[1]) is None
