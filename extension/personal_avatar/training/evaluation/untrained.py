"""Pictures of the untrained checkpoint, which a training is judged beside: made once for all trainings of a person.

Not for everybody's: a checkpoint may know somebody already, and who is erased must be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.training.data.cache import fingerprint, identity
from personal_avatar.training.data.reading import how_long
from personal_avatar.training.evaluation.samples import SampleSettings, Shot
from personal_avatar.training.families.model import DiffusionModel

Paint = Callable[[Sequence[Shot]], np.ndarray]


@dataclass(frozen=True)
class UntrainedPictures:
    """Those of one checkpoint, in `folder`. Their names follow from all that they follow from, and tell no prompt."""

    folder: Path
    model: DiffusionModel

    def of(self, shots: Sequence[Shot], settings: SampleSettings, paint: Paint) -> np.ndarray:
        """uint8 RGB (shots, height, width, 3), in order; `paint` is asked for those that are not kept, if any. One that
        cannot be kept, or be read again, costs time and nothing else."""
        found = {shot: image for shot in shots if (image := self._kept(shot, settings)) is not None}
        missing = [shot for shot in shots if shot not in found]
        if missing:
            found |= zip(missing, paint(missing), strict=True)
        for shot in missing:
            with suppress(OSError):
                save_picture(found[shot], self._path(shot, settings))
        return np.stack([found[shot] for shot in shots])

    def _kept(self, shot: Shot, settings: SampleSettings) -> np.ndarray | None:
        try:
            image = load_picture(self._path(shot, settings))
        except UnreadablePhoto:
            return None
        return image if image.shape[:2] == (settings.resolution_px, settings.resolution_px) else None

    def _path(self, shot: Shot, settings: SampleSettings) -> Path:
        compute = self.model.compute
        how = (compute.device.type, str(compute.weights), str(compute.autocast), settings)
        marks = how_long(self.model, [shot.prompt, settings.negative_prompt])
        return self.folder / f"{fingerprint(identity(self.model.base), how, shot, *marks)}.png"
