"""How good the saved checkpoints are, which is the best, and what the untrained checkpoint could do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personal_avatar.domain import LIKENESS, Likeness
from personal_avatar.domain.merit import kept, merit_of, stayed
from personal_avatar.errors import OutOfVram
from personal_avatar.jobs.events import Log, SampleMade, Score, Stage
from personal_avatar.training.evaluation.batches import noticing
from personal_avatar.training.evaluation.bench import Untrained, keep_samples
from personal_avatar.training.results.document import GOOD_SHARE
from personal_avatar.training.work import Point, Training, Work, unscored
from personal_avatar.wording import text


def score_point(work: Work, training: Training, step: int, path: Path) -> Point:
    """How good the weights are that are loaded now; unscored where the graphics card has no room to tell, which costs
    no training. A step that is saved a second time, after a step back, takes the place of the first."""
    point = unscored(step, path)
    with unless_full(work, training, text("log.unjudged", step=step)):
        point = _judged(work, training, step, path)
    training.points = [one for one in training.points if one.step != step] + [point]
    return point


@contextmanager
def unless_full(work: Work, training: Training, sentence: str) -> Iterator[None]:
    """What is within is left out, and `sentence` told, where the graphics card has no room for it; both ways out, where
    that is not certain, as the card may as well lack a format of numbers."""
    full: list[OutOfVram] = []
    with noticing(full):
        yield
    if full:
        training.bench.model.unpark()
        work.emit(Log(sentence))
        if full[0].hint == text("error.OUT_OF_VRAM.cudnn"):
            work.emit(Log(text("log.or_format")))


def _judged(work: Work, training: Training, step: int, path: Path) -> Point:
    """Pictures on the choosing seeds: likeness, whether they still follow their prompts, and whether others stay who
    they are."""
    before, scales = untrained(work, training), training.bench
    images = scales.pictures(scales.choosing.subject)
    measured = scales.meter.measure(images)
    samples = keep_samples(images, scales.choosing.subject, work.artifacts / "samples", step)
    for sample, shot, likeness in zip(samples, scales.choosing.subject, measured.each, strict=False):
        told = likeness if scales.kind == LIKENESS else None
        work.emit(SampleMade(str(sample.relative_to(work.folder)), step, shot.prompt, told))
    _tell(work, training, step, measured.mean)
    following = scales.following(images, training.method, scales.choosing)
    leakage = scales.others() - before.others if before.others is not None else 0.0
    obedience, others = kept(following, before.following), stayed(moved(training, leakage))
    merit = merit_of(recovered(training, measured.mean), obedience, others)
    return Point(
        step, path, measured.mean, measured.faces_found, tuple(samples), measured.each, following, merit, leakage
    )


def untrained(work: Work, training: Training) -> Untrained:
    """What the checkpoint did before the training: measured with the first that is saved, so that training begins at
    once; the trained part is switched off for it, to the last bit."""
    if training.untrained is None:
        training.untrained = training.bench.untrained(training.method, training.method.moves_others)
        _tell(work, training, 0, training.untrained.likeness.mean)
    return training.untrained


def _tell(work: Work, training: Training, step: int, mean: float, leakage: float | None = None) -> None:
    """Likeness; the resemblance of what has no face is no likeness and is told in the report alone."""
    if training.bench.kind == LIKENESS:
        work.emit(Score(step, round(mean, 4), leakage))


def recovered(training: Training, likeness: float) -> float:
    """Share of the way from the untrained checkpoint to the real photos, on the choosing seeds."""
    floor = training.untrained.likeness.mean if training.untrained else 0.0
    return Likeness(floor, likeness, training.bench.ceiling).recovered


def moved(training: Training, leakage: float) -> float:
    """Share of that way that others went to the person."""
    floor = training.untrained.likeness.mean if training.untrained else 0.0
    return recovered(training, floor + leakage)


def is_enough(training: Training, point: Point, stop_at: float) -> bool:
    """Whether the person is alike by the share `stop_at` of the way, and others are not; 0: never."""
    if not point.judged or stop_at <= 0:
        return False
    return stop_at <= recovered(training, point.likeness) * stayed(moved(training, point.leakage))


def score_best(work: Work, training: Training) -> None:
    """The best checkpoint on fresh seeds: likeness, leakage to somebody else of the class, prompts, diversity; where
    the likeness is low, also what less guidance does."""
    work.emit(Stage("score"))
    best = training.load_best()
    scores = training.bench.final_scores(training.method)
    _tell(work, training, best.step, scores.measured.after, round(scores.measured.leakage or 0.0, 4))
    training.scores = scores
    if training.likeness is not None and training.likeness.recovered < GOOD_SHARE:
        training.less_guided = training.bench.less_guided()
