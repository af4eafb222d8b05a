"""Who is told from what is behind: on a real photo, on shapes that are known, and where nobody can tell."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face, Look, Photo
from personal_avatar.errors import WeightsMissing
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.crop import Window, cut
from personal_avatar.photos.cutting import Cutter, Sitting
from personal_avatar.photos.framing import frame
from personal_avatar.photos.mask import head_mask, within
from personal_avatar.photos.matting import Matting, chosen, persons, seen_at
from personal_avatar.photos.settings import ELLIPSE, NETWORK, PLAIN, PORTRAIT, PhotoSettings
from personal_avatar.weights import fetch
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.matting import MODNET
from personal_avatar.weights.nouns import Weight

from tests.real_photos import photo
from tests.unit.photos.upright_faces import face_at

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
WHOLE = Window((100, 100), (200, 200))


@pytest.fixture(scope="module")
def matting() -> Matting:
    return Matting(ensure(MODNET, ROOT / ".cache" / "matting"))


@pytest.fixture(scope="module")
def astronaut(analyser: FaceAnalyser) -> Sitting:
    pixels = photo("astronaut.png", ROOT / ".cache" / "photos")
    (face,) = analyser.detect(pixels)[:1]
    return Sitting(Photo(Path("astronaut.png"), "0" * 64, (512, 512)), pixels, face)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    down, across = np.mgrid[:200, :200] + 0.5
    return (np.hypot(across - x, down - y) < radius).astype(np.float32)


@given(st.tuples(st.integers(64, 2000), st.integers(64, 2000)))
def test_the_network_sees_its_own_size_in_nearly_the_pictures_proportions(size: tuple[int, int]) -> None:
    width, height = seen_at(size)
    assert width % 32 == height % 32 == 0 and min(width, height) == 512
    assert abs(width / height / (size[0] / size[1]) - 1) < 0.04


def test_a_mask_by_the_network_ends_where_the_person_does(matting: Matting, astronaut: Sitting) -> None:
    """Measured by the network's own answer at the photo's size, of which the crop is a part."""
    assert astronaut.face is not None
    window, size = frame(astronaut.face, (512, 512), 256, PhotoSettings(), PORTRAIT)
    crop = cut(astronaut.pixels, window, size).image
    whole = np.repeat((matting(astronaut.pixels) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    reference = cut(whole, window, size).image[:, :, 0] > 127
    matte = persons(matting(crop), astronaut.face, window)
    assert matte is not None
    agree = ((matte > 0.5) & reference).sum() / ((matte > 0.5) | reference).sum()
    assert agree > 0.93
    weights = {}
    for name, given_matte in (("ellipse", None), ("network", matte)):
        mask = head_mask(astronaut.face, (512, 512), window, size, given_matte).astype(float)
        weights[name] = float((mask * reference).sum() / mask.sum())
        face = head_mask(astronaut.face, (512, 512), window, size)[size[1] // 2 - 20 : size[1] // 2 + 20, 108:148]
        assert (face == 255).all()
    assert weights["ellipse"] < 0.85 and weights["network"] > 0.97


def test_only_what_hangs_together_with_the_face_is_the_person() -> None:
    person, balloon = disc(80, 100, 50), disc(175, 30, 18)
    found = persons(person + balloon, face_at(80, 100, 60), WHOLE)
    assert found is not None
    assert (found[person > 0] == 1).all() and found[balloon > 0].max() == 0


def test_where_the_face_is_not_the_mattes_nobody_can_tell() -> None:
    assert persons(disc(150, 100, 40), face_at(50, 100, 60), WHOLE) is None
    assert persons(np.zeros((200, 200), np.float32), face_at(100, 100, 60), WHOLE) is None
    assert persons(disc(100, 100, 90), face_at(900, 900, 60), WHOLE) is None


def test_holes_in_a_face_are_filled() -> None:
    found = persons(disc(100, 100, 60) - disc(95, 100, 6), face_at(100, 100, 60), WHOLE)
    assert found is not None and found[100, 95] == 1


def test_the_network_is_used_where_it_is_and_fetched_only_where_it_is_needed(tmp_path: Path) -> None:
    assert chosen(PhotoSettings(), tmp_path) is None and chosen(PhotoSettings(), None) is None
    assert chosen(PhotoSettings(faces="ignored", background=PLAIN), None) is None
    weights = ROOT / ".cache" / "matting"
    ensure(MODNET, weights)
    assert chosen(PhotoSettings(), weights) == Matting(weights / "modnet.onnx")
    assert chosen(PhotoSettings(matting=ELLIPSE), weights) is None
    assert chosen(PhotoSettings(matting=ELLIPSE, background=PLAIN), weights) is not None
    for asked in (PhotoSettings(background=PLAIN), PhotoSettings(matting=NETWORK)):
        with pytest.raises(WeightsMissing):
            chosen(asked, None)


def test_a_download_of_the_network_is_told_before_it_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []

    def fetched(weight: Weight, folder: Path) -> Path:
        told.append("begun")
        return folder / weight.file_name

    monkeypatch.setattr(fetch, "ensure", fetched)
    chosen(PhotoSettings(background=PLAIN), tmp_path, told.append)
    assert told[0].startswith("Fetching modnet.onnx (25.9 MB, Apache-2.0)") and told[1:] == ["begun"]
    monkeypatch.setattr(fetch, "present", lambda weight, folder: True)
    chosen(PhotoSettings(background=PLAIN), tmp_path, told.append)
    assert told[2:] == ["begun"]


def test_a_plain_background_leaves_the_person_and_nothing_else(matting: Matting, astronaut: Sitting) -> None:
    plain = PhotoSettings(background=PLAIN, background_colour="#336699")
    made = Cutter(plain, 256, matting).trained(astronaut)
    kept = Cutter(PhotoSettings(), 256, matting).trained(astronaut)
    assert made.facts["background"] == PLAIN and made.facts["mask"] == NETWORK
    assert (made.image[:20, :20] == (0x33, 0x66, 0x99)).all()
    changed = np.abs(made.image.astype(int) - kept.image).max(axis=2)
    assert made.mask is not None and changed[made.mask == 255].max() <= 2 and (changed == 0).mean() > 0.3
    held_out = Cutter(plain, 256, matting).held_out(astronaut)
    assert np.array_equal(held_out.image, kept.image) and held_out.mask is None


def test_drawings_are_left_as_they_are(matting: Matting, samples: Path, analyser: FaceAnalyser) -> None:
    from personal_avatar.photos.read import read_photo

    found, pixels = read_photo(samples / "01.jpg")
    drawing = Sitting(found, pixels, analyser.detect(pixels)[0], Look.DRAWN)
    made = Cutter(PhotoSettings(background=PLAIN), 128, matting).trained(drawing)
    plain = Cutter(PhotoSettings(), 128).trained(drawing)
    assert np.array_equal(made.image, plain.image) and made.facts["mask"] == ELLIPSE
    assert made.mask is not None and plain.mask is not None and np.array_equal(made.mask, plain.mask)


def test_what_was_padded_is_never_the_person(matting: Matting, astronaut: Sitting) -> None:
    """The photo ends at the edges of the face; what is mirrored there is no second chin."""
    assert astronaut.face is not None
    left, top, right, bottom = (int(value) for value in astronaut.face.box_px)
    pixels = astronaut.pixels[top : bottom + 1, left : right + 1]
    size = (pixels.shape[1], pixels.shape[0])
    marks = tuple((x - left, y - top) for x, y in astronaut.face.landmarks_px)
    face = Face((0, 0, *size), marks, 0.9)
    made = Cutter(PhotoSettings(background=PLAIN), 128, matting).trained(
        Sitting(Photo(Path("x"), "1" * 64, size), pixels, face)
    )
    window, made_px = frame(face, size, 128, PhotoSettings(), PORTRAIT)
    outside = ~within(size, window, made_px)
    assert made.facts["padded"] and made.facts["background"] == PLAIN and outside.mean() > 0.2
    assert made.mask is not None and made.mask[outside].max() == 0
    assert np.abs(made.image[outside].astype(int) - 0x80).max() <= 1
