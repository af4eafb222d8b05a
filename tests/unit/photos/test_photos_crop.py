"""Where a crop lies, and that it shows there what the photo shows."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from personal_avatar.photos.crop import Window, cut, to_crop, to_photo
from personal_avatar.photos.framing import SHAPES, frame
from personal_avatar.photos.settings import HALF, HEAD, PORTRAIT, PhotoSettings

from tests.unit.photos.upright_faces import face_at

sizes = st.tuples(st.integers(60, 3000), st.integers(60, 3000))
tilts = st.floats(-80, 80)
framings = st.sampled_from(tuple(SHAPES))


@given(
    sizes, st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(0.05, 0.9), tilts, st.sampled_from([64, 128, 512, 1024]),
    framings, st.floats(1, 4),
)
def test_the_face_stays_in_the_crop_and_nothing_is_stretched(
    size: tuple[int, int], x: float, y: float, share: float, tilt: float, resolution: int, framing: str, limit: float
) -> None:
    face = face_at(x * size[0], y * size[1], share * min(size), tilt)
    window, made = frame(face, size, resolution, PhotoSettings(max_upscale=limit), framing)
    assert all(side % 64 == 0 and side >= 64 for side in made) and made[0] * made[1] <= resolution**2
    assert window.size_px[0] * made[1] == pytest.approx(window.size_px[1] * made[0])
    left, top, right, bottom = face.box_px
    corners = [(across, down) for across in (left, right) for down in (top, bottom)]
    for point in (*face.landmarks_px, *corners):
        place = to_crop(window, made, point)
        assert all(-0.5 <= at <= end + 0.5 for at, end in zip(place, made, strict=True))


@given(
    sizes, st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(0.05, 0.9), tilts, st.sampled_from([128, 512, 1024]),
    framings, st.floats(1, 4),
)
def test_no_photo_is_enlarged_beyond_the_limit_unless_its_picture_is_the_smallest_there_is(
    size: tuple[int, int], x: float, y: float, share: float, tilt: float, resolution: int, framing: str, limit: float
) -> None:
    face = face_at(x * size[0], y * size[1], share * min(size), tilt)
    window, made = frame(face, size, resolution, PhotoSettings(max_upscale=limit), framing)
    assert made[0] <= window.size_px[0] * limit + 1e-3 or min(made) == 64


@given(sizes, st.floats(0.3, 0.7), st.floats(0.3, 0.7), st.floats(0.05, 0.2), framings)
def test_with_room_around_the_face_nothing_is_padded(
    size: tuple[int, int], x: float, y: float, share: float, framing: str
) -> None:
    assume(0.5 <= size[0] / size[1] <= 2)
    face = face_at(x * size[0], y * size[1], share * min(size), 0)
    window, _ = frame(face, size, 64, PhotoSettings(), framing)
    for centre, side, end in zip(window.centre_px, window.size_px, size, strict=True):
        assert centre - side / 2 >= -1 and centre + side / 2 <= end + 1


def test_eyes_are_level_after_the_cut_and_small_tilts_are_left_alone() -> None:
    for tilt, expected in ((30.0, 0.0), (-45.0, 0.0), (5.0, 5.0)):
        face = face_at(500, 500, 200, tilt)
        for framing in SHAPES:
            window, size = frame(face, (1000, 1000), 256, PhotoSettings(), framing)
            (x0, y0), (x1, y1) = (to_crop(window, size, mark) for mark in face.landmarks_px[:2])
            assert math.degrees(math.atan2(y1 - y0, x1 - x0)) == pytest.approx(expected, abs=0.01)


def test_framings_show_more_and_more_of_the_person() -> None:
    """Of a figure of eight heads: the head, the shoulders, the waist are in the pictures meant for them."""
    face = face_at(2000, 1000, 160, 0)
    head_px, top = 1.27 * face.height_px, 1000 - 0.77 * face.height_px
    shown = {}
    for framing in (HEAD, PORTRAIT, HALF):
        window, _ = frame(face, (4000, 4000), 512, PhotoSettings(), framing)
        upper, lower = (window.centre_px[1] + side * window.size_px[1] / 2 for side in (-1, 1))
        assert upper <= top
        shown[framing] = (lower - top) / head_px
    assert 1 < shown[HEAD] < 1.3 < shown[PORTRAIT] < 1.8 and 3 < shown[HALF] < 4


def test_a_half_body_is_upright_of_the_area_that_is_trained() -> None:
    face = face_at(2000, 1000, 400, 0)
    made = {resolution: frame(face, (4000, 4000), resolution, PhotoSettings(), HALF)[1] for resolution in (512, 1024)}
    assert made == {512: (448, 576), 1024: (896, 1152)}


def test_a_small_face_gets_a_wider_crop_and_a_small_photo_a_smaller_one_rather_than_much_enlargement() -> None:
    limit = PhotoSettings(max_upscale=2)
    window, size = frame(face_at(1000, 1000, 60, 0), (2000, 2000), 512, limit, PORTRAIT)
    assert window.size_px[0] == pytest.approx(256) and size == (512, 512)
    window, size = frame(face_at(50, 50, 40, 0), (100, 100), 512, limit, PORTRAIT)
    assert window.size_px[0] == pytest.approx(100, abs=12) and size == (192, 192)


@settings(max_examples=40)
@given(st.floats(-80, 80), st.floats(60, 300), st.tuples(st.floats(100, 300), st.floats(100, 300)), st.integers(0, 99))
def test_a_dot_of_the_photo_is_where_the_geometry_says(
    tilt: float, side: float, centre: tuple[float, float], seed: int
) -> None:
    square = Window(centre, (side, side), tilt)
    across, down = np.random.default_rng(seed).uniform(-0.3, 0.3, 2) * side
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    dot = (centre[0] + across * cos - down * sin, centre[1] + across * sin + down * cos)
    assume(all(8 < value < 392 for value in dot))
    y, x = np.mgrid[:400, :400] + 0.5
    image = np.repeat(((np.hypot(x - dot[0], y - dot[1]) < 4) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    crop = cut(image, square, (128, 128)).image[:, :, 0].astype(float)
    crop[crop < crop.max() / 2] = 0  # the blurred mirror image of a dot near the edge
    found = np.array([(crop * grid).sum() / crop.sum() for grid in np.mgrid[:128, :128][::-1] + 0.5])
    assert np.allclose(found, to_crop(square, (128, 128), dot), atol=1.5 + 128 / side)


@given(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), sizes, st.floats(-180, 180), sizes, sizes)
def test_the_way_to_the_crop_can_be_gone_back(
    centre: tuple[float, float], window_px: tuple[int, int], tilt: float, size: tuple[int, int], point: tuple[int, int]
) -> None:
    window = Window(centre, window_px, tilt)
    assert to_photo(window, size, to_crop(window, size, point)) == pytest.approx(point, abs=1e-6)


def test_the_cut_of_an_untilted_square_at_its_own_size_keeps_the_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    crop = cut(image, Window((150, 100), (128, 128)), (128, 128))
    assert np.array_equal(crop.image, image[36:164, 86:214]) and not crop.padded and crop.scale == 1


@pytest.mark.parametrize("centre", [(0, 0), (300, 200), (-60, 100), (150, 310)])
def test_outside_of_the_photo_lies_its_blurred_mirror_image(centre: tuple[float, float]) -> None:
    image = np.random.default_rng(0).integers(100, 200, (200, 300, 3), dtype=np.uint8)
    crop = cut(image, Window(centre, (256, 256)), (256, 256))
    assert crop.padded and crop.image.shape == (256, 256, 3)
    assert crop.image.min() >= 95 and crop.image.max() <= 205
    left, top = round(centre[0] - 128), round(centre[1] - 128)
    rows, columns = slice(max(0, -top), min(256, 200 - top)), slice(max(0, -left), min(256, 300 - left))
    assert np.array_equal(crop.image[rows, columns], image[max(0, top) : top + 256, max(0, left) : left + 256])


@pytest.mark.slow
@settings(max_examples=40)
@given(sizes, st.floats(0, 1), st.floats(0, 1), st.floats(0.2, 1.5), tilts, framings)
def test_any_face_box_can_be_cut(
    size: tuple[int, int], x: float, y: float, share: float, tilt: float, framing: str
) -> None:
    assume(size[0] * size[1] < 1_000_000)
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    face = face_at(x * size[0], y * size[1], share * min(size), tilt)
    crop = cut(image, *frame(face, size, 64, PhotoSettings(), framing))
    assert crop.image.shape == (64, 64, 3) and crop.image.dtype == np.uint8
    assert crop.image.min() > 190
