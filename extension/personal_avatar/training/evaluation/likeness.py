"""How much pictures look like the person: measured against photos that were not trained on.

Likeness of a picture: mean cosine between the embedding of its largest face and those of the held-out photos. A picture
without a face counts 0, for it shows nobody; the share of pictures with a face is reported beside.
Ceiling: real photos of the person once through the checkpoint's VAE, measured as pictures are. The few held-out photos
alone would not do: two photos of one person may be much alike or hardly, and the lot would decide what is recovered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import NoFace
from personal_avatar.problems import stated


class FaceReader(Protocol):
    """What is needed of a face backend; see faces.analyser."""

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray: ...


@dataclass(frozen=True)
class Measured:
    """Mean likeness of some pictures, each one's own (None: no face), and the share of pictures with a face."""

    mean: float
    each: tuple[float | None, ...]

    @property
    def faces_found(self) -> float:
        return sum(one is not None for one in self.each) / len(self.each)


class LikenessMeter:
    """Compares pictures with reference photos, uint8 RGB. Raises `NoFace` when no reference shows a face."""

    def __init__(self, analyser: FaceReader, references: Iterable[np.ndarray]) -> None:
        self._analyser = analyser
        self._references = [self._embedding(image) for image in references]
        if not self._known():
            raise stated(NoFace, "failure.no_references")

    def _known(self, without: int | None = None) -> list[np.ndarray]:
        return [one for index, one in enumerate(self._references) if one is not None and index != without]

    def _embedding(self, image: np.ndarray) -> np.ndarray | None:
        """float32 (d,), L2 norm 1, of the largest face; None without a face."""
        faces = self._analyser.detect(image)
        return self._analyser.embed(image, faces[0]) if faces else None

    def likeness(self, image: np.ndarray, without: int | None = None) -> float | None:
        """-1..1, or None without a face. `without`: index of a reference that is left out."""
        found = self._embedding(image)
        if found is None:
            return None
        return float(np.mean([found @ reference for reference in self._known(without)]))

    def measure(self, images: Iterable[np.ndarray]) -> Measured:
        each = tuple(self.likeness(image) for image in images)
        return Measured(float(np.mean([one or 0.0 for one in each])), each)

    def ceiling(self, reconstructed: Iterable[np.ndarray]) -> float:
        """`reconstructed`: photos once through the VAE, first the references in their order, each against the others,
        then further photos of the person. With a single reference, itself."""
        alone = len(self._known()) < 2
        each = [self.likeness(image, None if alone else index) for index, image in enumerate(reconstructed)]
        return float(np.mean([one or 0.0 for one in each]))
