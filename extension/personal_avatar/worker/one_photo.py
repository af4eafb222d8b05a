"""A job that measures what the photos alone can do: an adapter puts the face into the pictures, nothing is trained.

Photos, prompts, seeds, sampler, meter and judge are those of a training of the same photos, so that both can stand in
one table. The photos that a training holds out are measured against, and never shown to the adapter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import ONE_PHOTO, Dataset
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.nouns import Rows, Target
from personal_avatar.identity.shelf import Shelf
from personal_avatar.identity.unit import IdentityUnit, Prepared, cautions
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Score, Stage
from personal_avatar.photos.looks import analyser_of
from personal_avatar.photos.read import read_photo
from personal_avatar.reports.comparison import JUDGED_BY
from personal_avatar.storage import sha256_of
from personal_avatar.training import compute
from personal_avatar.training.data.photos import checked, prepared
from personal_avatar.training.evaluation import bench
from personal_avatar.training.evaluation.bench import SHOWN, Bench, FinalScores, Untrained
from personal_avatar.training.evaluation.grid import Grid
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.families import registry as families
from personal_avatar.training.memory import told as memory_told
from personal_avatar.training.planning.fitness import face_widths
from personal_avatar.training.planning.plan import photos_as
from personal_avatar.training.planning.task import OnePhotoTask
from personal_avatar.training.replaced import as_found
from personal_avatar.training.results.outcome import leakage_of, likeness_document, manners, measured_on
from personal_avatar.training.work import Work

if TYPE_CHECKING:
    from personal_avatar.training.families.model import DiffusionModel

SETTINGS = IdentitySettings()  # as the panel and the API begin with
PARTS = 4  # that are told as progress


def measure(task: OnePhotoTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """The result document, with the numbers that a training tells of itself. Raises `AvatarError`."""
    work = _open(task, folder, emit, control)
    emit(Stage("check"))
    dataset = prepared(work, checked(work))
    emit(Stage("cache"))
    watch, switch = Watch(), Switch(work.plan.guidance != 1.0)
    with watch.running():
        model = families.load(
            work.task.base, compute.choose(work.plan.precision, work.task.base.native_px), work.resolution_px,
            text_apart=True,
        )
    work.wishes.parking.covers(model.tensors)
    scales = in_class_words(bench.set_up(work, model, dataset))
    unit = IdentityUnit(Shelf(task.identity_folders), task.identity_cache)
    with watch.running():
        ready = _ready(unit, model, references(task, dataset), work.resolution_px)
    _tell(work, ready)
    _cover(work, ready)
    emit(Stage("score"))
    with _inside(model, ready, switch):
        found = _measured(work, scales, switch, watch)
    return _document(task, dataset, unit, ready, watch, found)


def _open(task: OnePhotoTask, folder: Path, emit: EventWriter, control: Control) -> Work:
    """The checkpoint can be loaded. Raises `InvalidSettings`, `WeightsMissing`, `BaseUnsupported`."""
    training = as_found(task.training, folder, emit)
    plan = training.settings()
    wanted = photos_as(plan, training.photo_settings)
    analyser = analyser_of(training.photos, wanted, training.weights_folder)
    return Work(training, plan, wanted, folder, emit, control, analyser)


def in_class_words(scales: Bench) -> Bench:
    """The same seeds, and the class noun where a training puts its trigger: nobody has learned that."""
    return replace(scales, choosing=_asked(scales.choosing), final=_asked(scales.final))


def _asked(grid: Grid) -> Grid:
    subject = tuple(Shot(prompt, shot.seed) for prompt, shot in zip(grid.asked, grid.subject, strict=True))
    return replace(grid, subject=subject)


def references(task: OnePhotoTask, dataset: Dataset) -> list[Path]:
    """The photos that a training would learn from, in the order in which they were given."""
    learned = {sample.source_sha256 for sample in dataset.samples}
    return [photo for photo in task.training.photos if sha256_of(photo) in learned][: task.most_photos]


def _ready(unit: IdentityUnit, model: DiffusionModel, photos: list[Path], side_px: int) -> Prepared:
    """What goes into the UNet. Raises `NoFace`, `WeightsMissing`, `WeightsCorrupt`, `BaseUnsupported`."""
    person = Subject(tuple(read_photo(photo)[1] for photo in photos))
    compute, widths = model.compute, face_widths(model.base)
    target = Target(model.family, side_px, side_px, compute.device, compute.weights, widths)
    return unit.prepare(IdentityRequest(SETTINGS, (person,)), target)


def _tell(work: Work, ready: Prepared) -> None:
    side_px = work.resolution_px
    for sentence in (*ready.warnings, *cautions(ready.kind, work.plan.guidance, side_px, side_px)):
        work.emit(Log(sentence))


def _cover(work: Work, ready: Prepared) -> None:
    """The IdentityNet leaves a graphics card with the checkpoint when somebody else wants it."""
    if (control := ready.injection.control) is not None:
        net = control.net
        work.wishes.parking.covers(lambda: (*net.parameters(), *net.buffers()))


@contextmanager
def _inside(model: DiffusionModel, ready: Prepared, switch: Switch) -> Iterator[None]:
    from personal_avatar.identity.injection import injected

    with injected(model.unet, ready.injection, switch.rows_of):
        yield


@dataclass
class Switch:
    """Says at each call of the UNet whether the face goes in. `guided`: the first half of the rows is unconditional."""

    guided: bool
    on: bool = True

    def rows_of(self, count: int) -> Rows | None:
        """The settings last for the whole sampling, so that the share of its steps does not matter."""
        if not self.on:
            return None
        without = count // 2 if self.guided else 0
        return Rows((False,) * without + (True,) * (count - without), 0.0)

    @contextmanager
    def strength(self, weight: float) -> Iterator[None]:
        """Within: off when `weight` is 0; see `bench.Switched`."""
        before, self.on = self.on, weight != 0.0
        try:
            yield
        finally:
            self.on = before


@dataclass
class Watch:
    """Adds up the seconds of several blocks."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began


@dataclass(frozen=True)
class Found:
    """What was measured, and the pictures that are shown."""

    scores: FinalScores
    before: Untrained
    samples: list[Path] = field(default_factory=list)


def _measured(work: Work, scales: Bench, switch: Switch, watch: Watch) -> Found:
    with watch.running():
        images = scales.pictures(scales.final.subject)
    work.emit(Progress(1, PARTS))
    scores = scales.judged(images, switch)
    work.emit(Progress(2, PARTS))
    before = scales.untrained(switch)
    work.emit(Progress(3, PARTS))
    samples = _samples(work, scales)
    work.emit(Progress(PARTS, PARTS))
    work.emit(Score(0, round(scores.measured.after, 4), round(scores.measured.leakage or 0.0, 4)))
    return Found(scores, before, samples)


def _samples(work: Work, scales: Bench) -> list[Path]:
    """The pictures that trainings show: the first of the choosing grid."""
    shots = scales.choosing.subject[:SHOWN]
    images = scales.pictures(shots)
    kept = bench.keep_samples(images, shots, work.artifacts / "samples", 0)
    for path, shot, likeness in zip(kept, shots, scales.meter.measure(images).each, strict=True):
        work.emit(SampleMade(str(path.relative_to(work.folder)), 0, shot.prompt, likeness))
    return kept


def _document(
    task: OnePhotoTask, dataset: Dataset, unit: IdentityUnit, ready: Prepared, watch: Watch, found: Found
) -> dict[str, Any]:
    """`seconds`: from the photos to the pictures of the final grid. No file is made, nothing of the person is kept."""
    training, measured = task.training, found.scores.measured
    plan, widths = training.settings(), face_widths(training.base)
    return {
        "name": training.avatar.name, "method": ONE_PHOTO, "engine": training.engine.value, "base": training.base.title,
        "files": [], "file_mb": None, "plan": {name: getattr(plan, name) for name in JUDGED_BY},
        "adapter": unit.shelf.choose(SETTINGS, training.base.family, widths).path.name,
        "adapter_kind": ready.kind.value,
        "likeness": likeness_document(measured), "leakage": leakage_of(found.scores),
        **manners(found.scores, found.before),
        "measured_on": measured_on(dataset), "photos": len(references(task, dataset)),
        "samples": [str(path) for path in found.samples], "dataset_fingerprint": dataset.fingerprint,
        **memory_told(),
        "seconds": round(watch.seconds, 1), "pictures": len(found.scores.images),
        "remarks": list(ready.warnings),
    }
