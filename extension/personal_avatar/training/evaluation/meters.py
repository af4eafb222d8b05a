"""What pictures are measured by: likeness to a person, or resemblance to pictures that show no face."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from personal_avatar.domain import LIKENESS, RESEMBLANCE
from personal_avatar.training.evaluation.likeness import FaceReader, LikenessMeter, Measured
from personal_avatar.training.evaluation.resemblance import StyleMeter


class Meter(Protocol):
    """How near pictures, uint8 RGB, are to the references that it was made with: likeness.py, resemblance.py."""

    def measure(self, images: Iterable[np.ndarray]) -> Measured: ...

    def ceiling(self, reconstructed: Iterable[np.ndarray]) -> float: ...


def meter_for(
    references: np.ndarray, analyser: FaceReader, is_style: bool, wants_faces: bool
) -> tuple[str, Meter]:
    """`LIKENESS` or `RESEMBLANCE`, and what measures it. Where no faces are wanted, as of animals, which are taken for
    faces now and then, it is likeness if most of `references`, uint8 RGB (photos, side, side, 3), show one. Raises
    `NoFace` when faces are wanted and there is none."""
    if is_style or not (wants_faces or _mostly_faces(references, analyser)):
        return RESEMBLANCE, StyleMeter(references)
    return LIKENESS, LikenessMeter(analyser, references)


def _mostly_faces(references: np.ndarray, analyser: FaceReader) -> bool:
    return 2 * sum(bool(analyser.detect(image)) for image in references) > len(references)
