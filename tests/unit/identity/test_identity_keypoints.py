"""Keypoints: drawn as InstantID draws them, placed where geometry says."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.errors import InvalidSettings, NoFace
from personal_avatar.identity import keypoints

SIZES = [(1024, 1024), (896, 1152), (512, 768), (1536, 640)]
SHAPE = np.array([(-0.5, -0.4), (0.5, -0.4), (0.0, 0.1), (-0.4, 0.6), (0.4, 0.6)])
sides = st.integers(64, 2048)
sizes = st.tuples(sides, sides)


def points(middle: tuple[float, float], size_px: float, turned: float = 0.0) -> np.ndarray:
    """Five points of a face of that width, turned by radians."""
    across, down = math.cos(turned), math.sin(turned)
    return SHAPE @ np.array([(across, down), (-down, across)]) * size_px + np.array(middle)


def face(landmarks: np.ndarray) -> Face:
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    return Face((left, top, right, bottom), tuple((float(x), float(y)) for x, y in landmarks), 0.9)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("turned", [0.0, 0.4, -1.3, 3.0])
def test_it_looks_as_opencv_draws_it(width: int, height: int, turned: float) -> None:
    cv2 = pytest.importorskip("cv2")
    scale = max(width, height) / 1024
    landmarks = points((width * 0.4, height * 0.5), min(width, height) * 0.3, turned)
    wanted = np.zeros((height, width, 3), dtype=np.uint8)
    for number in (0, 1, 3, 4):
        x, y = landmarks[[number, 2]].T
        axes = (int(math.hypot(x[0] - x[1], y[0] - y[1]) / 2), round(4 * scale))
        turn = int(math.degrees(math.atan2(y[0] - y[1], x[0] - x[1])))
        ellipse = cv2.ellipse2Poly((int(x.mean()), int(y.mean())), axes, turn, 0, 360, 1)
        cv2.fillConvexPoly(wanted, ellipse, keypoints.COLOURS[number])
    wanted = (wanted * 0.6).astype(np.uint8)
    for (x, y), colour in zip(landmarks, keypoints.COLOURS, strict=True):
        cv2.circle(wanted, (int(x), int(y)), round(10 * scale), colour, -1)
    found = keypoints.draw(landmarks[None], width, height)
    drawn, expected = found.any(axis=2), wanted.any(axis=2)
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.95
    assert np.abs(found[drawn & expected].astype(int) - wanted[drawn & expected]).mean() < 2.0


def test_points_have_their_colours_and_sticks_six_tenths_of_them() -> None:
    landmarks = points((512, 512), 500)
    drawn = keypoints.draw(landmarks[None], 1024, 1024)
    assert (drawn.shape, drawn.dtype) == ((1024, 1024, 3), np.uint8)
    for (x, y), colour in zip(landmarks.astype(int), keypoints.COLOURS, strict=True):
        assert tuple(drawn[y, x]) == tuple(drawn[y - 10, x]) == tuple(drawn[y, x + 10]) == colour
    for number in (0, 1, 3, 4):
        x, y = ((landmarks[number] + landmarks[2]) / 2).astype(int)
        assert tuple(drawn[y, x]) == tuple(int(value * 0.6) for value in keypoints.COLOURS[number])
    assert not drawn[:100].any()


def test_a_point_is_21_pixels_across_at_1024_and_half_of_that_at_512() -> None:
    at = np.full((1, 5, 2), 200.0)  # all in one place: what remains is the last disc
    assert [int(keypoints.draw(at, side, side).any(axis=2).any(axis=0).sum()) for side in (1024, 512, 2048)] \
        == [21, 11, 41]


def test_several_faces_are_on_one_map() -> None:
    one, other = points((250, 300), 200), points((700, 300), 150)
    both = keypoints.draw(np.stack([one, other]), 1024, 640)
    apart = [keypoints.draw(single[None], 1024, 640) for single in (one, other)]
    assert np.array_equal(both, np.maximum(*apart))
    assert not keypoints.draw(np.zeros((0, 5, 2)), 64, 64).any()


@given(
    middle=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)), size_px=st.floats(0, 4000),
    turned=st.floats(-4, 4), width=st.integers(1, 300), height=st.integers(1, 300),
)
def test_faces_partly_or_wholly_outside_do_not_break_it(
    middle: tuple[float, float], size_px: float, turned: float, width: int, height: int
) -> None:
    drawn = keypoints.draw(points(middle, size_px, turned)[None], width, height)
    assert drawn.shape == (height, width, 3)


@settings(max_examples=15)
@given(size_px=st.floats(120, 400), turned=st.floats(-3, 3), times=st.sampled_from([2, 3]))
@pytest.mark.slow
def test_a_larger_picture_is_the_same_drawing_enlarged(size_px: float, turned: float, times: int) -> None:
    """What is drawn in the one is within a pixel of what is drawn in the other, seen in the smaller one's pixels."""
    landmarks = np.trunc(points((256, 256), size_px / 2, turned))
    small = keypoints.draw(landmarks[None], 512, 512).any(axis=2)
    large = keypoints.draw(landmarks[None] * times, 512 * times, 512 * times).any(axis=2)
    shrunk = large.reshape(512, times, 512, times).mean(axis=(1, 3))
    assert not (small & ~grown(shrunk > 0)).any()
    assert not ((shrunk == 1) & ~grown(small)).any()


def grown(mask: np.ndarray) -> np.ndarray:
    """With all neighbours two pixels around: one for the place, one for whole degrees and pixels."""
    padded = np.pad(mask, 2)
    height, width = mask.shape
    return np.any([padded[y : y + height, x : x + width] for y in range(5) for x in range(5)], axis=0)


@given(size=sizes, target=sizes, x=st.floats(0, 1), y=st.floats(0, 1), share=st.floats(0.01, 0.3))
def test_a_photo_is_fitted_into_the_target_in_its_middle(
    size: tuple[int, int], target: tuple[int, int], x: float, y: float, share: float
) -> None:
    landmarks = points((x * size[0], y * size[1]), share * min(size))
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    assume((low >= 0).all() and (high <= np.array(size) - 1).all())
    placed = keypoints.from_reference(face(landmarks), size, target)
    scale = min(target[0] / size[0], target[1] / size[1])
    wanted = (landmarks - np.array(size) / 2) * scale + np.array(target) / 2
    assert placed.shape == (1, 5, 2)
    assert np.abs(placed[0] - wanted).max() <= 1.0 + 1e-6  # the last pixel is one before the edge
    assert np.allclose(keypoints.from_picture([face(landmarks)], size, target)[0], wanted)


@given(
    size=sizes, target=sizes, x=st.floats(-1, 2), y=st.floats(-1, 2), share=st.floats(0.01, 5.0),
    turned=st.floats(-3, 3),
)
def test_points_that_a_tight_crop_cut_off_are_brought_back_undistorted(
    size: tuple[int, int], target: tuple[int, int], x: float, y: float, share: float, turned: float
) -> None:
    landmarks = points((x * size[0], y * size[1]), share * min(size), turned)
    placed = keypoints.from_reference(face(landmarks), size, target)[0]
    assert (placed >= 0).all() and (placed <= np.array(target) - 1).all()
    ratio = np.linalg.norm(placed[0] - placed[1]) / np.linalg.norm(landmarks[0] - landmarks[1])
    assert np.allclose(placed - placed[2], (landmarks - landmarks[2]) * ratio, atol=1e-3)


def test_a_photo_can_be_fitted_into_a_part_of_the_target() -> None:
    landmarks = points((50, 50), 40)
    placed = keypoints.from_reference(face(landmarks), (100, 100), (1000, 800), (0.5, 0.25, 1.0, 1.0))[0]
    assert np.allclose(placed, (landmarks - 50) * 5 + np.array((750, 500)))


def test_boxes_are_placed_as_the_points_are() -> None:
    one = face(points((60, 40), 30))
    (box,) = keypoints.boxes_from_picture([one], (100, 100), (300, 200))
    placed = keypoints.from_picture([one], (100, 100), (300, 200))[0]
    assert np.allclose(box, (*placed.min(axis=0), *placed.max(axis=0)))
    assert keypoints.from_picture([], (100, 100), (300, 200)).shape == (0, 5, 2)


def test_faces_are_taken_from_left_to_right_and_the_smallest_left_out() -> None:
    far, near, middle, tiny = (face(points((x, 50), size)) for x, size in ((300, 40), (20, 30), (150, 50), (90, 5)))
    assert keypoints.left_to_right([far, near, middle, tiny], 3) == [near, middle, far]
    assert keypoints.left_to_right([far, near, middle], 1) == [middle]


def test_people_without_a_face_are_named() -> None:
    one = face(points((20, 20), 10))
    with pytest.raises(InvalidSettings, match="1 of 3 faces; none is left for Bea, person 3"):
        keypoints.left_to_right([one], 3, ["Ada", "Bea"])
    with pytest.raises(NoFace):
        keypoints.left_to_right([], 1, ["Ada"])
