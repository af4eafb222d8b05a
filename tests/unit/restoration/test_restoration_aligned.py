"""Restorers of aligned faces, with networks that can be computed by hand."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.errors import RestorerMissing
from personal_avatar.restoration.aligned import restore_faces
from personal_avatar.standalone.restorers import REDRAW, Restorers, redrawn
from PIL import Image

from tests.unit.painted_faces import face_at

SIZE = (300, 260)


@pytest.fixture
def photo() -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (13, 15, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("place", [(100, 90), (-20, -10), (270, 240)])
def test_a_network_that_answers_what_it_sees_changes_no_byte(photo: np.ndarray, place: tuple[int, int]) -> None:
    result = restore_faces(photo, [face_at(*place)], lambda pixels, fidelity: pixels, 0.5)
    assert np.array_equal(result, photo) and result is not photo


def test_detail_that_the_network_cannot_see_stays(photo: np.ndarray) -> None:
    """A face larger than the square, with lines of one pixel; the network makes all of it brighter."""
    large = np.tile(np.array([60, 100], np.uint8).repeat(3).reshape(1, 2, 3), (1600, 800, 1))
    face = replace(face_at(0, 0), landmarks_px=tuple((x * 25, y * 25) for x, y in face_at(0, 0).landmarks_px))
    result = restore_faces(large, [face], lambda pixels, fidelity: pixels + 0.2, 0.5)
    middle = result[800:802, 800:802, 0].astype(int) - large[800:802, 800:802, 0]
    assert middle.min() >= 20 and middle.max() <= 30


def test_the_network_sees_an_upright_face_and_its_answer_lands_on_the_face(photo: np.ndarray) -> None:
    seen: list[Any] = []

    def white(pixels: Any, fidelity: float) -> Any:
        seen.append((tuple(pixels.shape), float(pixels.min()), float(pixels.max()), fidelity))
        return pixels * 0 + 1

    face = face_at(100, 90)
    result = restore_faces(photo, [face], white, 0.25)
    (shape, low, high, fidelity), = seen
    assert shape == (1, 3, 512, 512) and -1 <= low < high <= 1 and fidelity == 0.25
    x, y = face.landmarks_px[2]
    assert (result[int(y), int(x)] == 255).all()
    assert np.array_equal(result[:, :40], photo[:, :40]) and np.array_equal(result[-30:], photo[-30:])


def test_without_faces_every_byte_stays(photo: np.ndarray) -> None:
    assert np.array_equal(restore_faces(photo, [], lambda pixels, fidelity: pixels, 0.5), photo)


def test_redraw_is_always_there_and_nothing_else_without_weights(tmp_path: Path) -> None:
    restorers = Restorers(tmp_path, tmp_path, lambda image, strength, prompt: image)
    assert restorers.names() == (REDRAW,)
    with pytest.raises(RestorerMissing, match="spandrel"):
        restorers.restore(np.zeros((8, 8, 3), np.uint8), "GFPGAN", 0.5)


def test_fidelity_is_turned_into_strength(tmp_path: Path) -> None:
    asked: list[tuple[float, str]] = []
    restorers = Restorers(tmp_path, tmp_path, lambda image, *how: (asked.append(how), image)[1])  # type: ignore[arg-type]
    for fidelity in (0.0, 0.5, 1.0):
        restorers.restore(np.zeros((8, 8, 3), np.uint8), REDRAW, fidelity, "anna")
    assert asked == [(0.5, "anna"), (0.25, "anna"), (0.0, "anna")]


@pytest.mark.parametrize(
    ("shape", "fitted"), [((50, 61), (104, 128)), ((128, 128), (128, 128)), ((400, 300), (128, 96))]
)
def test_redrawing_happens_at_the_checkpoints_size(shape: tuple[int, int], fitted: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []
    image = np.full((*shape, 3), 90, np.uint8)
    result = redrawn(image, 0.3, 128, lambda part, strength: (seen.append(part.shape[:2]), part)[1])
    assert seen == [fitted] and np.array_equal(result, image)


def test_weights_without_their_libraries_are_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import personal_avatar.restoration.networks as module

    for name in ("codeformer-v0.1.0.pth", "GFPGANv1.4.pth", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    restorers = Restorers(tmp_path, tmp_path, lambda image, strength, prompt: image)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert restorers.names() == (REDRAW,)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None if "extra" in name else object())
    assert restorers.names() == ("GFPGAN", REDRAW)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    assert restorers.names() == ("CodeFormer", "GFPGAN", REDRAW)
