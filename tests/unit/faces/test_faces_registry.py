"""Backends and sessions with the real models."""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.faces.registry import default_analyser, find_pack
from personal_avatar.photos.read import read_photo
from personal_avatar.sessions import session, threads
from personal_avatar.vectors import unit
from personal_avatar.weights.registry import SFACE


def test_every_drawing_shows_one_face_with_its_landmarks_in_order(analyser: FaceAnalyser, samples: Path) -> None:
    for number in range(1, 11):
        faces = analyser.detect(read_photo(samples / f"{number:02d}.jpg")[1])
        assert len(faces) == 1
        left, right, nose, mouth_left, mouth_right = faces[0].landmarks_px
        assert left[0] < nose[0] < right[0] and mouth_left[0] < mouth_right[0]
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
        assert faces[0].box_px[0] < left[0] and right[0] < faces[0].box_px[2]


def test_embeddings_have_length_one_and_do_not_depend_on_the_size_of_the_picture(
    analyser: FaceAnalyser, samples: Path
) -> None:
    image = read_photo(samples / "01.jpg")[1]
    large = image.repeat(3, axis=0).repeat(3, axis=1)
    one, other = (analyser.embed(picture, analyser.detect(picture)[0]) for picture in (image, large))
    assert one.dtype == np.float32 and float(np.linalg.norm(one)) == pytest.approx(1, abs=1e-5)
    assert float(one @ other) > 0.95


def test_faces_of_a_picture_lying_on_its_side_are_found(analyser: FaceAnalyser, samples: Path) -> None:
    image = read_photo(samples / "02.jpg")[1]
    assert len(analyser.detect(np.ascontiguousarray(np.rot90(image)))) == 1


@pytest.mark.slow
def test_several_threads_share_one_analyser(analyser: FaceAnalyser, samples: Path) -> None:
    image = read_photo(samples / "03.jpg")[1]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: analyser.embed(image, analyser.detect(image)[0]), range(8)))
    assert all(np.array_equal(found[0], other) for other in found)


def test_a_session_is_loaded_once(weights_folder: Path) -> None:
    path = weights_folder / SFACE.file_name
    assert session(path) is session(path)


def test_a_broken_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match="broken.onnx"):
        session(tmp_path / "broken.onnx")
    with pytest.raises(WeightsMissing, match="absent.onnx"):
        session(tmp_path / "absent.onnx")


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert 1 <= threads() <= max(1, (os.cpu_count() or 2) // 2)


def test_a_zero_vector_stays_zero() -> None:
    assert np.array_equal(unit(np.zeros(4)), np.zeros(4))


def test_a_pack_needs_detector_and_recogniser(tmp_path: Path) -> None:
    pack = tmp_path / "models" / "buffalo_l"
    pack.mkdir(parents=True)
    (pack / "w600k_r50.onnx").touch()
    assert find_pack(tmp_path) is None
    (pack / "det_10g.onnx").touch()
    (pack / "2d106det.onnx").touch()
    for folder in (tmp_path, tmp_path / "models", pack):
        found = find_pack(folder)
        assert found is not None and (found.detector.name, found.recogniser.name) == ("det_10g.onnx", "w600k_r50.onnx")


def test_antelopev2_comes_before_other_packs(tmp_path: Path) -> None:
    for name, files in {"buffalo_l": ("det_10g", "w600k_r50"), "antelopev2": ("scrfd_10g_bnkps", "glintr100")}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / f"{file}.onnx").touch()
    found = find_pack(tmp_path)
    assert found is not None and found.recogniser.name == "glintr100.onnx"


def test_a_pack_beside_the_weights_is_used_without_being_named(tmp_path: Path) -> None:
    pack = tmp_path / "insightface" / "buffalo_l"
    pack.mkdir(parents=True)
    for name in ("det_10g.onnx", "w600k_r50.onnx"):
        (pack / name).touch()
    assert default_analyser(tmp_path).name == "w600k_r50"


def test_a_folder_without_models_falls_back_to_the_default(weights_folder: Path, tmp_path: Path) -> None:
    assert default_analyser(weights_folder, tmp_path / "none").name == "sface-2021dec"


def test_the_names_say_whose_vectors_they_are(analyser: FaceAnalyser) -> None:
    assert analyser.name == "sface-2021dec" and analyser.same_person_above == 0.40
