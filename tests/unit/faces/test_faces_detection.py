"""The search around a detector. The detector here finds red rectangles: slow to fool, quick to run."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import Analyser, Recogniser
from personal_avatar.faces.ccip import CharacterAnalyser
from personal_avatar.faces.detection import distinct, find_faces, placed


@dataclass
class RedRectangle:
    """Finds one red rectangle that is between `least` and `most` of the canvas wide and wider than high."""

    least: float = 0.02
    most: float = 1.0
    canvas_px: int = 160
    shares: list[float] = field(default_factory=list)

    def __call__(self, canvas: np.ndarray) -> list[Face]:
        assert canvas.shape == (self.canvas_px, self.canvas_px, 3) and canvas.dtype == np.uint8
        rows, columns = np.nonzero((canvas[:, :, 0] > 150) & (canvas[:, :, 1] < 100))
        if not len(rows):
            return []
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        width, height = box[2] - box[0], box[3] - box[1]
        self.shares.append(width / self.canvas_px)
        good = width > height and self.least <= width / self.canvas_px <= self.most
        return [Face(box, ((box[0], box[1]), (box[2], box[3])), 0.9)] if good else []


def picture(width: int, height: int, box: tuple[int, int, int, int]) -> np.ndarray:
    image = np.full((height, width, 3), 255, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = (255, 0, 0)
    return image


@settings(max_examples=50)
@given(st.integers(60, 900), st.floats(0.4, 2.5), st.floats(0, 1), st.floats(0, 1))
def test_a_face_is_found_where_it_is_in_a_picture_of_any_size(width: int, ratio: float, x: float, y: float) -> None:
    height = int(width * ratio)
    size = min(width, height) // 3
    left, top = int(x * (width - size)), int(y * (height - size))
    box = (left, top, left + size, top + size // 2)
    faces = find_faces(RedRectangle(), picture(width, height, box))
    tolerance = 3 * max(1.0, max(width, height) / 107)
    assert len(faces) == 1
    assert np.allclose(faces[0].box_px, box, atol=tolerance)
    assert np.allclose(faces[0].landmarks_px, [box[:2], box[2:]], atol=tolerance)


def test_a_face_that_fills_the_picture_is_found_with_a_border() -> None:
    faces = find_faces(RedRectangle(most=0.7), picture(300, 300, (3, 3, 297, 280)))
    assert np.allclose(faces[0].box_px, (3, 3, 297, 280), atol=6)


def test_a_face_that_is_far_too_large_is_found_smaller_still() -> None:
    faces = find_faces(RedRectangle(most=0.3), picture(300, 300, (3, 3, 297, 280)))
    assert np.allclose(faces[0].box_px, (3, 3, 297, 280), atol=10)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_picture_is_turned_back_only_if_nothing_was_found(turn: int) -> None:
    upright = picture(300, 200, (200, 20, 280, 60))
    turned = np.rot90(upright, turn)
    face = find_faces(RedRectangle(), np.ascontiguousarray(turned))[0]
    rows, columns = np.nonzero(turned[:, :, 1] < 100)
    assert np.allclose(face.box_px, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), atol=6)


def test_a_picture_that_stands_upright_is_not_turned() -> None:
    turned = np.ascontiguousarray(np.rot90(picture(300, 200, (200, 20, 280, 60))))
    recogniser = Recogniser("none", 1.0, lambda aligned: np.ones(4, np.float32))
    for analyser in (Analyser(RedRectangle(), recogniser), CharacterAnalyser(RedRectangle(), Path("none.onnx"))):
        assert len(analyser.detect(turned)) == 1
        assert analyser.upright().detect(turned) == []
        assert len(analyser.upright().detect(np.rot90(turned, 3))) == 1


def test_no_face_is_an_empty_list() -> None:
    assert find_faces(RedRectangle(), np.full((50, 80, 3), 200, np.uint8)) == []


def test_a_picture_of_one_pixel_is_searched_too() -> None:
    assert find_faces(RedRectangle(), np.full((1, 1, 3), 200, np.uint8)) == []


def test_the_most_certain_of_overlapping_boxes_stays() -> None:
    def face(box: tuple[float, float, float, float], score: float) -> Face:
        return Face(box, (), score)

    large, shifted = face((0, 0, 100, 100), 0.8), face((5, 5, 105, 105), 0.9)
    inside, beside = face((60, 60, 90, 90), 0.7), face((130, 0, 200, 70), 0.6)
    assert distinct([large, shifted, inside, beside]) == [shifted, beside]


def test_a_canvas_keeps_the_proportions() -> None:
    view = placed(picture(400, 200, (0, 0, 400, 200)), 160, 0.5)
    rows, columns = np.nonzero(view.canvas.any(axis=2))
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (40, 120, 60, 100)
    assert view.scale == pytest.approx(0.2)
