"""Masks and dark glasses are seen when they leave no doubt, and nothing else is taken for them."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import real_photos
from personal_avatar.domain import Face, Reason
from personal_avatar.errors import WeightsError
from personal_avatar.faces.alignment import TEMPLATE_112_PX, apply, inverse, similarity_transform
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.photos.covering import covered
from personal_avatar.photos.report import check
from PIL import Image, ImageDraw

MASK = [(27, 64), (56, 61), (85, 64), (84, 95), (70, 110), (42, 110), (28, 95)]
LENSES = [(23, 42, 53, 66), (58, 42, 88, 66)]


@pytest.fixture(scope="module")
def astronaut(weights_folder: Path, analyser: FaceAnalyser) -> tuple[np.ndarray, Face]:
    try:
        image = real_photos.photo("astronaut.png", weights_folder.parent / "photos")
    except WeightsError as error:
        pytest.skip(f"no photo: {error}")
    return image, analyser.detect(image)[0]


def painted(photo: tuple[np.ndarray, Face], what: str, colour: tuple[int, int, int]) -> np.ndarray:
    """A mask or glasses on the face, in places of the aligned face."""
    image, face = photo
    back = inverse(similarity_transform(np.array(face.landmarks_px), TEMPLATE_112_PX))
    picture = Image.fromarray(image.copy())
    draw = ImageDraw.Draw(picture)
    for shape in [MASK] if what == "mask" else [[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in LENSES]:
        draw.polygon([tuple(point) for point in apply(back, np.array(shape, dtype=float))], fill=colour)
    noisy = np.asarray(picture).astype(float) + np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_a_free_face_is_free(astronaut: tuple[np.ndarray, Face]) -> None:
    assert covered(*astronaut) == 0.0


@pytest.mark.parametrize(("what", "colour"), [
    ("mask", (150, 190, 220)), ("mask", (170, 215, 200)), ("mask", (240, 240, 240)), ("glasses", (25, 25, 28)),
])
def test_what_leaves_no_doubt_is_seen_and_rejected(
    astronaut: tuple[np.ndarray, Face], analyser: FaceAnalyser, tmp_path: Path, what: str, colour: tuple[int, int, int]
) -> None:
    image = painted(astronaut, what, colour)
    found = covered(image, astronaut[1])
    assert found is not None and found >= 0.5
    Image.fromarray(image).save(tmp_path / "covered.png")
    verdict = check([tmp_path / "covered.png"], analyser).photos[0]
    assert verdict.reasons in ((Reason.OCCLUDED,), (Reason.NO_FACE,))


def test_small_and_turned_faces_are_not_judged(astronaut: tuple[np.ndarray, Face]) -> None:
    image, face = astronaut
    small = Face((0, 0, 40, 50), tuple((x / 5, y / 5) for x, y in face.landmarks_px), 0.9)
    marks = (*face.landmarks_px[:2], (face.landmarks_px[1][0], face.landmarks_px[2][1]), *face.landmarks_px[3:])
    assert covered(image, small) is None and covered(image, Face(face.box_px, marks, 0.9)) is None
