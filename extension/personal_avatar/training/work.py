"""What the stages of a training share, and what grows from stage to stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from personal_avatar.domain import LIKENESS, RESEMBLANCE, Dataset, Likeness, PhotoReport
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER, STATE_FOLDER
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training import memory
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.evaluation.bench import Bench, FinalScores, Guided, Untrained
from personal_avatar.training.heeding import Wishes
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.planning.plan import TrainPlan, resolution_of
from personal_avatar.training.planning.task import TrainTask


@dataclass(frozen=True)
class Work:
    """The job: what is wanted, where it is done, whom to tell."""

    task: TrainTask
    plan: TrainPlan
    photo_settings: PhotoSettings
    folder: Path
    emit: EventWriter
    control: Control
    analyser: FaceAnalyser
    began_s: float = field(default_factory=time.monotonic)

    @cached_property
    def wishes(self) -> Wishes:
        """Looked for wherever the work can be interrupted."""
        return Wishes(self.control, self.emit, self.folder / STATE_FOLDER)

    @property
    def artifacts(self) -> Path:
        return self.folder / ARTIFACTS_FOLDER

    @property
    def cache(self) -> Path:
        """Latents and texts of this person; it goes when the person is erased."""
        return self.task.avatar_folder / "cache"

    @property
    def resolution_px(self) -> int:
        return resolution_of(self.plan, self.task.base)


@dataclass(frozen=True)
class Point:
    """A checkpoint saved during the training, its mean likeness on the choosing seeds, and its pictures.

    `likeness`, `sample_likeness`: to the person, or of a style its resemblance (bench.kind). `following`: how well they
    follow their prompts, 0..1. `merit`: what the best one is chosen by. `leakage`: how far others moved to the person.
    `judged`: False where nothing of it was measured; its numbers then say nothing.
    """

    step: int
    path: Path
    likeness: float
    faces_found: float
    samples: tuple[Path, ...]
    sample_likeness: tuple[float | None, ...]
    following: float
    merit: float
    leakage: float = 0.0
    judged: bool = True

    @property
    def preview(self) -> Path | None:
        """The picture in which the person is recognised best."""
        rated = list(zip(self.samples, self.sample_likeness, strict=False))
        return max(rated, key=lambda pair: pair[1] or 0.0)[0] if rated else None


def unscored(step: int, path: Path) -> Point:
    """A checkpoint that was saved and not judged."""
    return Point(step, path, 0.0, 0.0, (), (), 0.0, 0.0, judged=False)


def best_of(points: Sequence[Point]) -> Point:
    """The one with the highest merit, of equals the last, which learned the most; where none was judged, the last."""
    judged = [point for point in points if point.judged]
    return max(judged, key=lambda point: (point.merit, point.step), default=points[-1])


@dataclass
class Training:
    """A training under way. `scores` is None until the best checkpoint has been measured. `seconds_before`: spent by
    the processes that it was taken over from. `less_guided`: measured where the likeness is low. `memory`: that another
    engine's process took, see memory.py. `lacked_room`: the card had none for measuring the best checkpoint."""

    photos: PhotoReport
    dataset: Dataset
    bench: Bench
    data: TrainingSet
    method: TrainingMethod
    total_steps: int
    points: list[Point] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    untrained: Untrained | None = None
    scores: FinalScores | None = None
    less_guided: Guided | None = None
    lacked_room: bool = False
    modules_matched: int | None = None
    seconds_before: float = 0.0
    memory: dict[str, Any] = field(default_factory=lambda: dict(memory.UNTOLD))

    @property
    def likeness(self) -> Likeness | None:
        """Of the best checkpoint, on fresh seeds; None for a style, too."""
        return self._measured(LIKENESS)

    @property
    def resemblance(self) -> Likeness | None:
        """Of the best checkpoint of a style, in the same numbers."""
        return self._measured(RESEMBLANCE)

    def _measured(self, kind: str) -> Likeness | None:
        return self.scores.measured if self.scores and self.bench.kind == kind else None

    @property
    def best(self) -> Point:
        """See `best_of`."""
        return best_of(self.points)

    def thin_out(self) -> None:
        """Of files that are as large as the base, only the best and the last stay."""
        if not self.method.heavy:
            return
        kept = {self.best.path, self.points[-1].path}
        for point in self.points:
            if point.path not in kept:
                point.path.unlink(missing_ok=True)
                point.path.with_suffix(".yaml").unlink(missing_ok=True)

    def load_best(self) -> Point:
        """Its weights, as they are in its file."""
        self.method.load(self.method.read(self.best.path))
        return self.best
