"""The size at which a whole picture is trained, and which part of it is shown."""
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.errors import BadInput
from personal_avatar.photos.crop import cut, to_crop
from personal_avatar.photos.framing import bucket_for, frame, whole_picture
from personal_avatar.photos.settings import FULL, PORTRAIT, PhotoSettings

sides = st.integers(64, 4000) | st.integers(64, 200) | st.integers(4000, 20000)
sizes = st.tuples(sides, sides)
resolutions = st.integers(8, 128).map(lambda eighths: 8 * eighths)
shares = st.floats(0, 1)


def upright_face(middle: tuple[float, float], width: float) -> Face:
    x, y = middle
    offsets = ((-0.2, -0.1), (0.2, -0.1), (0, 0.1), (-0.1, 0.2), (0.1, 0.2))
    marks = tuple((x + width * u, y + width * v) for u, v in offsets)
    return Face((x - width / 2, y - 0.6 * width, x + width / 2, y + 0.6 * width), marks, 0.9)


def face_in(size: tuple[int, int], across: float, down: float, share: float) -> Face:
    """A face that lies whole in a photo, its box `share` of the shorter side high."""
    width = share * min(size) / 1.2
    room = size[0] - width, size[1] - 1.2 * width
    return upright_face((width / 2 + across * room[0], 0.6 * width + down * room[1]), width)


@given(sizes, resolutions)
def test_sizes_are_multiples_of_64_within_the_resolution_and_never_enlarged(
    size: tuple[int, int], resolution: int
) -> None:
    width, height = bucket_for(size, resolution)
    assert width % 64 == 0 and height % 64 == 0 and min(width, height) >= 64
    assert width * height <= resolution**2
    assert width <= size[0] and height <= size[1]


@given(sizes, resolutions)
def test_no_side_is_longer_than_twice_the_resolution(size: tuple[int, int], resolution: int) -> None:
    assert max(bucket_for(size, resolution)) <= 2 * resolution


@given(sizes, resolutions)
def test_a_turned_picture_has_the_turned_size(size: tuple[int, int], resolution: int) -> None:
    width, height = bucket_for(size, resolution)
    across, down = bucket_for(size[::-1], resolution)
    assert {width, height} == {across, down}


@given(st.tuples(st.integers(512, 4000), st.integers(512, 4000)), st.sampled_from([512, 768, 1024]))
def test_of_common_pictures_little_is_cut_off_and_the_area_is_used(size: tuple[int, int], resolution: int) -> None:
    assume(0.5 <= size[0] / size[1] <= 2)
    width, height = bucket_for(size, resolution)
    scale = max(width / size[0], height / size[1])
    assert width * height >= 0.75 * scale**2 * size[0] * size[1]
    assert width * height >= 0.75 * min(resolution**2, size[0] * size[1])


@pytest.mark.parametrize(
    ("size", "resolution", "bucket"),
    [
        ((4000, 4000), 512, (512, 512)),
        ((4000, 3000), 512, (576, 448)),
        ((3000, 4000), 1024, (896, 1152)),
        ((1920, 1080), 512, (640, 384)),
        ((300, 300), 512, (256, 256)),
        ((1000, 100), 512, (640, 64)),
        ((64, 64), 64, (64, 64)),
        ((8000, 130), 1024, (2048, 64)),
        ((130, 8000), 1024, (64, 2048)),
        ((8000, 800), 512, (1024, 128)),
        ((8000, 2000), 512, (1024, 256)),
    ],
)
def test_the_sizes_of_usual_pictures(size: tuple[int, int], resolution: int, bucket: tuple[int, int]) -> None:
    assert bucket_for(size, resolution) == bucket


@pytest.mark.parametrize(("size", "resolution"), [((63, 500), 512), ((500, 63), 512), ((500, 500), 56)])
def test_what_is_too_small_is_named(size: tuple[int, int], resolution: int) -> None:
    with pytest.raises(BadInput, match=f"{size[0]} x {size[1]}") as caught:
        bucket_for(size, resolution)
    assert "framing portrait" in caught.value.hint


@given(sizes, resolutions, shares, shares, st.floats(0.05, 0.7))
def test_the_face_lies_inside_the_whole_picture(
    size: tuple[int, int], resolution: int, across: float, down: float, share: float
) -> None:
    face = face_in(size, across, down, share)
    bucket = bucket_for(size, resolution)
    window = whole_picture(face, size, bucket)
    assert all(0 <= mark <= end for point in face.landmarks_px for mark, end in zip(point, size, strict=True))
    for corner in (face.box_px[:2], face.box_px[2:]):
        place = to_crop(window, bucket, corner)
        for at, end, box, shown in zip(
            place, bucket, (face.width_px, face.height_px), window.size_px, strict=True
        ):
            assert box > shown or -0.01 <= at <= end + 0.01


@given(sizes, resolutions, shares, shares, st.floats(0.05, 1))
def test_the_window_lies_in_the_photo_as_wide_or_as_high_as_it_is(
    size: tuple[int, int], resolution: int, across: float, down: float, share: float
) -> None:
    bucket = bucket_for(size, resolution)
    window = whole_picture(face_in(size, across, down, share), size, bucket)
    for centre, side, end in zip(window.centre_px, window.size_px, size, strict=True):
        assert centre - side / 2 >= -1e-6 and centre + side / 2 <= end + 1e-6
    assert any(math.isclose(side, end) for side, end in zip(window.size_px, size, strict=True))
    assert math.isclose(window.size_px[0] / window.size_px[1], bucket[0] / bucket[1])
    assert window.size_px[0] >= bucket[0] - 1e-6


@settings(max_examples=25)
@given(st.tuples(st.integers(64, 700), st.integers(64, 700)), st.sampled_from([64, 128, 512]), shares, shares)
def test_a_whole_picture_is_cut_without_padding_and_turning(
    size: tuple[int, int], resolution: int, across: float, down: float
) -> None:
    image = np.full((size[1], size[0], 3), 7, np.uint8)
    window, bucket = frame(face_in(size, across, down, 0.3), size, resolution, PhotoSettings(), FULL)
    crop = cut(image, window, bucket)
    assert crop.image.shape == (bucket[1], bucket[0], 3) and (crop.image == 7).all()
    assert not crop.padded and window.tilt_deg == 0 and crop.scale <= 1 + 1e-9


def test_a_picture_of_a_fitting_size_is_kept_pixel_by_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (448, 576, 3), dtype=np.uint8)
    window, bucket = frame(upright_face((100, 100), 80), (576, 448), 512, PhotoSettings(), FULL)
    assert bucket == (576, 448) and np.array_equal(cut(image, window, bucket).image, image)


def test_the_border_is_cut_off_on_the_side_away_from_the_face() -> None:
    size = (4000, 3000)
    bucket = bucket_for(size, 512)
    left = whole_picture(upright_face((400, 1500), 300), size, bucket)
    right = whole_picture(upright_face((3600, 1500), 300), size, bucket)
    assert left.size_px == right.size_px == pytest.approx((3857.1, 3000), abs=0.1)
    assert left.centre_px[0] - left.size_px[0] / 2 == pytest.approx(0)
    assert right.centre_px[0] + right.size_px[0] / 2 == pytest.approx(4000)


def test_portraits_are_squares_of_the_resolution() -> None:
    window, size = frame(upright_face((500, 500), 200), (1000, 800), 256, PhotoSettings(), PORTRAIT)
    assert size == (256, 256) and window.size_px[0] == window.size_px[1]
