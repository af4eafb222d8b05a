"""Restoration never costs likeness, never touches what is outside the face, and says why it was refused."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.identities import IdentityRestoreSettings
from personal_avatar.pictures import load_picture
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.quality import sharpness
from personal_avatar.restoration.everybody import RestoredPicture, restore_everybody
from personal_avatar.restoration.judge import FaceReader, Judge, Person, _apart, person_in
from personal_avatar.restoration.paste import box_around, face_mask, match_colours, pasted
from personal_avatar.restoration.trial import RestoreSettings
from personal_avatar.wording import text
from PIL import Image, ImageFilter

from tests.unit.painted_faces import PaintedFaces, face_at, person, picture

ME, OTHER = 1, 2
TIGHT = RestoreSettings(crop_scale=1.2)
FACES = PaintedFaces()
HER = person_in([picture(ME)], [FACES], "she")
SAMPLES = Path(__file__).parents[3] / "extension" / "personal_avatar" / "assets" / "samples"


def filtered(image: np.ndarray, how: ImageFilter.Filter | type[ImageFilter.Filter]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(how))


def mixed(image: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return np.rint(image + (other.astype(np.float32) - image) * share).astype(np.uint8)


@pytest.fixture
def blurred() -> np.ndarray:
    """The person, out of focus, with an empty cell beside."""
    return np.concatenate([filtered(person(ME), ImageFilter.GaussianBlur(2)), picture(None)], axis=1)


def restore(
    image: np.ndarray, restorer: Callable[[np.ndarray, float], np.ndarray], limits: RestoreSettings = TIGHT,
    drop: float = 0.0, reader: FaceReader = FACES, person: Person = HER,
) -> RestoredPicture:
    """One person, one recogniser."""
    wanted = IdentityRestoreSettings(below_px=0, below_sharpness=0.0, min_similarity_drop=drop)
    return restore_everybody(
        image, [person], Judge((reader,), sharpness), lambda crop, face, fidelity: restorer(crop, fidelity), wanted,
        limits=limits,
    )


def test_a_restorer_that_sharpens_is_accepted(blurred: np.ndarray) -> None:
    found = restore(blurred, lambda crop, fidelity: filtered(crop, ImageFilter.UnsharpMask(2, 120)))
    (face,) = found.faces
    assert face.restored and face.reason == "" and face.fidelity == 0.0
    assert face.after >= face.before
    assert not np.array_equal(found.image, blurred)


def test_a_restorer_that_makes_another_face_is_refused_and_the_original_stays(blurred: np.ndarray) -> None:
    found = restore(blurred, lambda crop, fidelity: _resized(person(OTHER), crop))
    assert found.count == 0 and "likeness would fall" in found.reason
    assert found.image is blurred and found.faces[0].after == found.faces[0].before


def _resized(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((like.shape[1], like.shape[0])))


def test_a_restorer_that_changes_nothing_is_said_to_do_so(blurred: np.ndarray) -> None:
    found = restore(blurred, lambda crop, fidelity: crop)
    assert (found.count, found.reason) == (0, text("unrestored.nothing")) and np.array_equal(found.image, blurred)


def test_a_restorer_that_blurs_is_refused() -> None:
    found = restore(picture(ME, None), lambda crop, _: filtered(crop, ImageFilter.GaussianBlur(3)), drop=0.2)
    assert found.count == 0 and "less sharp" in found.reason


@pytest.mark.parametrize(("now", "before", "said"), [
    (0.21, 0.32, ("0.21", "0.32")), (0.3184, 0.3221, ("0.318", "0.322")), (0.32, 0.32 + 1e-9, ("0.320000", "0.320000")),
])
def test_numbers_that_differ_are_told_apart(now: float, before: float, said: tuple[str, str]) -> None:
    assert _apart(now, before) == said


def test_the_strongest_restoration_that_keeps_the_likeness_is_found(blurred: np.ndarray) -> None:
    """A restorer that is harmless from fidelity 0.6 on and makes another face below."""
    asked: list[float] = []

    def restorer(crop: np.ndarray, fidelity: float) -> np.ndarray:
        asked.append(fidelity)
        sharp = filtered(crop, ImageFilter.UnsharpMask(2, 120))
        return sharp if fidelity >= 0.6 else mixed(sharp, _resized(person(OTHER), crop), 0.6 - fidelity + 0.3)

    found = restore(blurred, restorer, RestoreSettings(crop_scale=1.2, trials=8))
    assert found.count == 1 and 0.6 <= found.faces[0].fidelity <= 0.6 + 2**-5
    assert asked[:2] == [0.0, 1.0] and len(asked) == 8


def test_a_picture_without_a_face_is_left_alone() -> None:
    found = restore(picture(None), lambda crop, fidelity: 255 - crop)
    assert found.count == 0 and "no face" in found.reason and found.faces == ()


def test_a_crop_of_another_size_is_scaled_back(blurred: np.ndarray) -> None:
    def upscale(crop: np.ndarray, fidelity: float) -> np.ndarray:
        return filtered(np.asarray(Image.fromarray(crop).resize((200, 200))), ImageFilter.UnsharpMask(4, 150))

    assert restore(blurred, upscale).image.shape == blurred.shape


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), drop=st.floats(0, 0.2))
def test_an_accepted_restoration_never_costs_more_likeness_than_allowed(seed: int, share: float, drop: float) -> None:
    """Whatever a restorer does: mixes in noise, another face, another light."""
    image = np.concatenate([filtered(person(ME), ImageFilter.GaussianBlur(1)), picture(None)], axis=1)

    def restorer(crop: np.ndarray, fidelity: float) -> np.ndarray:
        return mixed(crop, _resized(person(seed), crop), share * (1 - fidelity))

    found = restore(image, restorer, drop=drop)
    (face,) = found.faces
    again = Scorer(FACES, np.asarray(HER.vectors[0])).score(found.image).likeness
    assert again == pytest.approx(face.after[0], abs=1e-4)
    assert face.after[0] >= face.before[0] - drop - 1e-9
    assert found.count or np.array_equal(found.image, image)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-20, 100),
    y=st.floats(-20, 60),
    feather=st.floats(0.05, 1),
    scale=st.floats(1.2, 4),
    seed=st.integers(0, 99),
)
def test_pasting_an_unchanged_crop_changes_no_byte(x: float, y: float, feather: float, scale: float, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (96, 150, 3), dtype=np.uint8)
    face = face_at(x, y)
    box = box_around(face, (150, 96), scale)
    mask = face_mask(face, box, feather)
    patch = match_colours(box.of(image), box.of(image), mask)
    assert np.array_equal(pasted(image, patch, box, mask), image)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-20, 100), y=st.floats(-20, 60), feather=st.floats(0.05, 1))
def test_outside_the_mask_every_byte_stays_whatever_is_pasted(x: float, y: float, feather: float) -> None:
    image = np.random.default_rng(5).integers(0, 256, (96, 150, 3), dtype=np.uint8)
    face = face_at(x, y)
    box = box_around(face, (150, 96), 2.0)
    mask = face_mask(face, box, feather)
    result = pasted(image, np.full((*mask.shape, 3), 255.0, dtype=np.float32), box, mask)
    everywhere = np.zeros(image.shape[:2], dtype=bool)
    everywhere[box.top : box.bottom, box.left : box.right] = mask > 0
    assert np.array_equal(result[~everywhere], image[~everywhere])
    assert mask.min() >= 0 and mask.max() <= 1 and mask.shape == box.of(image).shape[:2]


def test_the_mask_covers_eyes_nose_and_mouth_and_turns_with_the_head() -> None:
    upright = face_at(64, 64)
    lying = Face((64, 64, 128, 128), tuple((float(y), 192.0 - x) for x, y in upright.landmarks_px), 0.9)
    heights = []
    for face in (upright, lying):
        box = box_around(face, (192, 192), 3.0)
        mask = face_mask(face, box, 0.3)
        heights.append(int((mask.max(axis=1) > 0).sum()))
        for x, y in face.landmarks_px:
            assert mask[int(y) - box.top, int(x) - box.left] > 0.9
    assert heights[0] > heights[1]


def test_a_colour_cast_of_the_restorer_is_taken_out() -> None:
    face, original = face_at(0, 0), person(ME)
    mask = face_mask(face, box_around(face, (64, 64), 1.2), 0.3)[:64, :64]
    cast = np.clip(original.astype(np.float32) * 0.9 + [25, 0, -10], 0, 255).astype(np.uint8)
    repaired = match_colours(cast, original, mask)
    assert np.abs(repaired - original)[mask > 0.5].mean() < 3 < np.abs(cast.astype(float) - original)[mask > 0.5].mean()


@pytest.mark.slow
def test_real_models_refuse_a_stranger_and_accept_a_sharper_face(analyser: FaceAnalyser) -> None:
    known = person_in([load_picture(SAMPLES / name) for name in ("01.jpg", "02.jpg")], [analyser])
    image = _resized(load_picture(SAMPLES / "04.jpg"), np.empty((256, 256)))
    soft = filtered(image, ImageFilter.GaussianBlur(2.5))
    stranger, plain = load_picture(SAMPLES / "someone-else.jpg"), RestoreSettings()
    refused = restore(soft, lambda crop, _: _resized(stranger, crop), plain, reader=analyser, person=known)
    assert refused.count == 0 and refused.image is soft
    truth = restore(
        soft, lambda crop, w: mixed(_crop_like(image, soft, crop), crop, w), plain, reader=analyser, person=known
    )
    assert truth.count == 1 and truth.faces[0].after >= truth.faces[0].before


def _crop_like(image: np.ndarray, soft: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The part of `image` at the place where `crop` was cut out of `soft`."""
    height, width = crop.shape[:2]
    for top in range(soft.shape[0] - height + 1):
        for left in range(soft.shape[1] - width + 1):
            if np.array_equal(soft[top : top + height, left : left + width], crop):
                return image[top : top + height, left : left + width]
    raise AssertionError("the crop is not a part of the picture")
