"""Many pictures at once: the same faces, with fewer looks where one is large, and batches that change nothing."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from insightface_models import models
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.many import ManyFaces
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.faces.second import second_to
from personal_avatar.faces.sface import NAME
from personal_avatar.pictures import load_picture
from real_photos import photo

from tests.unit.painted_faces import PaintedFaces, picture

pytestmark = pytest.mark.slow

CACHE = Path(__file__).resolve().parents[3] / ".cache"


@pytest.fixture(scope="module")
def pack() -> Analyser:
    detector, recogniser = models(CACHE / "insightface" / "buffalo_s")
    return Analyser(Scrfd(detector), arcface(recogniser))


@pytest.fixture(scope="module")
def pictures(samples: Path) -> list[np.ndarray]:
    """A group of six, one person, a drawing, and no face."""
    real = [photo(name, CACHE / "photos") for name in ("t1.jpg", "astronaut.png")]
    return [*real, load_picture(samples / "01.jpg"), load_picture(samples / "no-face.jpg")]


def test_as_many_faces_are_found_as_by_looking_closely(pack: Analyser, pictures: list[np.ndarray]) -> None:
    quick = ManyFaces(pack).detect(pictures)
    assert [len(faces) for faces in quick] == [6, 1, 1, 0]
    for image, faces in zip(pictures, quick, strict=True):
        for face, usual in zip(faces[:1], pack.detect(image)[:1], strict=True):
            assert float(pack.embed(image, face) @ pack.embed(image, usual)) > 0.9


def test_a_batch_gives_what_each_picture_gives_alone(pack: Analyser, pictures: list[np.ndarray]) -> None:
    many = ManyFaces(pack)
    alone = [many.detect([image])[0] for image in pictures]
    assert many.detect(pictures) == alone
    pairs = [(image, face) for image, faces in zip(pictures, alone, strict=True) for face in faces]
    together = many.embed(pairs)
    assert len(together) == 8
    for vector, (image, face) in zip(together, pairs, strict=True):
        np.testing.assert_allclose(vector, pack.embed(image, face), atol=1e-4)


def test_backends_that_take_one_picture_at_a_time_are_asked_in_turn(
    analyser: FaceAnalyser, pictures: list[np.ndarray]
) -> None:
    many = ManyFaces(analyser)
    found = many.detect(pictures[1:])
    assert [len(faces) for faces in found] == [1, 1, 0]
    np.testing.assert_allclose(
        many.embed([(pictures[1], found[0][0])])[0], analyser.embed(pictures[1], found[0][0]), atol=1e-6
    )
    painted = ManyFaces(PaintedFaces())
    faces: list[list[Face]] = painted.detect([picture(1, 2), picture(None)])
    assert [len(one) for one in faces] == [2, 0]
    assert painted.detect([]) == [] and painted.embed([]) == []


def test_the_second_opinion_is_of_another_kind(weights_folder: Path, pack: Analyser, tmp_path: Path) -> None:
    second = second_to(pack.name, weights_folder, ())
    assert second is not None and second.name == NAME
    packs = weights_folder.parent / "insightface"
    other = second_to(NAME, weights_folder, (tmp_path, packs))
    assert other is not None and other.name == pack.name
    assert second_to(pack.name, tmp_path, ()) is None and second_to(NAME, tmp_path, (tmp_path / "no",)) is None
