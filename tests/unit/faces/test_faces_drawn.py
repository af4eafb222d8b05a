"""Drawn characters: their faces, their features, and who is asked when."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_models import CCIP_NAME, make_ccip, make_drawn_faces
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face, Look
from personal_avatar.errors import WeightsMissing, WrongState
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.ccip import SIDE, CharacterAnalyser, character, features
from personal_avatar.faces.detection import find_faces
from personal_avatar.faces.drawn import DrawnFaces
from personal_avatar.faces.registry import analyser_for, analyser_named, default_analyser
from personal_avatar.photos.quality import measure
from PIL import Image

EXPECTED = Path(__file__).with_name("features_of_imgutils.json")
BOX = (320.0, 200.0, 120.0, 160.0)


@pytest.fixture
def weights(tmp_path: Path, weights_folder: Path) -> Path:
    """A folder with the models for photos, and nothing for drawings."""
    for path in weights_folder.glob("*.onnx"):
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def red_stripe(strength: int) -> np.ndarray:
    canvas = np.zeros((640, 640, 3), dtype=np.uint8)
    canvas[:, 100:110, 0] = strength
    return canvas


# -- the detector


def test_a_box_is_read_as_middle_and_size(tmp_path: Path) -> None:
    (face,) = DrawnFaces(make_drawn_faces(tmp_path, BOX))(red_stripe(200))
    assert face.box_px == (260.0, 120.0, 380.0, 280.0)
    assert face.score == pytest.approx(200 / 255, abs=1e-3)


def test_a_doubtful_face_is_none(tmp_path: Path) -> None:
    assert DrawnFaces(make_drawn_faces(tmp_path, BOX))(red_stripe(70)) == []


def test_boxes_come_back_to_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((320, 320, 3), dtype=np.uint8)
    picture[:, 50:55, 0] = 200
    assert find_faces(DrawnFaces(make_drawn_faces(tmp_path, BOX)), picture)[0].box_px == (130.0, 60.0, 190.0, 140.0)


def test_without_landmarks_a_face_looks_straight_ahead(tmp_path: Path) -> None:
    (face,) = DrawnFaces(make_drawn_faces(tmp_path, BOX))(red_stripe(200))
    quality = measure(np.full((640, 640, 3), 128, dtype=np.uint8), face)
    assert abs(quality.yaw_deg) < 2
    assert quality.roll_deg == 0


def test_landmarks_of_whoever_sees_the_same_face_are_taken(tmp_path: Path) -> None:
    other = Face((265.0, 118.0, 385.0, 290.0), ((1.0, 2.0),) * 5, 0.7)
    elsewhere = Face((10.0, 10.0, 60.0, 60.0), ((9.0, 9.0),) * 5, 0.9)
    (face,) = DrawnFaces(make_drawn_faces(tmp_path, BOX), lambda canvas: [elsewhere, other])(red_stripe(200))
    assert face.landmarks_px == other.landmarks_px
    assert face.box_px == (260.0, 120.0, 380.0, 280.0)


# -- the recogniser


def test_features_are_those_of_imgutils(tmp_path: Path) -> None:
    """Expected: `ccip_extract_feature` of dghs-imgutils 0.19.0 on this picture and these weights."""
    y, x = np.mgrid[0:120, 0:90]
    picture = np.stack([x * 2, y * 2, (x * y) % 256], axis=-1).astype(np.uint8)
    found = features(picture, make_ccip(tmp_path, 7))
    assert found.shape == (768,)
    assert found[:24] == pytest.approx(json.loads(EXPECTED.read_text()), abs=2e-5)


@given(st.integers(30, 600), st.integers(30, 600), st.floats(-50, 650), st.floats(-50, 650), st.floats(5, 400))
def test_the_character_is_cut_out_of_the_picture(width: int, height: int, x: float, y: float, size: float) -> None:
    face = Face((x, y, x + size, y + size), ((x, y),) * 5, 0.9)
    cut = character(np.zeros((height, width, 3), dtype=np.uint8), face)
    assert cut.shape[0] == min(height, max(1, round(SIDE * size)))
    assert cut.shape[1] == min(width, max(1, round(SIDE * size)))


def test_the_character_is_the_face_with_hair_and_shoulders() -> None:
    picture = np.zeros((1000, 1000, 3), dtype=np.uint8)
    picture[400:500, 400:500] = 255
    rows, columns, _ = np.nonzero(character(picture, Face((400, 400, 500, 500), ((0, 0),) * 5, 0.9)))
    assert (columns.min(), columns.max()) == (70, 169)
    assert rows.min() == 34  # hair above; more is left below


def test_two_pictures_of_a_character_are_alike(tmp_path: Path, samples: Path, analyser: Analyser) -> None:
    known = CharacterAnalyser(analyser.detector, make_ccip(tmp_path))
    vectors = [embedded(known, samples / name) for name in ("03.jpg", "duplicate.jpg", "someone-else.jpg")]
    assert vectors[0] @ vectors[1] > 0.98
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert [float(np.linalg.norm(vector)) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-5)


def embedded(known: CharacterAnalyser, path: Path) -> np.ndarray:
    image = np.asarray(Image.open(path).convert("RGB"))
    return known.embed(image, known.detect(image)[0])


# -- who is asked


@pytest.mark.parametrize("look", list(Look))
def test_without_weights_for_drawings_nothing_differs(look: Look, weights: Path) -> None:
    found, usual = analyser_for(look, weights), default_analyser(weights)
    assert (type(found), found.name, found.same_person_above) == (type(usual), usual.name, usual.same_person_above)


def test_ccip_is_for_drawings_alone(weights: Path) -> None:
    make_ccip(weights)
    assert analyser_for(Look.DRAWN, weights).name == CCIP_NAME
    assert analyser_for(Look.PHOTO, weights).name == "sface-2021dec"
    assert analyser_for(Look.DRAWN, weights).same_person_above == pytest.approx(0.643, abs=1e-3)


def test_faces_are_found_by_the_detector_for_drawings_where_it_is(weights: Path) -> None:
    make_ccip(weights)
    assert analyser_for(Look.DRAWN, weights).detect(red_stripe(200)) == []
    make_drawn_faces(weights, BOX)
    assert len(analyser_for(Look.DRAWN, weights).detect(red_stripe(200))) == 1


def test_an_analyser_is_found_by_the_name_of_its_vectors(weights: Path) -> None:
    make_ccip(weights, name="ccip-caformer-5_fp32")
    for name in ("sface-2021dec", "ccip-caformer-5_fp32"):
        assert analyser_named(name, weights).name == name
    assert analyser_named("", weights).name == "sface-2021dec"


def test_sface_is_found_beside_models_of_insightface(weights: Path) -> None:
    for name in ("det_10g.onnx", "w600k_r50.onnx"):
        (weights / "insightface").mkdir(exist_ok=True)
        (weights / "insightface" / name).touch()
    assert default_analyser(weights).name == "w600k_r50"
    assert analyser_named("sface-2021dec", weights).name == "sface-2021dec"


def test_what_is_not_here_is_named_with_its_remedy(weights: Path) -> None:
    with pytest.raises(WeightsMissing, match="doctor --fetch drawn") as caught:
        analyser_named(CCIP_NAME, weights)
    assert caught.value.weights == ("ccip",)
    with pytest.raises(WrongState, match="w600k_r50"):
        analyser_named("w600k_r50", weights)
    with pytest.raises(WrongState):
        analyser_named("ccip-../..", weights)
