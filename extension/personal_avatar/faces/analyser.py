"""What every face backend offers: find faces, and turn one face into a vector."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import align_as_trained, align_to
from personal_avatar.faces.detection import Detector, find_faces
from personal_avatar.faces.prominent import most_prominent
from personal_avatar.vectors import unit


class FaceAnalyser(Protocol):
    """Thread-safe. Pictures are uint8 RGB (height, width, 3) of any size.

    `name` says which recogniser made a vector: vectors of different names must not be compared.
    `same_person_above`: two photos with a higher cosine very likely show the same person. Measured on photos;
    drawings of different characters score higher than that, see photos.persons.
    """

    @property
    def name(self) -> str: ...

    @property
    def same_person_above(self) -> float: ...

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces, largest first, without embeddings; empty when there is none."""
        ...

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        """float32 (d,), L2 norm 1; the cosine of two of them is their dot product."""
        ...

    def upright(self) -> FaceAnalyser:
        """The same for pictures that stand upright, as painted ones do: those without a face are not turned."""
        ...


@dataclass(frozen=True)
class Recogniser:
    """`vector`: uint8 RGB (112, 112, 3), aligned -> float32 (d,) as the network gives it, not normalised.

    `vectors`: the same of (n, 112, 112, 3) at once -> (n, d); None where the network takes one at a time.
    """

    name: str
    same_person_above: float
    vector: Callable[[np.ndarray], np.ndarray]
    vectors: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Analyser:
    """A detector and a recogniser put together. `landmarks`: who finds 106 points of a face, where there is one.
    `any_turn`: see `find_faces`."""

    detector: Detector
    recogniser: Recogniser
    landmarks: Callable[[np.ndarray, Face], np.ndarray] | None = None
    any_turn: bool = True

    @property
    def name(self) -> str:
        return self.recogniser.name

    @property
    def same_person_above(self) -> float:
        return self.recogniser.same_person_above

    def detect(self, image: np.ndarray) -> list[Face]:
        return find_faces(self.detector, image, self.any_turn)

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return unit(self.recogniser.vector(align_to(image, face.landmarks_px)))

    def upright(self) -> Analyser:
        return replace(self, any_turn=False)

    def raw_embedding(self, image: np.ndarray, face: Face) -> np.ndarray:
        """float32 (d,) before normalisation, of the crop that insightface takes, as identity adapters want it."""
        return self.recogniser.vector(align_as_trained(image, face.landmarks_px))

    def outline(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        """See `landmarks.Outlines`."""
        return self.landmarks(image, face) if self.landmarks is not None else None

    def most_prominent(self, image: np.ndarray) -> Face | None:
        """The largest face, looked for harder than by `detect`; None without one. See `prominent`."""
        return most_prominent(self.detector, image)
