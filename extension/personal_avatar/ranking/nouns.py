"""The nouns of ranking: who reads faces, what is said of one picture, and what a picture file came to."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from personal_avatar.domain import Face

OnProgress = Callable[[int, int], None]
NOT_FOLLOWED = "How well prompts are followed is not measured."


class FaceReader(Protocol):
    """What is needed of a face backend (faces.analyser.FaceAnalyser has it); must be thread-safe."""

    @property
    def same_person_above(self) -> float: ...

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray: ...


class ManyReader(Protocol):
    """The same for several pictures at once (faces.many.ManyFaces is one); must be thread-safe."""

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]: ...

    def embed(self, pairs: Sequence[tuple[np.ndarray, Face]]) -> list[np.ndarray]: ...


class Follows(Protocol):
    """How well pictures follow prompts; ranking.clip.Clip is one. `name`: which file it is; others score otherwise."""

    name: str

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        """(score 0..1, the picture's vector of length 1) for each picture; `prompts`: as many, none of them empty."""
        ...


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
    """`likeness`: cosine (-1..1) of `face`, the one most like the person; None without one. `faces`: how many.

    `look`: what the picture looks like, see ranking.looks.
    """

    likeness: float | None
    faces: int
    scores: dict[str, float] = field(default_factory=dict)
    face: Face | None = None
    look: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Ranked:
    """A picture file with its scores. `error`: why it could not be read, as in `AvatarError.to_json`; `prompt`: what it
    was made with, "" where the file does not say; `title`: what it was called before it was copied."""

    path: Path
    likeness: float | None
    scores: dict[str, float] = field(default_factory=dict)
    faces: int = 0
    error: dict[str, Any] | None = None
    look: np.ndarray | None = field(default=None, repr=False, compare=False)
    prompt: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.title or self.path.name


@dataclass(frozen=True, eq=False)
class Second:
    """Another recogniser, with the person's mean direction in its own terms (float32 (d,), L2 norm 1).

    `fairly_from`: the cosine from which it finds a picture fairly like the person.
    """

    name: str
    fairly_from: float
    reader: ManyReader
    reference: np.ndarray


@dataclass(frozen=True, eq=False)
class Opinions:
    """What a scorer asks besides its recogniser. `fairly_from`, `good_from`: see `ranking.person`, None: the
    recogniser's own threshold; `remarks`: sentences about what cannot be asked here, and why."""

    second: Second | None = None
    follows: Follows | None = None
    fairly_from: float | None = None
    good_from: float | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """From which cosines two recognisers find a picture fairly like the person; `second`: None without one."""

    likeness: float
    second: float | None = None


@dataclass(frozen=True)
class OneByOne:
    """A `ManyReader` that asks a `FaceReader` for one picture after the other."""

    reader: FaceReader

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        return [self.reader.detect(image) for image in images]

    def embed(self, pairs: Sequence[tuple[np.ndarray, Face]]) -> list[np.ndarray]:
        return [self.reader.embed(image, face) for image, face in pairs]
