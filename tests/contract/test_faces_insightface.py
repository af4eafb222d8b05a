"""SCRFD and ArcFace in insightface's own models: used here for tests only, their licence is non-commercial."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from insightface_models import models
from personal_avatar.domain import Face
from personal_avatar.faces.alignment import align_as_trained
from personal_avatar.faces.detection import placed
from personal_avatar.faces.registry import default_analyser, find_pack
from personal_avatar.faces.scrfd import CANVAS_PX, Scrfd
from personal_avatar.photos.read import read_photo
from real_photos import photo

pytestmark = pytest.mark.slow  # fetches 20 MB once


@pytest.fixture(scope="session")
def model_folder(weights_folder: Path) -> Path:
    """`<folder>/buffalo_s` with detector and recogniser."""
    folder = weights_folder.parent / "insightface"
    models(folder / "buffalo_s")
    return folder


def test_a_folder_of_models_is_preferred_to_the_default(model_folder: Path, weights_folder: Path) -> None:
    analyser = default_analyser(weights_folder, model_folder)
    assert (analyser.name, analyser.same_person_above) == ("w600k_mbf", 0.30)


def test_both_backends_find_the_same_faces(model_folder: Path, weights_folder: Path, samples: Path) -> None:
    one, other = default_analyser(weights_folder), default_analyser(weights_folder, model_folder)
    for name in ("01.jpg", "05.jpg", "10.jpg", "two-people.jpg", "no-face.jpg"):
        image = read_photo(samples / name)[1]
        ours, theirs = one.detect(image), other.detect(image)
        assert len(ours) == len(theirs)
        for face, twin in zip(ours, sorted(theirs, key=lambda face: _nearest(face, ours)), strict=True):
            eyes = np.hypot(*np.subtract(face.landmarks_px[1], face.landmarks_px[0]))
            assert np.abs(np.subtract(face.landmarks_px, twin.landmarks_px)).max() < 0.35 * eyes


def _nearest(face: Face, others: list[Face]) -> int:
    return int(np.argmin([np.hypot(*np.subtract(face.landmarks_px[2], other.landmarks_px[2])) for other in others]))


def test_the_same_character_scores_higher_than_another(
    model_folder: Path, weights_folder: Path, samples: Path
) -> None:
    analyser = default_analyser(weights_folder, model_folder)
    images = [read_photo(samples / name)[1] for name in ("01.jpg", "04.jpg", "09.jpg", "someone-else.jpg")]
    one, two, three, stranger = (analyser.embed(image, analyser.detect(image)[0]) for image in images)
    assert min(one @ two, one @ three, two @ three) > max(one @ stranger, two @ stranger) + 0.1


def test_scrfd_and_arcface_agree_with_insightface(model_folder: Path, samples: Path) -> None:
    model_zoo = pytest.importorskip("insightface.model_zoo", reason="insightface is not installed")
    pack = find_pack(model_folder)
    assert pack is not None
    theirs = model_zoo.get_model(str(pack.detector), providers=["CPUExecutionProvider"])
    theirs.prepare(ctx_id=-1, input_size=(CANVAS_PX, CANVAS_PX), det_thresh=0.5)
    recogniser = model_zoo.get_model(str(pack.recogniser), providers=["CPUExecutionProvider"])
    ours = default_analyser(Path("unused"), model_folder)
    for name in ("01.jpg", "two-people.jpg"):
        canvas = placed(read_photo(samples / name)[1], CANVAS_PX, 0.5).canvas
        boxes, landmarks = theirs.detect(np.ascontiguousarray(canvas[:, :, ::-1]), input_size=(CANVAS_PX, CANVAS_PX))
        faces = Scrfd(pack.detector)(canvas)
        assert len(faces) == len(boxes)
        for face, box, marks in zip(faces, boxes, landmarks, strict=True):
            assert np.allclose(face.box_px, box[:4], atol=0.5) and np.allclose(face.landmarks_px, marks, atol=0.5)
            expected = recogniser.get_feat(_insightface_crop(canvas, marks)[:, :, ::-1]).ravel()
            _must_be_equal(ours.raw_embedding(canvas, face), expected)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["astronaut.png", "t1.jpg"])
def test_from_photo_to_embedding_nothing_differs_from_insightface(
    name: str, model_folder: Path, weights_folder: Path
) -> None:
    model_zoo = pytest.importorskip("insightface.model_zoo", reason="insightface is not installed")
    pack = find_pack(model_folder)
    assert pack is not None
    image = photo(name, weights_folder.parent / "photos")
    detector = model_zoo.get_model(str(pack.detector), providers=["CPUExecutionProvider"])
    detector.prepare(ctx_id=-1, input_size=(CANVAS_PX, CANVAS_PX), det_thresh=0.5)
    boxes, landmarks = detector.detect(np.ascontiguousarray(image[:, :, ::-1]), input_size=(CANVAS_PX, CANVAS_PX))
    largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    ours = default_analyser(weights_folder, model_folder)
    face = ours.most_prominent(image)  # type: ignore[attr-defined]
    assert np.allclose(face.landmarks_px, landmarks[largest], atol=0.01)
    recogniser = model_zoo.get_model(str(pack.recogniser), providers=["CPUExecutionProvider"])
    expected = recogniser.get_feat(_insightface_crop(image, landmarks[largest])[:, :, ::-1]).ravel()
    _must_be_equal(ours.raw_embedding(image, face), expected)  # type: ignore[attr-defined]
    for size_px in (112, 224):
        theirs = _insightface_crop(image, landmarks[largest], size_px).astype(int)
        mine = align_as_trained(image, face.landmarks_px, size_px).astype(int)
        assert np.abs(theirs - mine).mean() < 0.1


def _must_be_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert float(np.dot(found, expected) / np.linalg.norm(found) / np.linalg.norm(expected)) > 0.9999
    assert np.linalg.norm(found) == pytest.approx(float(np.linalg.norm(expected)), rel=1e-3)


def _insightface_crop(image: np.ndarray, landmarks: np.ndarray, size_px: int = 112) -> np.ndarray:
    """RGB in, RGB out."""
    face_align = pytest.importorskip("insightface.utils.face_align")
    found: np.ndarray = face_align.norm_crop(np.ascontiguousarray(image), landmark=landmarks, image_size=size_px)
    return found
