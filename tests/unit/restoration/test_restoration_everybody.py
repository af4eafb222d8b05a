"""Every face by itself, and whatever a restorer does: nobody becomes less like themselves, nothing else is touched."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.errors import Cancelled, NoFace, RestorerMissing
from personal_avatar.identities import IdentityRestoreSettings
from personal_avatar.ranking.quality import sharpness
from personal_avatar.restoration.everybody import RestoredPicture, needs_it, restore_everybody
from personal_avatar.restoration.judge import KNOWN_FROM, Judge, Person, nearest, person_in
from personal_avatar.restoration.paste import box_around, face_mask
from personal_avatar.restoration.trial import RestoreSettings
from personal_avatar.vectors import unit
from personal_avatar.wording import text
from PIL import Image, ImageFilter

from tests.unit.painted_faces import CELL_PX, GREY, PaintedFaces, face_at, person, picture

ME, HER, OTHER = 1, 2, 7
TIGHT = RestoreSettings(crop_scale=1.2)
ALL = IdentityRestoreSettings(below_px=0, below_sharpness=0.0)


@dataclass(frozen=True)
class Greys(PaintedFaces):
    """A second recogniser that sees no colours, and finds faces a little elsewhere."""

    name: str = "greys"

    def detect(self, image: np.ndarray) -> list[Face]:
        found = super().detect(image)
        shift = (0.0, 1.0, 0.0, 1.0)
        return [
            Face(tuple(a + b for a, b in zip(one.box_px, shift, strict=True)), one.landmarks_px, one.score)
            for one in found
        ]

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        left, top = int(face.box_px[0]), int(face.box_px[1])
        grey = image[top : top + CELL_PX, left : left + CELL_PX].astype(np.float32).mean(axis=2) - GREY
        return unit(np.asarray(Image.fromarray(grey).resize((6, 6), Image.Resampling.BOX)).ravel())


READERS = (PaintedFaces(), Greys())
JUDGE = Judge(READERS, sharpness)


def known(*seeds: int) -> list[Person]:
    return [person_in([picture(seed)], READERS, f"person {seed}") for seed in seeds]


def soft(image: np.ndarray, radius: float = 2.0) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def sharpen(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
    sharp = np.asarray(Image.fromarray(crop).filter(ImageFilter.UnsharpMask(2, 120)))
    return np.rint(sharp + fidelity * (crop.astype(float) - sharp)).astype(np.uint8)


def two() -> np.ndarray:
    """Two people with an empty cell between them, out of focus."""
    empty = picture(None)
    return np.concatenate([soft(person(ME)), empty, soft(person(HER))], axis=1)


def restore(
    image: np.ndarray, restorer: Callable[[np.ndarray, Face, float], np.ndarray], *people: Person,
    wanted: IdentityRestoreSettings = ALL, judge: Judge = JUDGE, limits: RestoreSettings = TIGHT, **more: object,
) -> RestoredPicture:
    return restore_everybody(image, people, judge, restorer, wanted, limits=limits, **more)  # type: ignore[arg-type]


def touchable(image: np.ndarray, found: RestoredPicture, limits: RestoreSettings = TIGHT) -> np.ndarray:
    """bool (height, width): the ellipses of the faces that were restored."""
    where = np.zeros(image.shape[:2], dtype=bool)
    for report in found.faces:
        if report.restored:
            box = box_around(report.face, (image.shape[1], image.shape[0]), limits.crop_scale)
            where[box.top : box.bottom, box.left : box.right] |= face_mask(report.face, box, limits.feather) > 0
    return where


def likeness(image: np.ndarray, reader: PaintedFaces, someone: Person, place: Face) -> float:
    """As somebody who was not asked would measure it."""
    face = nearest(reader.detect(image), place)
    assert face is not None
    return float(unit(reader.embed(image, face)) @ someone.vectors[READERS.index(reader)])


def test_everybody_is_restored_and_measured_by_who_they_are() -> None:
    found = restore(two(), sharpen, *known(HER, ME))
    assert [(face.person, face.restored, face.known) for face in found.faces] == [
        ("person 1", True, True), ("person 2", True, True),
    ]
    assert all(len(face.before) == len(face.after) == 2 for face in found.faces)
    assert all(new >= old for face in found.faces for old, new in zip(face.before, face.after, strict=True))
    assert found.count == 2 and found.reason == ""


def test_a_stranger_stays_like_themselves_or_is_left_alone() -> None:
    image = two()
    both = restore(image, sharpen, *known(ME))
    assert [(face.known, face.restored) for face in both.faces] == [(True, True), (False, True)]
    alone = restore(image, sharpen, *known(ME), wanted=ALL.copy(update={"others": False}))
    assert [face.reason for face in alone.faces] == ["", text("unrestored.other")]
    assert np.array_equal(alone.image[:, 2 * CELL_PX :], image[:, 2 * CELL_PX :])


def test_who_is_hardly_like_the_person_is_a_stranger() -> None:
    """A cosine above 0 alone makes nobody the person."""
    me, other = (np.asarray(person_in([picture(seed)], READERS).vectors[0]) for seed in (ME, OTHER))
    across = unit(other - (other @ me) * me)
    limit = KNOWN_FROM * READERS[0].same_person_above
    for cosine, wanted in ((0.02, False), (limit - 0.02, False), (limit + 0.02, True)):
        someone = Person("person", (cosine * me + (1 - cosine**2) ** 0.5 * across, None))
        (seen,) = JUDGE.look(picture(ME), [someone])
        assert (seen.known, seen.person) == (wanted, "person" if wanted else "")
        assert seen.closest == pytest.approx(cosine, abs=1e-3)
        assert wanted or seen.told == pytest.approx((1.0, 1.0), abs=1e-5)
    (alone,) = JUDGE.look(picture(ME), [])
    assert alone.closest is None


def test_without_anybody_the_picture_is_its_own_reference() -> None:
    image = soft(person(ME))
    found = restore(image, sharpen, wanted=ALL.copy(update={"self_drop": 0.2}))
    assert found.count == 1 and found.faces[0].before == pytest.approx((1.0, 1.0), abs=1e-5)
    assert min(found.faces[0].after) >= 0.8

    def swap(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        return np.asarray(Image.fromarray(person(OTHER)).resize((crop.shape[1], crop.shape[0])))

    assert restore(image, swap).count == 0


def test_the_second_recogniser_has_a_say() -> None:
    """Colours turned round that the first one knows too little of to mind, once it is not asked about them."""

    @dataclass(frozen=True)
    class Blind(PaintedFaces):
        def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
            return unit(np.ones(4, dtype=np.float32))

    def swap(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        return np.asarray(Image.fromarray(person(OTHER)).resize((crop.shape[1], crop.shape[0])))

    image, blind = soft(person(ME)), Blind()
    one, both = Judge((blind,), sharpness), Judge((blind, READERS[1]), sharpness)
    assert restore(image, swap, person_in([person(ME)], one.readers), judge=one).count == 1
    refused = restore(image, swap, person_in([person(ME)], both.readers), judge=both)
    assert refused.count == 0 and "likeness would fall" in refused.reason


def test_large_and_sharp_faces_stay() -> None:
    def forbidden(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        raise AssertionError("nobody asked for this")

    image = two()
    wanted = IdentityRestoreSettings(below_px=CELL_PX, below_sharpness=0.0)
    found = restore(image, forbidden, wanted=wanted)
    assert found.image is image and {face.reason for face in found.faces} == {text("unrestored.good")}
    assert restore(image, sharpen, *known(ME, HER), wanted=wanted.copy(update={"below_px": CELL_PX + 1})).count == 2


@pytest.mark.parametrize(("px", "sharp", "wanted"), [(63, 0.0, False), (65, 0.0, True), (0, 9.0, True), (0, 0.0, True)])
def test_a_limit_of_zero_is_none(px: int, sharp: float, wanted: bool) -> None:
    limits = IdentityRestoreSettings.construct(below_px=px, below_sharpness=sharp)
    assert needs_it(face_at(0, 0), 0.5, limits) is wanted


def test_what_was_not_painted_is_the_users_own() -> None:
    image = two()
    found = restore(image, sharpen, *known(ME, HER), is_ours=lambda face: face.box_px[0] > CELL_PX)
    assert [face.reason for face in found.faces] == [text("unrestored.not_ours"), ""]
    assert np.array_equal(found.image[:, : 2 * CELL_PX], image[:, : 2 * CELL_PX])


def test_somebody_may_stop_it_and_a_missing_restorer_is_not_hidden() -> None:
    def stop() -> None:
        raise Cancelled("enough")

    def missing(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        raise RestorerMissing("no weights")

    with pytest.raises(Cancelled):
        restore(two(), sharpen, on_face=stop)
    with pytest.raises(RestorerMissing):
        restore(two(), missing)


def test_the_freest_that_is_tried_can_be_set() -> None:
    asked: list[float] = []

    def note(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        asked.append(fidelity)
        return sharpen(crop, face, 0.0)

    restore(soft(person(ME)), note, *known(ME), limits=RestoreSettings(crop_scale=1.2, fidelity=0.6))
    assert asked[0] == 0.6 and min(asked) == 0.6


def test_the_restorer_is_told_where_the_face_is_in_its_crop() -> None:
    seen: list[tuple[Face, tuple[int, ...]]] = []

    def look(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        seen.append((face, crop.shape))
        return crop

    image = two()
    restore(image, look, limits=RestoreSettings(crop_scale=2.0))
    left, right = seen[0], seen[-1]
    assert left[0].box_px == (0.0, 0.0, 64.0, 64.0) and left[1] == (64, 96, 3)
    assert right[0].box_px[0] == 32.0 and right[0].landmarks_px[0][0] == pytest.approx(32 + 0.35 * 64)


def test_neighbours_share_no_pixel() -> None:
    """A face's ellipse ends where another face is nearer."""
    one, other = face_at(0, 0), face_at(40, 0)
    box = box_around(one, (200, 64), 3.0)
    mine, hers = face_mask(one, box, 0.3, [other]), face_mask(other, box, 0.3, [one])
    assert not ((mine > 0) & (hers > 0)).any() and mine.max() > 0.9 and hers.max() > 0.9


def test_photos_without_a_face_are_nobody_and_another_recogniser_may_be_silent() -> None:
    @dataclass(frozen=True)
    class Sightless(PaintedFaces):
        def detect(self, image: np.ndarray) -> list[Face]:
            return []

    with pytest.raises(NoFace):
        person_in([picture(None)], READERS)
    readers = (READERS[0], Sightless())
    someone = person_in([picture(ME)], readers)
    assert someone.vectors[0] is not None and someone.vectors[1] is None
    found = restore(soft(person(ME)), sharpen, someone, judge=Judge(readers, sharpness))
    assert found.count == 1 and len(found.faces[0].after) == 1


@dataclass
class Hostile:
    """A restorer of which nothing good can be said; always the same for a seed."""

    how: str
    seed: int
    share: float
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def __call__(self, crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        height, width = crop.shape[:2]
        stranger = np.asarray(Image.fromarray(person(self.seed)).resize((width, height)))
        made = {
            "random": lambda: self._rng.integers(0, 256, crop.shape, dtype=np.uint8),
            "swap": lambda: np.rint(crop + self.share * (stranger.astype(float) - crop)).astype(np.uint8),
            "colour": lambda: np.clip(crop * self._rng.uniform(0.5, 1.5, 3) + self._rng.uniform(-60, 60, 3), 0, 255),
            "moved": lambda: np.roll(crop, self._rng.integers(-9, 9, 2), (0, 1)),
            "size": lambda: np.asarray(Image.fromarray(crop).resize((self.seed % 300 + 1, 37))),
            "nan": lambda: np.where(self._rng.random(crop.shape) < self.share, np.nan, crop.astype(float)),
            "overflow": lambda: crop.astype(float) * 1e30,
            "grey": lambda: crop.mean(axis=2),
            "nothing": lambda: None,
            "empty": lambda: crop[:0],
            "inverted": lambda: 255 - crop,
            "in place": lambda: self._spoil(crop),
        }
        return made[self.how]()  # type: ignore[return-value]

    def _spoil(self, crop: np.ndarray) -> np.ndarray:
        crop[...] = 0
        return crop


HOW = (
    "random", "swap", "colour", "moved", "size", "nan", "overflow", "grey", "nothing", "empty", "inverted", "in place",
)


@settings(max_examples=80, deadline=None)
@given(
    how=st.sampled_from(HOW), seed=st.integers(0, 10**6), share=st.floats(0, 1), blur=st.floats(0, 3),
    scale=st.floats(1.2, 3.0), acquainted=st.sampled_from([(), (ME,), (ME, HER)]), close=st.booleans(),
)
@pytest.mark.slow
def test_whatever_a_restorer_does_nobody_becomes_less_like_themselves_and_all_else_keeps_its_bytes(
    how: str, seed: int, share: float, blur: float, scale: float, acquainted: tuple[int, ...], close: bool
) -> None:
    image = soft(np.concatenate([person(ME), *([] if close else [picture(None)]), person(HER)], axis=1), blur)
    original, people = image.copy(), known(*acquainted)
    limits = RestoreSettings(crop_scale=scale)
    found = restore(image, Hostile(how, seed, share), *people, limits=limits)
    assert np.array_equal(image, original)
    assert np.array_equal(found.image[~touchable(image, found, limits)], original[~touchable(image, found, limits)])
    assert found.image.dtype == np.uint8 and found.image.shape == original.shape
    for someone in people:
        report = next(face for face in found.faces if face.person == someone.name)
        for reader in READERS:
            before = likeness(original, reader, someone, report.face)
            assert likeness(found.image, reader, someone, report.face) >= before - 1e-6
    for report in found.faces:
        if not report.known and report.restored:
            assert min(report.after) >= 1 - ALL.self_drop - 1e-5
    if how in ("nothing", "empty", "grey"):
        assert {face.reason for face in found.faces} == {text("unrestored.no_picture")}
