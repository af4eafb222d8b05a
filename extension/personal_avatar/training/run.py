"""A training job from photos to a published file: check, prepare, cache, train, score, selftest, publish."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar.domain import Checkpoint, Dataset, Likeness, PhotoReport, to_json
from personal_avatar.errors import Cancelled, TooFewPhotos
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.jobs.control import DISCARD, Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Score, Stage
from personal_avatar.storage import sha256_of, slug
from personal_avatar.training import bench as benches
from personal_avatar.training import cache, compute, report, selftest
from personal_avatar.training.bench import Bench
from personal_avatar.training.families import registry as families
from personal_avatar.training.loop import Hooks, Trainer, TrainingSet
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.plan import LoraPlan, TrainTask
from personal_avatar.training.publish import Facts, metadata, publish

PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class Work:
    """What all stages share."""

    task: TrainTask
    plan: LoraPlan
    folder: Path
    emit: EventWriter
    control: Control
    analyser: FaceAnalyser
    began: float = field(default_factory=time.monotonic)

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"


@dataclass(frozen=True)
class Point:
    """A checkpoint saved during the training, with its mean likeness on the choosing seeds and its pictures."""

    step: int
    path: Path
    likeness: float
    faces_found: float
    samples: tuple[Path, ...]
    sample_likeness: tuple[float | None, ...]


class CancelledButKept(Cancelled):
    """The job was cancelled after checkpoints had been saved; `result` tells of the one that was published."""

    def __init__(self, message: str, hint: str = "", result: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint)
        self.result = result

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "result": self.result}


def run(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Train and publish; returns the result document. Raises `AvatarError`, among them `CancelledButKept`."""
    work = Work(task, task.settings(), folder, emit, control, _analyser(task))
    photos = _check(work)
    dataset = _prepare(work, photos)
    bench, data = _cache(work, dataset)
    method = methods.attach(task.method, bench.model, work.plan)
    points: list[Point] = []
    try:
        trainer = _train(work, bench, method, data, points)
        likeness = _score(work, bench, method, points)
        matched = _selftest(work, bench, method, _best(points), likeness)
    except Cancelled as error:
        if not points or control.asked(DISCARD):
            raise
        kept = _result(work, dataset, method, points, None)
        raise CancelledButKept(error.message, "The best checkpoint until then was kept.", kept) from None
    document = {**_result(work, dataset, method, points, likeness), "modules_matched": matched}
    return {**document, "report": _report(work, document, trainer.losses, bench, points)}


def _analyser(task: TrainTask) -> FaceAnalyser:
    from personal_avatar.faces.registry import default_analyser

    return default_analyser(task.weights_folder)


def _check(work: Work) -> PhotoReport:
    """The checkpoint can be trained, and enough photos can be used. Raises `BaseUnsupported`, `TooFewPhotos`."""
    from personal_avatar.params import validated
    from personal_avatar.photos.report import check
    from personal_avatar.photos.settings import PhotoSettings

    work.emit(Stage("check"))
    families.supported(work.task.base)
    settings = validated(PhotoSettings, work.task.photo_settings)
    found = check(work.task.photos, work.analyser, settings, lambda done, total: work.control.check())
    if len(found.accepted) < work.plan.min_photos:
        raise TooFewPhotos(too_few(found, work.plan.min_photos))
    return found


def too_few(found: PhotoReport, need: int) -> str:
    """Counts the reasons: `1 usable photo was found, 3 are needed (2 blurred, 1 no face).`"""
    reasons = Counter(verdict.reasons[0].value.lower().replace("_", " ") for verdict in found.photos if verdict.reasons)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(found.accepted)} usable photos were found, {need} are needed" + (f" ({why})." if why else ".")


def _prepare(work: Work, photos: PhotoReport) -> Dataset:
    """Crops and captions in the avatar's folder, a part of them held out for the scores."""
    from personal_avatar.photos.prepare import prepare

    work.emit(Stage("prepare"))
    avatar = work.task.avatar
    return prepare(
        photos,
        work.task.avatar_folder / "dataset",
        resolution_px=benches.resolution_of(work.plan, work.task.base),
        trigger=avatar.trigger,
        class_noun=avatar.class_noun,
        held_out=work.plan.held_out,
        seed=work.plan.seed,
        analyser=work.analyser,
    )


def _cache(work: Work, dataset: Dataset) -> tuple[Bench, TrainingSet]:
    """Load the checkpoint; what it can do untrained; pictures as latents, captions as text states."""
    work.emit(Stage("cache"))
    resolution_px = benches.resolution_of(work.plan, work.task.base)
    model = families.load(work.task.base, compute.choose(work.plan.precision), resolution_px)
    bench = benches.set_up(model, dataset, work.plan, work.analyser, work.control.check)
    work.emit(Score(0, round(bench.floor.mean, 4)))
    return bench, _training_set(work, bench, dataset, resolution_px)


def _training_set(work: Work, bench: Bench, dataset: Dataset, resolution_px: int) -> TrainingSet:
    samples = [sample for sample in dataset.samples for _ in range(sample.repeats)]
    images = cache.dataset_images(dataset, tuple(samples), resolution_px)
    captions = [sample.caption for sample in samples]
    if work.plan.flip:
        images, captions = cache.with_flipped(images), captions * 2
    name = cache.fingerprint(dataset, work.task.base, resolution_px, work.plan.flip)
    latents = cache.cached_latents(work.folder / "cache", name, bench.model, images)
    class_captions = [caption.replace(dataset.trigger, dataset.class_noun) for caption in captions]
    trains_text = work.plan.text_encoder_learning_rate > 0
    text = None if trains_text else cache.text_states(bench.model, ["", *captions, *class_captions])
    return TrainingSet(latents, captions, class_captions, text)


def _train(work: Work, bench: Bench, method: TrainingMethod, data: TrainingSet, points: list[Point]) -> Trainer:
    """The loop; every saved checkpoint is scored at once and added to `points`."""
    work.emit(Stage("train"))
    total = work.plan.steps_for(len(data.captions))
    trainer = Trainer(bench.model, method, data, work.plan, total)
    reporter = ProgressReporter(work)

    def save(step: int) -> None:
        bench.model.unpark()
        points.append(_save(work, bench, method, step, total, len(data.captions)))
        bench.model.park(text=not method.trains_text)

    bench.model.park(text=not method.trains_text)
    trainer.run(Hooks(reporter, save, lambda sentence: work.emit(Log(sentence))))
    bench.model.unpark()
    return trainer


@dataclass
class ProgressReporter:
    """Tells about steps, not more often than the page can show; looks for wishes of the user after each."""

    work: Work
    last_s: float = 0.0

    def __call__(self, done: int, total: int, loss: float, seconds_per_step: float) -> None:
        now = time.monotonic()
        if now - self.last_s >= PROGRESS_EVERY_S or done == total:
            self.last_s = now
            self.work.emit(Progress(done, total, round(loss, 5), round(seconds_per_step, 4)))
        self.work.control.check()


def _save(work: Work, bench: Bench, method: TrainingMethod, step: int, total: int, pictures: int) -> Point:
    """Write the weights of this step and score them on the choosing seeds."""
    stem = f"{slug(work.task.avatar.name)}-{step:06d}"
    path = work.artifacts / f"{stem}.safetensors"
    method.save(path, metadata(stem, work.task, work.plan, _facts(work, step, total, pictures)))
    shots = bench.choosing.subject
    images = bench.pictures(shots)
    measured = bench.meter.measure(images)
    samples = benches.keep_samples(images, shots, work.artifacts / "samples", step)
    for sample, shot, likeness in zip(samples, shots, measured.each, strict=False):
        work.emit(SampleMade(str(sample.relative_to(work.folder)), step, shot.prompt, likeness))
    work.emit(Score(step, round(measured.mean, 4)))
    return Point(step, path, measured.mean, measured.faces_found, tuple(samples), measured.each)


def _facts(work: Work, step: int, total: int, pictures: int, note: str = "") -> Facts:
    resolution_px = benches.resolution_of(work.plan, work.task.base)
    return Facts(work.task.base.family, resolution_px, pictures, step, total, note)


def _best(points: list[Point]) -> Point:
    return max(points, key=lambda point: point.likeness)


def _score(work: Work, bench: Bench, method: TrainingMethod, points: list[Point]) -> Likeness:
    """The best checkpoint on fresh seeds: likeness, and leakage to somebody else of the class."""
    work.emit(Stage("score"))
    best = _best(points)
    method.load(method.read(best.path))
    likeness = bench.final_likeness()
    work.emit(Score(best.step, round(likeness.after, 4), round(likeness.leakage or 0.0, 4)))
    return likeness


def _selftest(work: Work, bench: Bench, method: TrainingMethod, best: Point, likeness: Likeness) -> int:
    work.emit(Stage("selftest"))
    matched = selftest.check_file(best.path, bench.model, method, bench.bare)
    if work.plan.must_rise:
        selftest.check_likeness(best.path, likeness.floor, likeness.after)
    return matched


def _result(
    work: Work, dataset: Dataset, method: TrainingMethod, points: list[Point], likeness: Likeness | None
) -> dict[str, Any]:
    """Publish the best checkpoint and tell about it. `likeness` None: the job ended before it was measured."""
    from personal_avatar.photos.prepare import reference_embedding

    best, total, avatar = _best(points), points[-1].step, work.task.avatar
    method.load(method.read(best.path))
    facts = _facts(work, best.step, total, len(dataset.samples), _note(likeness))
    file, files = publish(method, work.task, work.plan, facts, _preview(best))
    point = Checkpoint(
        file, sha256_of(file), best.step, work.task.method, work.task.base.family, dataset.trigger, likeness
    )
    return {
        "name": avatar.name,
        "files": [str(path) for path in files],
        "checkpoint": to_json(point),
        "checkpoints": [to_json(point)],
        "likeness": _likeness_document(likeness),
        "leakage": likeness.leakage if likeness else None,
        "scores": [{"step": p.step, "likeness": p.likeness, "faces_found": p.faces_found} for p in points],
        "samples": [str(path) for path in best.samples],
        "dataset_fingerprint": dataset.fingerprint,
        "reference": reference_embedding(dataset, work.analyser).tolist(),
        "recogniser": work.analyser.name,
        "seconds": round(time.monotonic() - work.began, 1),
        "report": None,
    }


def _likeness_document(likeness: Likeness | None) -> dict[str, float] | None:
    if likeness is None:
        return None
    numbers = {"floor": likeness.floor, "after": likeness.after, "ceiling": likeness.ceiling}
    return {name: round(value, 4) for name, value in {**numbers, "recovered": likeness.recovered}.items()}


def _note(likeness: Likeness | None) -> str:
    if likeness is None:
        return "The training was cancelled; likeness was not measured."
    return f"Likeness {likeness.after:.2f} (before {likeness.floor:.2f}, best possible {likeness.ceiling:.2f})."


def _preview(best: Point) -> Path | None:
    """The picture in which the person is recognised best."""
    rated = list(zip(best.samples, best.sample_likeness, strict=False))
    return max(rated, key=lambda pair: pair[1] or 0.0)[0] if rated else None


def _report(work: Work, document: dict[str, Any], losses: list[float], bench: Bench, points: list[Point]) -> str:
    rows = [report.Row(point.step, point.likeness, point.faces_found, point.samples) for point in points]
    facts = {**document, "floor_while_choosing": bench.floor.mean}
    return str(report.write_report(work.artifacts, facts, losses, rows))
