"""Photos that are too small: which, by how much, and that pictures show the same places afterwards."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Photo, PhotoReport, PhotoVerdict
from personal_avatar.errors import Cancelled
from personal_avatar.photos.crop import cut, to_crop
from personal_avatar.photos.cutting import Cutter, Sitting
from personal_avatar.photos.enlarge import Part, enlarge, enlarged, part_in
from personal_avatar.photos.framing import SHAPES, factor_for, frame
from personal_avatar.photos.read import read_photo
from personal_avatar.photos.settings import FULL, PORTRAIT, PhotoSettings
from PIL import Image

from tests.unit.photos.upright_faces import face_at

ASKED = PhotoSettings(upscaler="any")


def repeated(image: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel as a square: an upscaler of which every pixel is known."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def reported(folder: Path, side_px: int, face_px: float) -> tuple[PhotoReport, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    path = folder / "small.png"
    Image.fromarray(image).save(path)
    photo, _ = read_photo(path)
    face = face_at(side_px / 2, side_px / 2, face_px)
    return PhotoReport((PhotoVerdict(path, photo=photo, face=face, faces=1),)), image


@given(
    st.integers(80, 2000), st.floats(0.05, 0.4), st.sampled_from([256, 512, 1024]), st.sampled_from(tuple(SHAPES)),
    st.floats(1, 4),
)
def test_as_much_as_is_lacking_and_no_more(
    side: int, share: float, resolution: int, framing: str, limit: float
) -> None:
    settings = PhotoSettings(max_upscale=limit)
    face = face_at(side / 2, side / 2, share * side)
    factor = factor_for(face, (side, side), resolution, settings, framing)
    window, size = frame(face, (side, side), resolution, settings, framing, factor)
    assert size[0] <= window.size_px[0] * limit * factor + 1e-3 or min(size) == 64
    if factor < 4:
        margin = settings.crop_margin if framing == PORTRAIT else SHAPES[framing].margin
        assert window.size_px[1] <= max(margin * face.height_px, 1.3 * face.height_px) * 1.001
        assert size[0] * size[1] >= 0.6 * resolution**2
    if factor > 1:
        _, before = frame(face, (side, side), resolution, settings, framing, factor // 2)
        assert before[0] * before[1] <= size[0] * size[1]


def test_whole_photos_are_enlarged_when_they_have_fewer_pixels_than_are_trained() -> None:
    sides = (600, 512, 300, 128, 70)
    assert [factor_for(None, (side, side), 512, PhotoSettings(), FULL) for side in sides] == [1, 1, 2, 4, 4]
    assert frame(None, (300, 300), 512, PhotoSettings(), FULL, 2)[1] == (512, 512)


def test_a_picture_shows_the_same_places_only_finer(tmp_path: Path) -> None:
    report, image = reported(tmp_path, 150, 50)
    shown: list[tuple[int, ...]] = []

    def upscale(part: np.ndarray, factor: int) -> np.ndarray:
        shown.append((*part.shape[:2], factor))
        return repeated(part, factor)

    made = enlarge(report, tmp_path / "large", resolution_px=512, settings=ASKED, upscale=upscale,
                   on_progress=lambda done, total: None)
    verdict = report.photos[0]
    assert made == 1 and verdict.photo is not None
    assert shown[0][2] == 2 and max(shown[0][:2]) <= 150
    sitting = Sitting(verdict.photo, image, verdict.face)
    found = Cutter(ASKED, 512, enlarged=enlarged(tmp_path / "large")).trained(sitting)
    window, size = frame(verdict.face, (150, 150), 512, ASKED, PORTRAIT, 2)
    whole = Part(repeated(image, 2), (0, 0), 2)
    assert size == (512, 512) and np.array_equal(found.image, cut(whole.image, whole.window(window), size).image)
    assert found.facts["upscaled"] == 2 and not found.facts["enlarged_too_much"]
    assert Cutter(ASKED, 512).trained(sitting).image.shape < found.image.shape


def test_likeness_is_measured_on_photos_that_nothing_was_added_to(tmp_path: Path) -> None:
    report, image = reported(tmp_path, 150, 50)
    enlarge(report, tmp_path / "large", resolution_px=512, settings=ASKED, upscale=repeated,
            on_progress=lambda done, total: None)
    verdict = report.photos[0]
    assert verdict.photo is not None
    sitting = Sitting(verdict.photo, image, verdict.face)
    cutter = Cutter(ASKED, 512, enlarged=enlarged(tmp_path / "large"))
    assert np.array_equal(cutter.held_out(sitting).image, Cutter(ASKED, 512).held_out(sitting).image)


def test_large_photos_are_left_alone_and_earlier_ones_forgotten(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / ("0" * 64 + "_0_0_x2.png")).write_bytes(b"")
    (tmp_path / "large" / "mine.png").write_bytes(b"mine")
    report, _ = reported(tmp_path, 900, 300)
    made = enlarge(report, tmp_path / "large", resolution_px=512, settings=ASKED, upscale=repeated,
                   on_progress=lambda *_: None)
    assert [file.name for file in (tmp_path / "large").iterdir()] == ["mine.png"]
    assert made == 0 and enlarged(tmp_path / "large") == {} and enlarged(None) == {} and enlarged(tmp_path / "no") == {}


def test_it_can_be_stopped(tmp_path: Path) -> None:
    report, _ = reported(tmp_path, 150, 50)

    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        enlarge(report, tmp_path / "large", resolution_px=512, settings=ASKED, upscale=repeated, on_progress=stop)


def test_a_part_knows_where_it_was(tmp_path: Path) -> None:
    name = tmp_path / ("a" * 64 + "_30_40_x4.png")
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(name)
    part = part_in(name)
    window, size = frame(face_at(45, 52, 4), (200, 200), 64, PhotoSettings(max_upscale=8), PORTRAIT, 4)
    assert (part.corner_px, part.factor) == ((30, 40), 4)
    assert to_crop(part.window(window), size, ((45 - 30) * 4, (52 - 40) * 4)) == pytest.approx(
        to_crop(window, size, (45, 52))
    )
    with pytest.raises(ValueError, match="no part"):
        part_in(tmp_path / "photo.png")
    assert Photo(name, "a" * 64, (80, 80)).sha256 in enlarged(tmp_path)
