"""How much pictures look like a person, and the order that follows from it."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import NoFace, UnreadablePhoto
from personal_avatar.pictures import load_picture
from personal_avatar.ranking.quality import face_quality

OnProgress = Callable[[int, int], None]
WORKERS = 2


class FaceReader(Protocol):
    """What is needed of a face backend (faces.analyser.FaceAnalyser has it); must be thread-safe."""

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray: ...


class Judged(Protocol):
    """Anything that was scored: `domain.Portrait`, `Ranked`, `Scored`."""

    @property
    def likeness(self) -> float | None: ...

    @property
    def scores(self) -> dict[str, float]: ...

    @property
    def faces(self) -> int: ...


J = TypeVar("J", bound=Judged)


@dataclass(frozen=True)
class Scored:
    """`likeness`: cosine (-1..1) of `face`, the one most like the person; None without one. `faces`: how many."""

    likeness: float | None
    faces: int
    scores: dict[str, float] = field(default_factory=dict)
    face: Face | None = None


@dataclass(frozen=True)
class Ranked:
    """A picture file with its scores. `error`: why it could not be read, as in `AvatarError.to_json`."""

    path: Path
    likeness: float | None
    scores: dict[str, float] = field(default_factory=dict)
    faces: int = 0
    error: dict[str, Any] | None = None


class Scorer:
    """Measures pictures against one person. `reference`: float32 (d,), of the recogniser of `analyser`."""

    def __init__(self, analyser: FaceReader, reference: np.ndarray) -> None:
        self._analyser = analyser
        self._reference = _unit(reference)

    def score(self, image: np.ndarray) -> Scored:
        """Likeness and technical quality of a uint8 RGB (height, width, 3) picture."""
        faces = self._analyser.detect(image)
        if not faces:
            return Scored(None, 0)
        likeness = [float(_unit(self._analyser.embed(image, face)) @ self._reference) for face in faces]
        best = int(np.argmax(likeness))
        return Scored(round(likeness[best], 4), len(faces), face_quality(image, faces[best]), faces[best])


def rank(portraits: Iterable[J]) -> list[J]:
    """Best first: by likeness, then fewer faces, then sharpness; without a face last. Equal ones keep their order."""
    return sorted(portraits, key=_place)


def _place(item: Judged) -> tuple[bool, float, int, float]:
    likeness = item.likeness if item.likeness is not None else 0.0
    return item.likeness is None, -likeness, item.faces, -item.scores.get("sharpness", 0.0)


def rank_files(paths: Sequence[Path], scorer: Scorer, on_progress: OnProgress | None = None) -> list[Ranked]:
    """Score files, two at a time, and put them in order. A file that cannot be read goes last and says why."""
    ranked = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for done, item in enumerate(pool.map(lambda path: score_file(path, scorer), paths), start=1):
            ranked.append(item)
            if on_progress is not None:
                on_progress(done, len(paths))
    return sorted(rank(ranked), key=lambda item: item.error is not None)


def score_file(path: Path, scorer: Scorer) -> Ranked:
    """The scores of one file, or the named error of reading it."""
    try:
        scored = scorer.score(load_picture(path))
    except UnreadablePhoto as error:
        return Ranked(path, None, error=error.to_json())
    return Ranked(path, scored.likeness, scored.scores, scored.faces)


def to_document(ranked: Iterable[Ranked]) -> dict[str, Any]:
    """The JSON document of `personal-avatar rank`, best first."""
    return {"images": [_row(item) for item in ranked]}


def _row(item: Ranked) -> dict[str, Any]:
    row = {"path": str(item.path), "likeness": item.likeness, "scores": item.scores, "faces": item.faces}
    return {**row, "error": item.error} if item.error else row


def scorer_from(reference: Path, analyser: FaceReader) -> Scorer:
    """A scorer for the person in a picture, or in the pictures of a folder. Raises `NoFace`, `UnreadablePhoto`."""
    return Scorer(analyser, reference_from(_pictures(reference), analyser))


def reference_from(paths: Sequence[Path], analyser: FaceReader) -> np.ndarray:
    """Mean direction of the largest face of each picture, float32 (d,), L2 norm 1; those without a face are left out.

    Raises `NoFace` when no face is found at all, `UnreadablePhoto` when the only picture cannot be read.
    """
    vectors: list[np.ndarray] = []
    for path in paths:
        try:
            vectors.append(_largest(path, analyser))
        except (NoFace, UnreadablePhoto):
            if len(paths) == 1:
                raise
    if not vectors:
        raise NoFace(f"No face was found in the {len(paths)} reference pictures.")
    return _unit(np.mean(vectors, axis=0))


def _largest(path: Path, analyser: FaceReader) -> np.ndarray:
    image = load_picture(path)
    faces = analyser.detect(image)
    if not faces:
        raise NoFace(f"No face was found in {path.name}.")
    return _unit(analyser.embed(image, faces[0]))


def _pictures(path: Path) -> list[Path]:
    """The file itself, or the visible files directly in a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    return sorted(child for child in path.iterdir() if child.is_file() and not child.name.startswith("."))


def _unit(vector: np.ndarray) -> np.ndarray:
    """float32, L2 norm 1; a zero vector stays zero."""
    vector = np.asarray(vector, dtype=np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
