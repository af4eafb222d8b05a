"""Small faces painted anew: which ones, with whom, and that all else keeps its bytes."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.errors import Cancelled
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.studio.second_pass import assigned, with_small_faces

vectors = st.lists(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3).map(np.asarray), max_size=5)


def face(x: float, y: float, side: float) -> Face:
    """A square face of `side` pixels around (x, y)."""
    points = ((-0.2, -0.1), (0.2, -0.1), (0.0, 0.1), (-0.15, 0.25), (0.15, 0.25))
    half = side / 2
    return Face(
        (x - half, y - half, x + half, y + half), tuple((x + dx * side, y + dy * side) for dx, dy in points), 0.9
    )


@dataclass
class Reader:
    """Faces where they are said to be, with the vectors that are said."""

    faces: list[Face]
    vectors: list[tuple[float, ...]] = field(default_factory=list)

    def detect(self, image: np.ndarray) -> list[Face]:
        return self.faces

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return np.asarray(self.vectors[self.faces.index(face)], dtype=np.float32)


def people(*names: str, **settings: object) -> IdentityRequest:
    subjects = tuple(Subject((np.zeros((4, 4, 3), np.uint8),), name, box=(0.0, 0.0, 0.5, 1.0)) for name in names)
    return IdentityRequest(IdentitySettings(second_pass=True, **settings), subjects)


PICTURE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)


def test_only_faces_below_the_limit_change_and_only_around_them() -> None:
    reader = Reader([face(100, 150, 60), face(300, 150, 120)], [(1, 0), (1, 0)])
    made, count = with_small_faces(
        PICTURE, people("Anna", second_pass_below_px=100), [np.array([1.0, 0.0])], reader, lambda _, crop: 255 - crop
    )
    changed = np.argwhere((made != PICTURE).any(axis=2))
    assert count == 1 and len(changed) > 500
    assert np.abs(changed - [150, 100]).max() <= 75


def test_a_face_outside_of_what_was_inpainted_is_the_users_own() -> None:
    reader = Reader([face(100, 150, 60)], [(1, 0)])
    right = np.zeros(PICTURE.shape[:2], bool)
    right[:, 200:] = True
    for painted, wanted in ((right, 0), (~right, 1)):
        _, count = with_small_faces(
            PICTURE, people("Anna"), [np.array([1.0, 0.0])], reader, lambda _, crop: 255 - crop, painted
        )
        assert count == wanted


def test_each_person_is_painted_alone_and_where_they_are() -> None:
    reader, seen = Reader([face(80, 150, 60), face(300, 150, 50)], [(0.1, 1), (1, 0.2)]), []

    def repaint(request: IdentityRequest, crop: np.ndarray) -> np.ndarray:
        seen.append((request, crop.shape))
        return crop

    embeddings = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    both = people("Anna", "Berta", layout="left-to-right")
    made, count = with_small_faces(PICTURE, both, embeddings, reader, repaint)
    assert (count, made.shape) == (2, PICTURE.shape)
    assert [(one.people[0].name, shape[0]) for one, shape in seen] == [("Berta", 150), ("Anna", 125)]
    assert all(len(one.people) == 1 and one.people[0].box is None for one, _ in seen)
    assert all(not one.settings.second_pass and one.settings.layout == "boxes" for one, _ in seen)


def test_strangers_beside_the_person_stay_as_they_are() -> None:
    reader = Reader([face(80, 150, 60), face(300, 150, 60)], [(0, 1), (1, 0)])
    made, count = with_small_faces(
        PICTURE, people("Anna"), [np.array([1.0, 0.0])], reader, lambda _, crop: 255 - crop
    )
    assert count == 1 and np.array_equal(made[:, :200], PICTURE[:, :200])


def test_a_small_stranger_behind_the_person_is_not_taken_for_the_person() -> None:
    reader = Reader([face(300, 150, 220), face(60, 150, 50)], [(1, 0), (0.4, 0.6)])
    made, count = with_small_faces(PICTURE, people("Anna"), [np.array([1.0, 0.0])], reader, lambda _, crop: 255 - crop)
    assert count == 0 and np.array_equal(made, PICTURE)


@dataclass
class Watchful(Reader):
    """Whoever is bright is Anna; a face that is black is none."""

    def detect(self, image: np.ndarray) -> list[Face]:
        return [one for one in self.faces if _brightness(image, one) > 0]

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        angle = np.pi / 2 * (1 - _brightness(image, face) / 255)
        return np.asarray([np.cos(angle), np.sin(angle)])


def _brightness(image: np.ndarray, one: Face) -> float:
    left, top, right, bottom = (int(side) for side in one.box_px)
    return float(image[top + 20 : bottom - 20, left + 20 : right - 20].mean())


@pytest.mark.parametrize(("contrast", "wanted"), [(0.0, 0), (0.8, 0), (1.2, 1), (1.0, 1)])
def test_a_face_that_became_less_like_the_person_is_put_back(contrast: float, wanted: int) -> None:
    """What a painter does to light as a whole is taken out, so this one changes the middle of the face alone."""
    image = np.full((300, 400, 3), 100, np.uint8)
    reader = Watchful([face(150, 150, 60)])

    def repaint(_: IdentityRequest, crop: np.ndarray) -> np.ndarray:
        made = crop.astype(float)
        height, width = crop.shape[:2]
        made[height // 2 - 12 : height // 2 + 12, width // 2 - 12 : width // 2 + 12] *= contrast
        return made.clip(0, 255).astype(np.uint8)

    made, count = with_small_faces(image, people("Anna"), [np.array([1.0, 0.0])], reader, repaint)
    assert count == wanted and (count == 1 or np.array_equal(made, image))


def test_a_face_that_is_no_longer_found_is_put_back() -> None:
    class Once(Reader):
        def detect(self, image: np.ndarray) -> list[Face]:
            return self.faces if image is PICTURE else []

    reader = Once([face(150, 150, 60)], [(1, 0)])
    made, count = with_small_faces(PICTURE, people("Anna"), [np.array([1.0, 0.0])], reader, lambda _, crop: 255 - crop)
    assert count == 0 and made is PICTURE


def test_without_faces_it_is_the_picture_itself_and_an_interruption_comes_through() -> None:
    same, count = with_small_faces(PICTURE, people("Anna"), [np.ones(2)], Reader([]), lambda _, crop: crop)
    assert same is PICTURE and count == 0

    def stop(request: IdentityRequest, crop: np.ndarray) -> np.ndarray:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        with_small_faces(PICTURE, people("Anna"), [np.ones(2)], Reader([face(90, 90, 50)], [(1, 1)]), stop)


@given(vectors, vectors)
def test_nobody_is_taken_twice(faces: list[np.ndarray], known: list[np.ndarray]) -> None:
    pairs = assigned(faces, known)
    assert len(pairs) == min(len(faces), len(known))
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
