"""`personal-avatar bench likeness`: how like the pictures become, and how soon, by real training jobs.

The reference is the recipe for a face that sd-scripts is usually given; sd-scripts itself trains it where its folder is
named, else our loop does, which takes the same steps (see `plain`). Its rates suit networks of the usual sizes; a small
network needs higher ones, and `reference_rate` is the fair one there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personal_avatar.benchmarks.passing import passing_name
from personal_avatar.domain import Engine, Method
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.events import Progress, Record, Score, Stage, Started
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.studio import Studio, TrainRequest

Follow = Callable[[Job], JobView]
Say = Callable[[str], None]
SHARE = 0.8
REFERENCE = "reference"
CONSENT = "Pictures that a benchmark was given."
TRAIN_STAGE = "train"
# What guides for faces agree on: AdamW, constant rates, rank 32 with half of it as alpha, one picture a step.
RECIPE: dict[str, Any] = {
    "optimiser": "adamw",
    "schedule": "constant",
    "warmup_steps": 0,
    "learning_rate": 1e-4,
    "text_encoder_learning_rate": 5e-5,
    "rank": 32,
    "alpha": 16.0,
    "conv_rank": 0,
    "batch_size": 1,
    "accumulate": 1,
    "min_snr_gamma": 0.0,
    "noise_offset": 0.0,
    "trigger_word": "",
    "caption_dropout": 0.0,
    "vary_captions": False,
    "prior_weight": 0.0,
    "unmasked_weight": 1.0,
    "ema_decay": 0.0,
    "stop_at": 0.0,
    "blocks": "all",
    "words_factor": 1.0,
    "must_rise": False,
}
STEPS_PER_PHOTO = 100
TRAINED_BY = {Engine.KOHYA: "sd-scripts", Engine.DIFFUSERS: "our loop"}


@dataclass(frozen=True)
class Subject:
    """Somebody's photos."""

    name: str
    photos: tuple[Path, ...]


@dataclass(frozen=True)
class LikenessWork:
    """`plan`: settings of the user's own for all methods but the reference. `saves`: checkpoints that are scored.

    `reference_rate`: learning rate of the UNet in the reference, 0 for the usual one.
    """

    subjects: tuple[Subject, ...]
    methods: tuple[Method, ...]
    checkpoint: str
    class_noun: str = "person"
    plan: tuple[tuple[str, Any], ...] = ()
    saves: int = 10
    reference: bool = True
    reference_steps: int = 0
    reference_rate: float = 0.0
    reference_engine: Engine = Engine.DIFFUSERS

    def recipe(self) -> dict[str, Any]:
        """The usual one; with another rate, that of the text encoder stands to it as it usually does."""
        factor = self.reference_rate / RECIPE["learning_rate"] if self.reference_rate else 1.0
        rates = ("learning_rate", "text_encoder_learning_rate")
        return {**RECIPE, **{name: RECIPE[name] * factor for name in rates}}


@dataclass(frozen=True)
class Course:
    """Likeness over time: (seconds, likeness) of each saved checkpoint.

    `training`: seconds of the steps alone; `wall`: from the start of the process until the likeness was known. For
    sd-scripts, which is judged when it has ended, `wall` is from its own start to the checkpoint's last step, without
    the pauses in which it makes pictures: less than anybody waits for it.
    """

    floor: float
    training: tuple[tuple[float, float], ...]
    wall: tuple[tuple[float, float], ...]

    @property
    def best(self) -> float:
        return max([self.floor, *(likeness for _, likeness in evened(self.training))])


def course_of(records: Sequence[Record], engine: Engine) -> Course:
    """Read the events of a training."""
    began = next(record.at for record in records if isinstance(record.event, Started))
    stages = [place for place, one in enumerate(records) if isinstance(one.event, Stage) and not one.event.within]
    place = next(place for place in stages if records[place].event == Stage(TRAIN_STAGE))
    after = next((later for later in stages if later > place), len(records))
    learning = [(record.at, record.event) for record in records[place:after]]
    steps = [(at, event.step) for at, event in learning if isinstance(event, Progress)]
    alone, rate = engine is Engine.KOHYA, seconds_a_step(steps)
    before_s = steps[0][0] - steps[0][1] * rate - records[place].at if steps else 0.0
    training, wall = [], []
    for at, event in learning:
        if isinstance(event, Progress) and not alone:  # the mean of all steps until then, which need not cost alike
            rate = event.seconds_per_step or rate
        if isinstance(event, Score):
            training.append((event.step * rate, event.likeness))
            wall.append((before_s + event.step * rate if alone else at - began, event.likeness))
    floor = next(record.event.likeness for record in records if isinstance(record.event, Score))
    return Course(floor, tuple(training), tuple(wall))


def seconds_a_step(steps: Sequence[tuple[float, int]]) -> float:
    """Median between two signs of progress (time, step): pauses, in which pictures are made, do not count."""
    pairs = zip(steps, steps[1:], strict=False)
    rates = [(at - before) / (step - last) for (before, last), (at, step) in pairs if step > last]
    return statistics.median(rates) if rates else 0.0


def evened(course: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each likeness as the mean of it and its two neighbours; the first and the last have only themselves.

    Of neighbouring checkpoints .05 is chance. By single ones it, and how often one looks, would say who is first above
    a line: of two trainings with the same curve one was there after 56 s and one after 84.
    """
    found = list(course)
    for place in range(1, len(course) - 1):
        near = course[place - 1 : place + 2]
        found[place] = course[place][0], statistics.fmean(likeness for _, likeness in near)
    return found


def reached(course: Sequence[tuple[float, float]], threshold: float) -> float | None:
    """Seconds until the evened likeness was at least `threshold` for the first time, on a line between the checkpoint
    before and the one that it was; None when it never was."""
    before: tuple[float, float] | None = None
    for at, likeness in evened(course):
        if likeness >= threshold:
            if before is not None:
                at -= (likeness - threshold) / (likeness - before[1]) * (at - before[0])
            return round(at, 1)
        before = at, likeness
    return None


def time_to_likeness(ours: Course, reference: Course) -> dict[str, Any]:
    """How soon each is `SHARE` of the way from the untrained checkpoint to the best that the reference ever reached.

    `ratio`: our time as a share of the reference's; null when one never got there. A reference that never rose above
    the untrained checkpoint sets no threshold.
    """
    rose = reference.best > reference.floor
    threshold = reference.floor + SHARE * (reference.best - reference.floor) if rose else math.inf
    found: dict[str, Any] = {
        "threshold": round(threshold, 4) if rose else None,
        "floor_of_reference": round(reference.floor, 4),
        "best_of_reference": round(reference.best, 4),
    }
    for prefix, pair in {"": (ours.training, reference.training), "wall_": (ours.wall, reference.wall)}.items():
        own, other = (reached(course, threshold) for course in pair)
        found |= {f"{prefix}ours_s": own, f"{prefix}reference_s": other}
        found[f"{prefix}ratio"] = round(own / other, 3) if own is not None and other else None
    return found


def measure(studio: Studio, work: LikenessWork, follow: Follow, say: Say) -> dict[str, Any]:
    """The document of `bench likeness`. A training that failed has its error in place of numbers."""
    rows = [row for subject in work.subjects for row in _subject(studio, work, subject, follow, say)]
    compared = [row["time_to_likeness"] for row in rows if row.get("time_to_likeness")]
    document: dict[str, Any] = {"subjects": rows}
    if work.reference:
        document["reference"] = {"engine": work.reference_engine.value, "recipe": work.recipe(), "share": SHARE}
        document["time_to_likeness"] = {key: median_of(compared, key) for key in ("ours_s", "reference_s", "ratio")}
    return document


def median_of(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    """Of the rows that have it; null when one of them never got there."""
    values = [row[key] for row in rows]
    return round(statistics.median(values), 3) if values and None not in values else None


def _subject(
    studio: Studio, work: LikenessWork, subject: Subject, follow: Follow, say: Say
) -> list[dict[str, Any]]:
    rows, reference = [], None
    if work.reference:
        steps = work.reference_steps or STEPS_PER_PHOTO * len(subject.photos)
        plan = {**work.recipe(), "steps": steps, "save_count": work.saves}
        say(f"{subject.name}: the usual recipe, {steps} steps, by {TRAINED_BY[work.reference_engine]}")
        row, reference = _train(_request(work, subject, Method.LORA, plan, work.reference_engine), studio, follow)
        rows.append({**row, "subject": subject.name, "method": REFERENCE})
    for method in work.methods:
        say(f"{subject.name}: {method.value}")
        plan = {"save_count": work.saves, "must_rise": False, **dict(work.plan)}
        row, course = _train(_request(work, subject, method, plan, Engine.DIFFUSERS), studio, follow)
        soon = time_to_likeness(course, reference) if course and reference else None
        rows.append({**row, "subject": subject.name, "time_to_likeness": soon})
    return rows


def _request(
    work: LikenessWork, subject: Subject, method: Method, plan: dict[str, Any], engine: Engine
) -> TrainRequest:
    """The name comes with the start."""
    return TrainRequest(
        "",
        subject.photos,
        work.class_noun,
        method=method,
        plan=plan,
        checkpoint=work.checkpoint,
        consent=CONSENT,
        engine=engine,
    )


def _train(request: TrainRequest, studio: Studio, follow: Follow) -> tuple[dict[str, Any], Course | None]:
    """A job from photos to a published file; what it leaves is read, then erased. One that fails leaves its error."""
    with passing_name(studio) as name:
        try:
            job = studio.trainings.start(replace(request, name=name))
        except AvatarError as error:
            return row_of(request.method, {}, error.to_json()), None
        view = follow(job)
        if view.status.state is State.SUCCEEDED:
            course = course_of(list(studio.events(job.id)), request.engine)
            return row_of(request.method, view.result or {}, None), course
        return row_of(request.method, {}, view.status.error), None


def row_of(method: Method, result: dict[str, Any], error: dict[str, Any] | None) -> dict[str, Any]:
    """What the training's own report says, measured on photos that it did not train on."""
    likeness = result.get("likeness") or {}
    return {
        "method": method.value,
        **{key: likeness.get(key) for key in ("floor", "after", "ceiling", "recovered")},
        **{key: result.get(key) for key in ("leakage", "prompt_following", "diversity", "seconds", "peak_memory_gb")},
        "scores": result.get("scores", []),
        "error": {key: error[key] for key in ("code", "message", "hint")} if error else None,
    }
