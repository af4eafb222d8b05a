"""Measures of a face: what changes them and what must not."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.quality import NOSE_LEVEL, measure, pitch_deg, roll_deg, yaw_deg
from personal_avatar.photos.read import read_photo
from PIL import Image, ImageFilter


@pytest.fixture(scope="module")
def drawing(samples: Path, analyser: FaceAnalyser) -> tuple[Image.Image, Face]:
    image = read_photo(samples / "01.jpg")[1]
    return Image.fromarray(image), analyser.detect(image)[0]


def scaled(face: Face, factor: float) -> Face:
    box = tuple(value * factor for value in face.box_px)
    return Face(box, tuple((x * factor, y * factor) for x, y in face.landmarks_px), face.score)  # type: ignore[arg-type]


def test_the_more_blur_the_less_sharpness(drawing: tuple[Image.Image, Face]) -> None:
    picture, face = drawing
    blurs = [picture.filter(ImageFilter.GaussianBlur(share * face.width_px)) for share in (0, 0.005, 0.01, 0.02, 0.03)]
    values = [measure(np.asarray(blurred), face).sharpness for blurred in blurs]
    assert values == sorted(values, reverse=True) and values[0] > 40 and values[3] < 27


@pytest.mark.parametrize("factor", [0.7, 1.5, 3.0])
def test_sharpness_hardly_depends_on_the_resolution(drawing: tuple[Image.Image, Face], factor: float) -> None:
    picture, face = drawing
    for blur in (0.0, 0.02 * face.width_px):
        original = picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture
        size = (round(picture.width * factor), round(picture.height * factor))
        resized = original.resize(size, Image.Resampling.BICUBIC)
        one, other = measure(np.asarray(original), face), measure(np.asarray(resized), scaled(face, factor))
        assert other.sharpness == pytest.approx(one.sharpness, abs=9)


def test_an_enlarged_small_face_is_seen(drawing: tuple[Image.Image, Face]) -> None:
    picture, face = drawing
    factor = 26 / face.width_px
    small = picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS)
    enlarged = small.resize(picture.size, Image.Resampling.BICUBIC)
    assert measure(np.asarray(enlarged), face).sharpness < 30 < measure(np.asarray(picture), face).sharpness


def test_light_is_measured_on_the_face(drawing: tuple[Image.Image, Face]) -> None:
    picture, face = drawing
    image = np.asarray(picture).astype(float)
    dark, normal, burnt = (measure(np.clip(image * gain, 0, 255).astype(np.uint8), face) for gain in (0.15, 1, 4))
    assert dark.brightness < 0.17 < normal.brightness < burnt.brightness
    assert normal.clipped < 0.05 and burnt.clipped > 0.2
    surrounded = np.zeros_like(image)
    left, top, right, bottom = (int(value) for value in face.box_px)
    surrounded[top:bottom, left:right] = image[top:bottom, left:right]
    assert measure(surrounded.astype(np.uint8), face).brightness == pytest.approx(normal.brightness, abs=0.02)


def test_a_plain_picture_is_not_sharp(drawing: tuple[Image.Image, Face]) -> None:
    face = Face((10, 10, 90, 90), drawing[1].landmarks_px, 1)
    assert measure(np.full((300, 300, 3), 90, np.uint8), face).sharpness == 0


@given(
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)), st.floats(1, 800), st.floats(1, 800), st.integers(1, 400)
)
def test_any_box_can_be_measured(corner: tuple[float, float], width: float, height: float, side: int) -> None:
    box = (corner[0], corner[1], corner[0] + width, corner[1] + height)
    face = Face(box, tuple((corner[0] + x, corner[1] + y) for x, y in ((0, 0), (1, 0), (0.5, 1), (0, 2), (1, 2))), 1.0)
    image = np.random.default_rng(side).integers(0, 256, (side, 2 * side, 3), dtype=np.uint8)
    quality = measure(image, face)
    assert 0 <= quality.sharpness <= 100 and 0 <= quality.brightness <= 1 and 0 <= quality.clipped <= 1


@given(st.floats(-170, 170), st.floats(-60, 60), st.floats(5, 500))
def test_angles_are_those_that_the_landmarks_were_turned_by(roll: float, yaw: float, eyes_px: float) -> None:
    nose = 0.52 * np.tan(np.radians(yaw))
    upright = np.array([[-0.5, 0], [0.5, 0], [nose, 0.6], [-0.4, 1], [0.4, 1]]) * eyes_px
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    turned = upright @ np.array([[cos, sin], [-sin, cos]])
    face = Face((0, 0, 1, 1), tuple(map(tuple, turned.tolist())), 1.0)
    assert roll_deg(face) == pytest.approx(roll, abs=0.01)
    assert yaw_deg(face) == pytest.approx(yaw, abs=0.01)


def test_eyes_in_one_place_are_an_extreme_pose() -> None:
    assert yaw_deg(Face((0, 0, 1, 1), ((5, 5),) * 5, 1.0)) == 90


@given(st.floats(-170, 170), st.floats(0.1, 0.9), st.floats(5, 500))
def test_a_head_is_bent_down_when_the_nose_is_near_the_mouth(tilt: float, way: float, eyes_px: float) -> None:
    upright = np.array([[-0.5, 0], [0.5, 0], [0, way], [-0.4, 1], [0.4, 1]]) * eyes_px
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    face = Face((0, 0, 1, 1), tuple(map(tuple, (upright @ np.array([[cos, sin], [-sin, cos]])).tolist())), 1.0)
    assert np.sign(round(pitch_deg(face), 6)) == np.sign(round(way - NOSE_LEVEL, 6)) and abs(pitch_deg(face)) <= 60


def test_points_in_one_place_have_no_pitch() -> None:
    assert pitch_deg(Face((0, 0, 1, 1), ((5, 5),) * 5, 1.0)) == 0
