"""Our own loop as the engine of a training: it can pause, go on later, step back, and have the help of other cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from personal_avatar.errors import Cancelled, NanLoss
from personal_avatar.jobs.control import DISCARD
from personal_avatar.jobs.events import Log, Progress, Stage
from personal_avatar.problems import stated
from personal_avatar.storage import slug
from personal_avatar.training import helping
from personal_avatar.training.engines.pace import Judging, Pace
from personal_avatar.training.evaluation import judging
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.results.outcome import facts_at
from personal_avatar.training.results.publish import metadata
from personal_avatar.training.resuming import Keeper
from personal_avatar.training.work import Point, Training, Work, unscored
from personal_avatar.wording import text

Score = Callable[[int, Path], Point]


def train(work: Work, training: Training, score: Score) -> None:
    """Train, from where an earlier process left it, and call `score(step, path)` for each checkpoint that is saved,
    while its weights are loaded. Raises `NanLoss`, `Crashed`, `PauseTaken`, and `Cancelled`: what was learned before
    the first checkpoint is among `training.points` then, unless the user wants nothing kept."""
    trainer, keeper = _taken_up(work, training)
    room, judging_time = Room(training), Judging(work.plan, training.total_steps)
    reporter = ProgressReporter(work, training, trainer, room, keeper, judging_time)
    room.clear()
    work.wishes.heed(between_steps=True)

    def is_enough(step: int) -> bool:
        """Save and score the weights of this step: are they as good as the plan wants them?"""
        work.emit(Stage("judge", within="train"))
        training.bench.model.unpark()
        path = keeper.relied_on or _saved(work, training, step)
        keeper.rely_on(path)
        with judging_time.of_checkpoint(untrained=training.untrained is None):
            point = score(step, path)
        keeper.thin_out()
        room.clear()
        if step < trainer.total:
            reporter.tell(step, saved=step)  # steps again
        return judging.is_enough(training, point, work.plan.stop_at)

    hooks = Hooks(
        reporter, is_enough, trainer.note, lambda: _back_to_last(training), keeper.stops, keeper.keep,
        lambda: _compiling(work, keeper),
    )
    with helping.helped(trainer, work.task, work.folder, work.emit):
        try:
            trainer.run(hooks)
        except Cancelled:
            _keep_present(work, training, trainer)
            raise
    training.bench.model.unpark()


def _taken_up(work: Work, training: Training) -> tuple[Trainer, Keeper]:
    """At its first step, or where an earlier process left it."""
    trainer = Trainer(
        training.bench.model, training.method, training.data, work.plan, training.total_steps,
        note=lambda sentence: work.emit(Log(sentence)),
    )
    training.losses = trainer.losses
    keeper = Keeper(work, training, trainer)
    keeper.take_up()
    work.emit(Stage("compile" if trainer.regions.on else "train"))
    if trainer.done and not trainer.regions.on:  # compiling has no steps
        work.emit(Progress(trainer.done, trainer.total, trainer.last_loss))
    work.wishes.take_over(keeper.pause_at, trainer.tensors)
    return trainer, keeper


@contextmanager
def _compiling(work: Work, keeper: Keeper) -> Iterator[None]:
    """Around a step that takes minutes in one piece; a wish ends it at once where nothing would be lost."""
    work.emit(Stage("compile"))
    work.emit(Log(text("log.compiles")))
    with work.wishes.ending_at_once() if keeper.has_all() else nullcontext():
        yield
    work.emit(Stage("train"))


def _keep_present(work: Work, training: Training, trainer: Trainer) -> None:
    """What a training learned that is cancelled before its first checkpoint is the one that is kept."""
    if training.points or work.control.asked(DISCARD) or not (trainer.has_learned and trainer.is_settled):
        return
    with trainer.as_saved():
        _saved(work, training, trainer.done)


def _saved(work: Work, training: Training, step: int) -> Path:
    """The weights of this step, in a file."""
    stem = f"{slug(work.task.avatar.name)}-{step:06d}"
    path = work.artifacts / f"{stem}.safetensors"
    training.method.save(path, metadata(stem, work.task, work.plan, facts_at(work, training, step)))
    if not training.points:  # a cancel while it is scored keeps it
        training.points = [unscored(step, path)]
    return path


def _back_to_last(training: Training) -> int:
    """The weights of the last saved checkpoint, and its step. Raises `NanLoss` when there is none."""
    if not training.points:
        raise stated(NanLoss, "ending.nan.first")
    training.method.load(training.method.read(training.points[-1].path))
    return training.points[-1].step


@dataclass
class Room:
    """Puts away what steps do not need: the text encoders where they are not trained, the VAE when the last picture
    is encoded."""

    training: Training
    keeps_vae: bool = False

    def clear(self) -> None:
        data = self.training.data
        self.keeps_vae = not data.is_encoded
        self.training.bench.model.park(text=data.text is not None, vae=not self.keeps_vae)

    def after_step(self) -> None:
        if self.keeps_vae and self.training.data.is_encoded:
            self.clear()


@dataclass
class ProgressReporter:
    """Tells about steps, not more often than a page can show; looks for wishes of the user after each."""

    work: Work
    training: Training
    trainer: Trainer
    room: Room
    keeper: Keeper
    judging: Judging
    pace: Pace = field(default_factory=Pace)
    seconds_per_step: float | None = None

    def __call__(self, done: int, total: int, loss: float | None, seconds_per_step: float) -> None:
        self.room.after_step()
        self.seconds_per_step = round(seconds_per_step, 4)
        if self.pace.is_due(done == total):
            self.tell(done, self.trainer.saved)
        self.work.wishes.heed(between_steps=True)
        self.keeper.now_and_then()

    def tell(self, done: int, saved: int) -> None:
        """How far it is; `saved`: the step of the last checkpoint that was judged."""
        loss, untrained = self.trainer.last_loss, self.training.untrained is None
        besides_s = self.judging.left_s(saved, untrained=untrained, seconds_per_step=self.seconds_per_step)
        told = None if loss is None else round(loss, 5)
        self.work.emit(Progress(done, self.trainer.total, told, self.seconds_per_step, besides_s))
