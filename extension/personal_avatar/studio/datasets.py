"""Training pictures: prepared for trainers elsewhere, and what a training's own need of the host before it begins."""
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.domain import Dataset, PhotoReport
from personal_avatar.environment.free import GB
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.means import Waiting
from personal_avatar.jobs.store import Job
from personal_avatar.names import TRIGGER_TOKEN
from personal_avatar.params import shown, validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import refused
from personal_avatar.studio.requests import photos_meant
from personal_avatar.studio.works import training_of
from personal_avatar.training.planning.plan import ENLARGED, photos_as, resolution_of
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio


class Datasets:
    """Use cases of `studio.datasets`."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def prepare(
        self, report: PhotoReport, out: Path, resolution_px: int, class_noun: str,
        settings: dict[str, Any] | None = None, say: Callable[[str], None] = lambda sentence: None,
    ) -> Dataset:
        """Cut and caption the accepted photos into `out`, in the layout that trainers read. Photos that lie in such a
        dataset keep its repeats and masks. `say` hears of a download. Raises what `photos.prepare.prepare` raises."""
        from personal_avatar.photos import kohya
        from personal_avatar.photos.prepare import prepare

        wanted = validated(PhotoSettings, photos_meant(class_noun, settings or {}))
        with TemporaryDirectory(prefix="personal-avatar-") as enlarged:
            self._enlarge(report, wanted, resolution_px, Path(enlarged), lambda done, total: None)
            return prepare(
                report, out, resolution_px=resolution_px, trigger=f"{TRIGGER_TOKEN} {class_noun}",
                class_noun=class_noun, held_out=0.0, seed=1, analyser=self._studio.analyser(), settings=wanted,
                weights_folder=self._studio.weights_folder, enlargements=Path(enlarged),
                origins=kohya.origins(verdict.path for verdict in report.accepted), say=say,
            )

    def upscalers(self) -> tuple[str, ...]:
        """Names that the setting `upscaler` may have on this machine."""
        return self._studio.host.upscalers()

    def refuse_upscaler(self, settings: PhotoSettings) -> None:
        """Raise `InvalidSettings` when the settings name an upscaler that this host does not have."""
        known = self.upscalers()
        if settings.upscaler and settings.upscaler not in known:
            remedy = "remedy.there_are" if known else "remedy.upscaler.none"
            raise refused("problem.upscaler", remedy, got=shown(settings.upscaler), names=", ".join(known))

    def before_training(self, job: Job, folder: Path, emit: EventWriter, control: Control) -> None:
        """What only the host can do for a training, done before its process starts for the first time: photos that are
        too small are enlarged into the avatar's folder, when the settings ask for it."""
        if (task := training_of(job)) is not None:
            self._enlarge_small(task, emit, control)

    def before_each_start(self, job: Job, waiting: Waiting) -> None:
        """The graphics card is made free for a training, whether it begins or goes on, and for what is measured beside
        trainings, which needs no more than they do."""
        if (task := training_of(job)) is not None:
            self._studio.host.make_room(round(self._studio.sizing.needed_gb(task) * GB), waiting)

    def _enlarge_small(self, task: TrainTask, emit: EventWriter, control: Control) -> None:
        plan = task.settings()
        settings = photos_as(plan, task.photo_settings)
        if not settings.upscaler:
            shutil.rmtree(task.avatar_folder / ENLARGED, ignore_errors=True)
            return

        def told(done: int, total: int) -> None:
            control.check()

        report = self._studio.check_photos(task.photos, settings.dict(), told, task.choices)
        made = self._enlarge(report, settings, resolution_of(plan, task.base), task.avatar_folder / ENLARGED, told)
        emit(Log(text("log.enlarged", who=settings.upscaler, number=made, total=len(report.accepted))))

    def _enlarge(
        self, report: PhotoReport, settings: PhotoSettings, resolution_px: int, folder: Path,
        on_progress: Callable[[int, int], None],
    ) -> int:
        """Into `folder`; returns how many photos. Raises `InvalidSettings` for an upscaler that is not there."""
        from personal_avatar.photos.enlarge import enlarge

        if not settings.upscaler:
            return 0
        self.refuse_upscaler(settings)

        def upscale(image: np.ndarray, factor: int) -> np.ndarray:
            return self._studio.host.upscale(image, settings.upscaler, factor)

        return enlarge(
            report, folder, resolution_px=resolution_px, settings=settings, upscale=upscale, on_progress=on_progress
        )
