"""What photos of real people say, with real models of insightface: what insightface says, and more."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from insightface_models import models
from personal_avatar.errors import NoFace
from personal_avatar.faces.alignment import align_to
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.identity.nouns import Reference
from personal_avatar.identity.references import read
from PIL import Image
from real_photos import photo

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).with_name("embeddings_of_insightface.json")


@pytest.fixture(scope="module")
def insightface(weights_folder: Path) -> Analyser:
    detector, recogniser = models(weights_folder.parent / "insightface" / "buffalo_s")
    return Analyser(Scrfd(detector), arcface(recogniser))


@pytest.fixture(scope="module")
def astronaut(weights_folder: Path) -> np.ndarray:
    return photo("astronaut.png", weights_folder.parent / "photos")


@pytest.fixture(scope="module")
def group(weights_folder: Path) -> np.ndarray:
    return photo("t1.jpg", weights_folder.parent / "photos")


@pytest.fixture(scope="module")
def alone(astronaut: np.ndarray, insightface: Analyser) -> Reference:
    return read([astronaut], insightface)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def within(image: np.ndarray, canvas_px: int, left: int, top: int) -> np.ndarray:
    canvas = np.full((canvas_px, canvas_px, 3), 90, np.uint8)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


@pytest.mark.parametrize("name", ["astronaut.png", "t1.jpg"])
def test_embeddings_are_those_of_insightface(name: str, insightface: Analyser, weights_folder: Path) -> None:
    expected = np.array(json.loads(EXPECTED.read_text())[name])
    found = read([photo(name, weights_folder.parent / "photos")], insightface).embedding
    assert cosine(found, expected) > 0.9999
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=1e-3)
    assert found.dtype == np.float32 and np.linalg.norm(found) > 5  # it is not normalised


def test_one_photo_says_everything(alone: Reference, astronaut: np.ndarray) -> None:
    assert alone.embedding.shape == (512,) and alone.embeddings.shape == (1, 512) and alone.left_out == ()
    assert alone.crops.shape == (1, 224, 224, 3) and alone.crops.dtype == np.uint8
    assert alone.size_px == (512, 512) and 150 < alone.face.landmarks_px[0][0] < 250
    smooth = align_to(astronaut, alone.face.landmarks_px, 224).astype(float)
    assert np.abs(alone.crops[0].astype(float) - smooth).mean() < 2  # the same place, cut in another way


def test_several_photos_are_averaged_before_they_are_normalised(
    astronaut: np.ndarray, insightface: Analyser
) -> None:
    photos = [astronaut, np.ascontiguousarray(astronaut[:, ::-1]), (astronaut * 0.6).astype(np.uint8)]
    found = read(photos, insightface)
    single = np.stack([read([one], insightface).embedding for one in photos])
    assert np.allclose(found.embeddings, single) and np.allclose(found.embedding, single.mean(axis=0), atol=1e-6)
    assert found.crops.shape == (3, 224, 224, 3) and found.left_out == ()


def test_somebody_else_among_many_is_left_out_by_name(
    astronaut: np.ndarray, group: np.ndarray, insightface: Analyser
) -> None:
    found = read([group, astronaut, astronaut[:, ::-1].copy(), np.zeros((50, 60, 3), np.uint8)], insightface)
    assert len(found.embeddings) == 2 and found.size_px == (512, 512)
    assert [sentence.split(":")[0] for sentence in found.left_out] == ["Photo 4", "Photo 1"]
    assert "somebody else than the others show" in found.left_out[1] and "below 0.30" in found.left_out[1]


def test_of_two_that_differ_the_first_is_kept(astronaut: np.ndarray, group: np.ndarray, insightface: Analyser) -> None:
    for photos in ([astronaut, group], [group, astronaut]):
        found = read(photos, insightface)
        assert np.array_equal(found.embedding, read(photos[:1], insightface).embedding)
        assert len(found.left_out) == 1 and "photo 1 shows, which is kept" in found.left_out[0]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side_or_head_is_read(
    turns: int, astronaut: np.ndarray, alone: Reference, insightface: Analyser
) -> None:
    turned = read([np.ascontiguousarray(np.rot90(astronaut, turns))], insightface)
    assert cosine(turned.embedding, alone.embedding) > 0.9


@pytest.mark.parametrize("degrees", [-60, -30, 30, 60, 130])
def test_a_tilted_face_is_read(
    degrees: int, astronaut: np.ndarray, alone: Reference, insightface: Analyser
) -> None:
    tilted = np.asarray(Image.fromarray(astronaut).rotate(degrees, Image.Resampling.BICUBIC, expand=True))
    assert cosine(read([tilted], insightface).embedding, alone.embedding) > 0.8


def test_a_face_that_fills_the_picture_is_read(
    astronaut: np.ndarray, alone: Reference, insightface: Analyser
) -> None:
    left, top, right, bottom = (round(side) for side in alone.face.box_px)
    for factor in (1, 6):
        tight = read([resized(astronaut[top:bottom, left:right], factor)], insightface)
        assert cosine(tight.embedding, alone.embedding) > 0.8


@pytest.mark.slow
def test_a_small_face_in_a_large_picture_is_read(
    astronaut: np.ndarray, alone: Reference, insightface: Analyser
) -> None:
    person = resized(astronaut, 0.4)  # a face of 40 pixels in 3000
    small = read([within(person, 3000, 2500, 700)], insightface)
    assert small.face.width_px < 60 and 2500 < small.face.box_px[0] < 2700
    assert cosine(small.embedding, read([person], insightface).embedding) > 0.8
    assert cosine(small.embedding, alone.embedding) > 0.5


def test_a_tiny_picture_is_read(astronaut: np.ndarray, alone: Reference, insightface: Analyser) -> None:
    assert cosine(read([resized(astronaut, 0.25)], insightface).embedding, alone.embedding) > 0.4


def test_the_largest_face_of_a_group_is_meant(group: np.ndarray, insightface: Analyser) -> None:
    sizes = [face.width_px * face.height_px for face in insightface.detect(group)]
    face = read([group], insightface).face
    assert len(sizes) == 6 and face.width_px * face.height_px > 0.9 * max(sizes)


@pytest.mark.parametrize(("count", "words"), [(0, "No photo"), (1, "in the photo"), (3, "any of the 3 photos")])
def test_without_a_face_it_says_so(count: int, words: str, insightface: Analyser) -> None:
    empty = np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8)
    with pytest.raises(NoFace, match=words):
        read([empty] * count, insightface)
