"""Who is who in a picture, how much everybody looks like who they are, and whether a change to one face is fine.

Likeness is measured by every recogniser that is given, each on the faces that its own detector finds, in the whole
picture; and once more with the landmarks of before, so that it does not hang on where a detector puts the eyes.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import NoFace
from personal_avatar.faces.detection import overlap
from personal_avatar.problems import stated
from personal_avatar.restoration.trial import RestoreSettings, Seen
from personal_avatar.vectors import unit
from personal_avatar.wording import text

SAME_PLACE = 0.3  # intersection over union of a face before and after
TOUCHED_SCALE = 1.4  # of a face's box: what a recogniser looks at
# Of the cosine above which a recogniser knows a person in photos; lower, as faces that need restoration are small or
# blurred. Of photos of 12 people, those of 5 spoiled: faces from 20 px up, and blurred by 3 % of their size, score .32
# and more against their own person by both recognisers; others at most .32 by SFace (here .30), .22 by ArcFace (.225).
MOST_DIGITS = 6
KNOWN_FROM = 0.75
Vectors = tuple["np.ndarray | None", ...]


class FaceReader(Protocol):
    """What is needed of a face backend (faces.analyser.FaceAnalyser has it)."""

    @property
    def same_person_above(self) -> float: ...

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody who may be in a picture. `vectors`: float32 (d,), one for each reader, None where there is none."""

    name: str
    vectors: Vectors


@dataclass(frozen=True, eq=False)
class Watched:
    """A face before it is touched. `seen`: the face as each reader finds it; `target`: what it shall look like, one
    for each reader; `likeness`: how much it does, a cosine each; `known`: False when it is measured by itself;
    `person`: who it is; `closest`: cosine to the one of the people whom it is most like, None where nobody tells."""

    face: Face
    known: bool
    person: str
    seen: tuple[Face | None, ...]
    target: Vectors
    likeness: tuple[float | None, ...]
    sharpness: float
    closest: float | None = None

    @property
    def told(self) -> tuple[float, ...]:
        return tuple(value for value in self.likeness if value is not None)


@dataclass(frozen=True)
class Judge:
    """`readers`: the first one finds the faces; `sharpness`: of a face, 0 flat, about 1 crisp."""

    readers: tuple[FaceReader, ...]
    sharpness: Callable[[np.ndarray, Face], float]

    def look(self, image: np.ndarray, people: Sequence[Person]) -> list[Watched]:
        """Every face of a uint8 RGB picture, largest first. Each of `people` is the face most like them, when it is
        like them at all; whoever is left is measured by how they look now."""
        found = [reader.detect(image) for reader in self.readers]
        seen = [tuple(nearest(faces, face) for faces in found) for face in found[0]]
        vectors = [tuple(self._vector(image, number, face) for number, face in enumerate(faces)) for faces in seen]
        similarity, enough = self._similarity(vectors, people)
        known = dict(most_similar(np.where(enough, similarity, -np.inf)))
        closest = [max((value for value in row if np.isfinite(value)), default=None) for row in similarity.tolist()]
        return [
            self._watched(
                image, found[0][place], seen[place], own, people[known[place]] if place in known else None,
                closest[place],
            )
            for place, own in enumerate(vectors)
        ]

    def _similarity(self, faces: Sequence[Vectors], people: Sequence[Person]) -> tuple[np.ndarray, np.ndarray]:
        """(faces, people): cosines by the first reader that knows both, -inf where none does; and whether each is
        enough to be the person."""
        similarity = np.full((len(faces), len(people)), -np.inf)
        enough = np.zeros(similarity.shape, dtype=bool)
        for row, own in enumerate(faces):
            for column, person in enumerate(people):
                for reader, mine, his in zip(self.readers, own, person.vectors, strict=True):
                    cosine = _cosine(mine, his)
                    if cosine is not None:
                        similarity[row, column] = cosine
                        enough[row, column] = cosine >= KNOWN_FROM * reader.same_person_above
                        break
        return similarity, enough

    def _watched(
        self, image: np.ndarray, face: Face, seen: tuple[Face | None, ...], own: Vectors, person: Person | None,
        closest: float | None,
    ) -> Watched:
        wanted = own if person is None else person.vectors
        target = tuple(None if mine is None else his for mine, his in zip(own, wanted, strict=True))
        likeness = tuple(_cosine(mine, his) for mine, his in zip(own, target, strict=True))
        name = "" if person is None else person.name
        sharpness = self.sharpness(image, face)
        return Watched(face, person is not None, name, seen, target, likeness, sharpness, closest)

    def likeness(
        self, image: np.ndarray, found: Sequence[Sequence[Face]], watched: Watched
    ) -> tuple[float | None, ...]:
        """As it is now, by the readers that told before; None where the face is no longer found. `found`: the faces of
        `image`, for each reader."""
        now = []
        for number, (place, target) in enumerate(zip(watched.seen, watched.target, strict=True)):
            if place is None or target is None:
                continue
            face = nearest(found[number], place)
            looks = [self._vector(image, number, one) for one in (face, place)] if face else [None]
            values = [_cosine(vector, target) for vector in looks]
            now.append(min((value for value in values if value is not None), default=None))
        return tuple(now)

    def _vector(self, image: np.ndarray, reader: int, face: Face | None) -> np.ndarray | None:
        return None if face is None else unit(self.readers[reader].embed(image, face))


@dataclass(frozen=True)
class FaceWatch:
    """Whether the picture is fine after the face `number` of `before` was changed. `drop`: of its likeness."""

    judge: Judge
    image: np.ndarray
    before: Sequence[Watched]
    number: int
    drop: float
    settings: RestoreSettings

    def __call__(self, image: np.ndarray) -> Seen:
        found = [reader.detect(image) for reader in self.judge.readers]
        me = self.before[self.number]
        after = self.judge.likeness(image, found, me)
        told = tuple(value for value in after if value is not None)
        if len(told) < len(after) or not told:
            return Seen(told, text("unrestored.gone"))
        if len(found[0]) > len(self.before):
            return Seen(told, text("unrestored.appeared"))
        sharpness = self.judge.sharpness(image, nearest(found[0], me.face) or me.face)
        if sharpness < me.sharpness * self.settings.min_sharpness:
            now, before = _apart(sharpness, me.sharpness)
            return Seen(told, text("unrestored.sharpness", score=now, other_score=before))
        return Seen(told, _fall(me.told, told, self.drop) or self._neighbour(image, found))

    def _neighbour(self, image: np.ndarray, found: Sequence[Sequence[Face]]) -> str:
        """What became worse of the faces beside. Detectors may see one elsewhere of which no pixel was changed."""
        for place, other in enumerate(self.before):
            if place == self.number or not (_moved(other, found) or _differs(self.image, image, other.face)):
                continue
            after = self.judge.likeness(image, found, other)
            if None in after or _fall(other.told, [value for value in after if value is not None], 0.0):
                return text("unrestored.beside")
        return ""


def _apart(now: float, before: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart, at least two."""
    counts = range(2, MOST_DIGITS)
    digits = next((count for count in counts if f"{now:.{count}f}" != f"{before:.{count}f}"), MOST_DIGITS)
    return f"{now:.{digits}f}", f"{before:.{digits}f}"


def person_in(photos: Sequence[np.ndarray], readers: Sequence[FaceReader], name: str = "") -> Person:
    """Whom photos (uint8 RGB) show: for each reader the mean direction of the largest faces. Raises `NoFace` when the
    first reader finds none at all; where another one does not, it has nothing to say."""
    vectors = [_mean([_largest(photo, reader) for photo in photos]) for reader in readers]
    if vectors[0] is None:
        key = "failure.no_face_in_photos" if len(photos) > 1 else "failure.no_face_in_photo"
        raise stated(NoFace, key, count=len(photos))
    return Person(name, tuple(vectors))


def _largest(photo: np.ndarray, reader: FaceReader) -> np.ndarray | None:
    faces = reader.detect(photo)
    return unit(reader.embed(photo, faces[0])) if faces else None


def _mean(vectors: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [vector for vector in vectors if vector is not None]
    return unit(np.mean(there, axis=0)) if there else None


def _fall(before: Sequence[float], after: Sequence[float], drop: float) -> str:
    """A sentence about the recogniser that sees the likeness fall by more than `drop`."""
    for old, new in zip(before, after, strict=True):
        if not new >= old - drop:
            return text("unrestored.likeness", score=f"{old:.3f}", other_score=f"{new:.3f}")
    return ""


def _moved(face: Watched, found: Sequence[Sequence[Face]]) -> bool:
    """Whether any detector sees a face elsewhere than before."""
    pairs = zip(found, face.seen, strict=True)
    return any(place is not None and nearest(faces, place) != place for faces, place in pairs)


def _differs(old: np.ndarray, new: np.ndarray, face: Face) -> bool:
    """Whether any pixel in and around a face is another one."""
    height, width = old.shape[:2]
    x, y = (face.box_px[0] + face.box_px[2]) / 2, (face.box_px[1] + face.box_px[3]) / 2
    half = max(face.width_px, face.height_px) * TOUCHED_SCALE / 2
    left, right = (int(np.clip(side, 0, width)) for side in (x - half, x + half + 1))
    top, bottom = (int(np.clip(side, 0, height)) for side in (y - half, y + half + 1))
    return not np.array_equal(old[top:bottom, left:right], new[top:bottom, left:right])


def nearest(faces: Sequence[Face], place: Face) -> Face | None:
    """The face that lies where `place` does."""
    best = max(faces, key=lambda face: overlap(face, place), default=None)
    return best if best is not None and overlap(best, place) >= SAME_PLACE else None


def most_similar(similarity: np.ndarray) -> list[tuple[int, int]]:
    """(row, column) pairs of a matrix, the largest values first, each row and each column at most once; -inf is never
    taken."""
    left, pairs = np.array(similarity, dtype=np.float64), []
    while left.size and left.max() > -np.inf:
        row, column = np.unravel_index(int(np.argmax(left)), left.shape)
        pairs.append((int(row), int(column)))
        left[row, :] = left[:, column] = -np.inf
    return pairs


def _cosine(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    return None if one is None or other is None else float(one @ unit(other))
