"""A training that is put away and taken up again, by another process, as if nothing had happened.

The result equals that of an uninterrupted run, on a processor with one thread to the last bit. One thing may differ: a
loss that blows up goes back to the last good weights, and after a pause those are the ones that it was paused with.
Where copies of all weights are large, the file of the last step's checkpoint takes their place: what is judged then are
the weights as that has them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.domain import Dataset, from_json, to_json
from personal_avatar.errors import DiskFull
from personal_avatar.jobs.control import CANCEL, PAUSE
from personal_avatar.jobs.events import Log
from personal_avatar.jobs.homing import homed
from personal_avatar.jobs.kept import ASIDE_FOLDER, STATE_COMPLETE
from personal_avatar.storage import sha256_of
from personal_avatar.training import storing
from personal_avatar.training.data.cache import load_image, read_as
from personal_avatar.training.data.reading import how_long
from personal_avatar.training.evaluation.bench import Untrained, keep_samples
from personal_avatar.training.evaluation.likeness import Measured
from personal_avatar.training.families.marks import parts_of
from personal_avatar.training.loop import Trainer
from personal_avatar.training.storing import Damaged
from personal_avatar.training.work import Point, Training, Work, best_of
from personal_avatar.wording import text

EVERY_S = 600.0  # between two states that nobody asked for, at least,
RARER = 20.0  # and so many times what the last one took
RETRY_S = 30.0  # after one that could not be written


class Keeper:
    """Puts one training away and takes it up again. `stops`, `keep`: see `Hooks`; `pause_at`: see `Wishes`."""

    def __init__(self, work: Work, training: Training, trainer: Trainer) -> None:
        self._work, self._training, self._trainer = work, training, trainer
        self._folder = work.wishes.folder
        self._fingerprint = fingerprint(work, training)
        self._kept = (-1, 0)
        self._kept_at = time.monotonic()
        self._retry_at = self._cost_s = 0.0
        self._bare: list[str] | None = None
        self._file, self._file_at = Path(), (-1, 0)  # of the newest checkpoint
        self._signed: dict[str, Any] | None = None  # it, where what is kept has no weights of its own

    # -- putting away

    def stops(self) -> bool:
        wishes = self._work.control
        return wishes.asked(PAUSE) or wishes.asked(CANCEL) or self._is_due()

    def pause_at(self, between_steps: bool) -> int | None:
        if between_steps and self._trainer.is_settled and time.monotonic() >= self._retry_at:
            self._put()
        return self._trainer.done if self._is_kept else None

    def has_all(self) -> bool:
        """Between two steps, when all losses have been looked at: whether nothing was trained yet, or all of it is kept
        now."""
        return self._trainer.done == 0 or self.pause_at(True) is not None

    def now_and_then(self) -> None:
        """Between two steps."""
        if self._is_due() and self._trainer.is_settled:
            self._put()

    def keep(self) -> None:
        """Before a checkpoint is judged and after it. Copies of all weights are too large for every one, and are kept
        where the checkpoint may not be saved, as the base that goes into it is gone."""
        if self._trainer.saved == self._trainer.done:
            if self._is_kept:
                storing.amend(self._folder, self._facts())
            elif self._needs_file_alone:
                self._put()
            self._work.wishes.heed(between_steps=True)
        elif not self._training.method.heavy or self._is_due() or self._base_is_lost:
            self._put()

    @property
    def relied_on(self) -> Path | None:
        """The file that the weights were taken from, as no step was left to be made."""
        return self._file if self._signed and self._needs_file_alone else None

    def rely_on(self, file: Path) -> None:
        """The checkpoint of this step is in `file`. After the last one nothing else is needed of large weights."""
        self._file, self._file_at = file, self._here
        if self._needs_file_alone and not self._is_kept:
            self._put()

    @property
    def _needs_file_alone(self) -> bool:
        return self._training.method.heavy and self._trainer.is_over and self._file_at == self._here

    def thin_out(self) -> None:
        """Large checkpoints that are not needed go, once what is kept knows those that take their place: whoever takes
        the training up finds files for what it is told."""
        known = storing.facts_of(self._folder) if self._training.method.heavy else None
        if known is not None:
            try:
                storing.amend(self._folder, {**known, **self._judged()})
            except OSError:  # no room for it; they go the next time
                return
        self._training.thin_out()

    @property
    def _here(self) -> tuple[int, int]:
        """Step, and how often the training has gone back: the same step has other weights then."""
        return self._trainer.done, self._trainer.halvings

    @property
    def _base_is_lost(self) -> bool:
        return not self._training.bench.model.file_is_as_read

    @property
    def _is_kept(self) -> bool:
        return self._kept == self._here

    def _is_due(self) -> bool:
        if self._training.method.heavy and self._trainer.is_over:
            return False  # the checkpoint comes next, and is enough
        now = time.monotonic()
        due_at = self._kept_at + max(EVERY_S, RARER * self._cost_s)
        return now >= max(due_at, self._retry_at) and not self._is_kept

    def _put(self) -> None:
        """A state that cannot be written is told of, and the training goes on; the one before it is still there."""
        if self._is_kept and self._is_told():
            return
        began = time.monotonic()
        try:
            self._write()
        except (OSError, DiskFull) as error:
            if self._retry_at == 0.0:
                why = error.message if isinstance(error, DiskFull) else str(error)
                self._work.emit(Log(text("log.not_kept", cause=why)))
            self._retry_at = time.monotonic() + RETRY_S
            return
        self._kept, self._kept_at, self._retry_at = self._here, time.monotonic(), 0.0
        self._cost_s = self._kept_at - began

    def _write(self) -> None:
        self._signed = storing.signed(self._file) if self._needs_file_alone else None
        tree = self._trainer.tally() if self._signed else self._trainer.state()
        storing.write(self._folder, self._facts(), tree)

    def _is_told(self) -> bool:
        """Whether what is kept of this step also knows that its checkpoint was judged."""
        facts = storing.facts_of(self._folder)
        return facts is not None and facts["saved"] == self._trainer.saved

    def _facts(self) -> dict[str, Any]:
        import torch

        training, trainer = self._training, self._trainer
        return {
            "fingerprint": self._fingerprint,
            "torch": torch.__version__,
            "step": trainer.done,
            "total": trainer.total,
            "saved": trainer.saved,
            "enough": trainer.enough,
            "weights": self._signed,
            "seconds": round(training.seconds_before + time.monotonic() - self._work.began_s, 1),
            **self._judged(),
        }

    def _judged(self) -> dict[str, Any]:
        training = self._training
        return {
            "points": [self._portable(point) for point in training.points],
            "untrained": self._untrained(training.untrained),
            "ceiling": training.bench.known_ceiling,
        }

    def _portable(self, point: Point) -> dict[str, Any]:
        """With paths inside of the job's folder, which may travel."""
        samples = tuple(path.relative_to(self._work.folder) for path in point.samples)
        found: dict[str, Any] = to_json(replace(point, path=point.path.relative_to(self._work.folder), samples=samples))
        return found

    def _untrained(self, before: Untrained | None) -> dict[str, Any] | None:
        if before is None:
            return None
        if self._bare is None:
            shots = self._training.bench.choosing.subject
            files = keep_samples(before.images, shots, self._work.artifacts / "samples", 0)
            self._bare = [str(path.relative_to(self._work.folder)) for path in files]
        return {
            "images": self._bare, "likeness": asdict(before.likeness),
            "following": before.following, "diversity": before.diversity, "others": before.others,
        }

    # -- taking up

    def take_up(self) -> None:
        """Go on from what was kept; what cannot be used is put aside, and the training begins anew."""
        if not (self._folder / STATE_COMPLETE).exists():
            return
        try:
            self._restore()
        except (Damaged, ValueError, KeyError, TypeError) as error:
            self._put_aside(str(error))
            return
        self._work.emit(Log(text("log.going_on", step=self._trainer.done, total=self._trainer.total)))

    def _restore(self) -> None:
        import torch

        known = storing.facts_of(self._folder)
        if known is not None and known["fingerprint"] != self._fingerprint:
            raise Damaged("it belongs to another plan, other photos or another checkpoint")
        facts, tree = storing.read(self._folder)
        found = self._measured(facts)
        told = {**tree, "saved": facts["saved"], "enough": facts["enough"]}
        if signed := facts.get("weights"):
            storing.check(self._work.artifacts, signed)
            self._file = self._work.artifacts / next(iter(signed))
            self._trainer.restore_tally(told, self._training.method.read(self._file))
            self._file_at, self._signed = self._here, signed
        else:
            self._trainer.restore(told)
        self._kept, self._training.seconds_before = self._here, float(facts["seconds"])
        self._training.points, self._training.untrained = found
        if facts["ceiling"] is not None:
            vars(self._training.bench)["ceiling"] = facts["ceiling"]
        if facts["torch"] != torch.__version__:
            self._work.emit(Log(text("log.other_torch", version=facts["torch"], now=torch.__version__)))

    def _measured(self, facts: dict[str, Any]) -> tuple[list[Point], Untrained | None]:
        """What need not be measured again. A checkpoint whose file is gone is left out; of large ones only the best and
        the last have one."""
        folder, before = self._work.folder, facts["untrained"]
        points = [from_json(Point, point) for point in facts["points"]]
        points = [
            replace(one, path=folder / one.path, samples=tuple(folder / path for path in one.samples))
            for one in points
        ]
        if points and not all(one.path.is_file() for one in (points[-1], best_of(points))):
            points = [one for one in points if one.path.is_file()]
        images = [folder / path for path in before["images"]] if before else []
        if before is None or "others" not in before or not all(path.is_file() for path in images):
            return points, None
        likeness = from_json(Measured, before["likeness"])
        shown = np.stack([load_image(path) for path in images])
        return points, Untrained(shown, likeness, before["following"], before["diversity"], before["others"])

    def _put_aside(self, why: str) -> None:
        self._trainer.start_again()
        aside = self._work.folder / ASIDE_FOLDER
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(self._folder, aside)
        self._work.emit(Log(text("log.useless_state", cause=why)))


def finished_before(work: Work) -> dict[str, Any] | None:
    """The result of a training whose process ended before it could tell; None otherwise."""
    result: dict[str, Any] | None = homed((storing.facts_of(work.wishes.folder) or {}).get("result"), work.folder)
    return result if result and all(Path(file).is_file() for file in result["files"]) else None


def remembered(work: Work, result: dict[str, Any]) -> dict[str, Any]:
    """The result, once it is written down; should this process end before it can tell, nobody need do it again."""
    facts = storing.facts_of(work.wishes.folder)
    if facts is not None:
        storing.amend(work.wishes.folder, {**facts, "result": result})
    return result


def fingerprint(work: Work, training: Training) -> str:
    """Changes with everything that the steps follow from: plan, pictures, captions, checkpoint. Not with places and
    times of files, which are others on another machine."""
    base, dataset, data = work.task.base, training.dataset, training.data
    files = [parts_of(path) for path in (base.path, base.vae, base.config)]
    told = (
        storing.VERSION, work.task.method.value, sorted(work.plan.dict().items()), training.total_steps,
        work.resolution_px, *read_as(base), files, dataset.trigger, dataset.class_noun,
        _pictures_of(dataset), data.captions, data.others.captions if data.others else None,
        *how_long(training.bench.model, data.asked),
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _pictures_of(dataset: Dataset) -> list[tuple[str, str]]:
    """Name and SHA-256 of each picture and mask."""
    samples = (*dataset.samples, *dataset.held_out)
    names = [name for sample in samples for name in (sample.image, sample.mask) if name is not None]
    return [(str(name), sha256_of(dataset.folder / name)) for name in names]
