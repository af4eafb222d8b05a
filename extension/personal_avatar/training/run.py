"""A training job from photos to a published file: check, prepare, cache, train, score, selftest, publish."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.domain import Dataset, PhotoReport
from personal_avatar.errors import Cancelled, TooFewPhotos
from personal_avatar.jobs.control import DISCARD, Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Score, Stage
from personal_avatar.params import validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import slug
from personal_avatar.training import bench, cache, compute, selftest
from personal_avatar.training.bench import Bench
from personal_avatar.training.families import registry as families
from personal_avatar.training.loop import Hooks, Trainer, TrainingSet
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.outcome import TRAINED_ON, facts_at, finish
from personal_avatar.training.plan import TrainTask
from personal_avatar.training.publish import metadata
from personal_avatar.training.work import Point, Training, Work

PROGRESS_EVERY_S = 0.5


def run(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Train and publish; returns the result document. Raises `AvatarError`; a `Cancelled` carries what was kept."""
    work = _open(task, folder, emit, control)
    photos = _check(work)
    dataset = _prepare(work, photos)
    training = _cache(work, photos, dataset)
    try:
        _train(work, training)
        _score(work, training)
        _selftest(work, training)
    except Cancelled as error:
        if not training.points or control.asked(DISCARD):
            raise
        training.likeness = None
        kept = finish(work, training)
        raise Cancelled(error.message, "The best checkpoint until then was kept.", kept) from None
    return finish(work, training)


def _open(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> Work:
    """Raises `InvalidSettings`, `WeightsMissing`."""
    from personal_avatar.faces.registry import default_analyser

    plan, settings = task.settings(), validated(PhotoSettings, task.photo_settings)
    emit(Stage("check"))
    return Work(task, plan, settings, folder, emit, control, default_analyser(task.weights_folder))


def _check(work: Work) -> PhotoReport:
    """The checkpoint can be trained, and enough photos can be used. Raises `BaseUnsupported`, `TooFewPhotos`."""
    from personal_avatar.photos.report import check

    families.supported(work.task.base)
    found = check(work.task.photos, work.analyser, work.photo_settings, lambda done, total: work.control.check())
    if len(found.accepted) < work.plan.min_photos:
        raise TooFewPhotos(too_few(found, work.plan.min_photos))
    return found


def too_few(found: PhotoReport, need: int) -> str:
    """Counts the reasons: `Found 1 usable photo, need 3 (2 blurred, 1 no face).`"""
    reasons = Counter(verdict.reasons[0].value.lower().replace("_", " ") for verdict in found.photos if verdict.reasons)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    usable = len(found.accepted)
    return f"Found {usable} usable photo{'' if usable == 1 else 's'}, need {need}" + (f" ({why})." if why else ".")


def _prepare(work: Work, photos: PhotoReport) -> Dataset:
    """Crops and captions in the avatar's folder, a part of them held out for the scores."""
    from personal_avatar.photos.prepare import prepare

    work.emit(Stage("prepare"))
    avatar = work.task.avatar
    return prepare(
        photos,
        work.task.avatar_folder / "dataset",
        resolution_px=work.resolution_px,
        trigger=avatar.trigger,
        class_noun=avatar.class_noun,
        held_out=work.plan.held_out,
        seed=work.plan.seed,
        analyser=work.analyser,
        settings=work.photo_settings,
    )


def _cache(work: Work, photos: PhotoReport, dataset: Dataset) -> Training:
    """Load the checkpoint, measure what it can do untrained, encode pictures and captions, make it trainable."""
    work.emit(Stage("cache"))
    model = families.load(work.task.base, compute.choose(work.plan.precision), work.resolution_px)
    scales = bench.set_up(model, dataset, work.plan, work.analyser, work.control.check)
    if not dataset.held_out:
        work.emit(Log(f"Likeness: {TRAINED_ON[0].lower()}{TRAINED_ON[1:]}"))
    work.emit(Score(0, round(scales.floor.mean, 4)))
    data = _training_set(work, scales, dataset)
    method = methods.attach(work.task.method, model, work.plan)
    return Training(photos, dataset, scales, data, method, work.plan.steps_for(len(data.captions)))


def _training_set(work: Work, scales: Bench, dataset: Dataset) -> TrainingSet:
    samples = [sample for sample in dataset.samples for _ in range(sample.repeats)]
    images = cache.dataset_images(dataset, tuple(samples), work.resolution_px)
    captions = [sample.caption for sample in samples]
    if work.plan.flip:
        images, captions = cache.with_flipped(images), captions * 2
    name = cache.fingerprint(dataset, work.task.base, work.resolution_px, work.plan.flip)
    latents = cache.cached_latents(work.folder / "cache", name, scales.model, images)
    class_captions = [caption.replace(dataset.trigger, dataset.class_noun) for caption in captions]
    trains_text = work.plan.text_encoder_learning_rate > 0
    text = None if trains_text else cache.text_states(scales.model, ["", *captions, *class_captions])
    return TrainingSet(latents, captions, class_captions, text)


def _train(work: Work, training: Training) -> None:
    """The loop; every saved checkpoint is scored at once."""
    work.emit(Stage("train"))
    model, keep_text = training.bench.model, training.method.trains_text
    trainer = Trainer(model, training.method, training.data, work.plan, training.total_steps)
    training.losses = trainer.losses

    def save(step: int) -> None:
        model.unpark()
        training.points.append(_save(work, training, step))
        model.park(text=not keep_text)

    model.park(text=not keep_text)
    trainer.run(Hooks(ProgressReporter(work), save, lambda sentence: work.emit(Log(sentence))))
    model.unpark()


@dataclass
class ProgressReporter:
    """Tells about steps, not more often than a page can show; looks for wishes of the user after each."""

    work: Work
    last_s: float = 0.0

    def __call__(self, done: int, total: int, loss: float, seconds_per_step: float) -> None:
        now = time.monotonic()
        if now - self.last_s >= PROGRESS_EVERY_S or done == total:
            self.last_s = now
            self.work.emit(Progress(done, total, round(loss, 5), round(seconds_per_step, 4)))
        self.work.control.check()


def _save(work: Work, training: Training, step: int) -> Point:
    """Write the weights of this step and score them on the choosing seeds."""
    stem = f"{slug(work.task.avatar.name)}-{step:06d}"
    path = work.artifacts / f"{stem}.safetensors"
    training.method.save(path, metadata(stem, work.task, work.plan, facts_at(work, training, step)))
    shots = training.bench.choosing.subject
    images = training.bench.pictures(shots)
    measured = training.bench.meter.measure(images)
    samples = bench.keep_samples(images, shots, work.artifacts / "samples", step)
    for sample, shot, likeness in zip(samples, shots, measured.each, strict=False):
        work.emit(SampleMade(str(sample.relative_to(work.folder)), step, shot.prompt, likeness))
    work.emit(Score(step, round(measured.mean, 4)))
    return Point(step, path, measured.mean, measured.faces_found, tuple(samples), measured.each)


def _score(work: Work, training: Training) -> None:
    """The best checkpoint on fresh seeds: likeness, and leakage to somebody else of the class."""
    work.emit(Stage("score"))
    best = training.load_best()
    likeness = training.bench.final_likeness()
    work.emit(Score(best.step, round(likeness.after, 4), round(likeness.leakage or 0.0, 4)))
    training.likeness = likeness


def _selftest(work: Work, training: Training) -> None:
    """The file that will be published is read again and tried. Raises `SelfTestFailed`."""
    work.emit(Stage("selftest"))
    best = training.best
    training.modules_matched = selftest.check_file(
        best.path, training.bench.model, training.method, training.bench.bare
    )
    if work.plan.must_rise and training.likeness is not None:
        selftest.check_likeness(best.path, training.likeness.floor, training.likeness.after)
