"""A training job from photos to a published file: check, prepare, cache, train, score, selftest, publish."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from personal_avatar.domain import LIKENESS, Dataset, Engine, PhotoReport
from personal_avatar.errors import Cancelled
from personal_avatar.faces.analyser import Analyser, FaceAnalyser
from personal_avatar.faces.second import second_to
from personal_avatar.jobs.control import DISCARD, Control
from personal_avatar.jobs.endings import asking_for_the_base
from personal_avatar.jobs.events import EventWriter, Log, Stage
from personal_avatar.training import compute, libraries, optimisers, resuming, space, team
from personal_avatar.training.data import materials
from personal_avatar.training.data.captions import led_by_trigger
from personal_avatar.training.data.photos import checked, prepared
from personal_avatar.training.data.trigger_word import said_alone, with_word
from personal_avatar.training.engines import own
from personal_avatar.training.evaluation import bench, judging, selftest
from personal_avatar.training.families import registry as families
from personal_avatar.training.heeding import telling_what_was_kept
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.planning import shortage
from personal_avatar.training.planning.idle import harmful, idle
from personal_avatar.training.planning.plan import TrainPlan, photos_as
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.replaced import as_found
from personal_avatar.training.results import report
from personal_avatar.training.results.outcome import finish, numbers_until_now
from personal_avatar.training.work import Training, Work
from personal_avatar.wording import text


def run(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Train and publish; returns the result document. Goes on from the state that an earlier process left.

    Raises `AvatarError`, of which a `Cancelled` carries what was kept; `PauseTaken` when the user wants to go on later.
    """
    with telling_what_was_kept(control), asking_for_the_base(folder):
        return _trained(task, folder, emit, control)


def _trained(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    work = _open(task, folder, emit, control)
    if done := resuming.finished_before(work):
        return done
    with libraries.meanwhile():
        photos = checked(work)
        dataset = prepared(work, photos)
    training = _cache(work, photos, dataset)
    try:
        _train(work, training)
        with judging.unless_full(work, training, text("log.unmeasured")):
            judging.score_best(work, training)
        training.lacked_room = training.scores is None
        with judging.unless_full(work, training, text("log.untried")):
            _selftest(work, training)
    except Cancelled as error:
        if not training.points or control.asked(DISCARD):
            raise
        training.scores = None
        kept = finish(work, training)
        raise Cancelled(error.message, text("ending.hint.best"), kept) from None
    return resuming.remembered(work, finish(work, training))


def _open(task: TrainTask, folder: Path, emit: EventWriter, control: Control) -> Work:
    """The checkpoint can be trained, there is room for what is written, and it may be written. Raises
    `InvalidSettings`, `WeightsMissing`, `BaseUnsupported`, `DiskFull`, `NotWritable`."""
    from personal_avatar.photos.looks import analyser_of

    emit(Stage("check"))
    report.make_ready()
    task = as_found(task, folder, emit)
    plan = _plan(task, emit)
    space.refuse_full(task, plan, folder)
    space.refuse_closed(task.publish_to)
    wanted = photos_as(plan, task.photo_settings)
    analyser = analyser_of(task.photos, wanted, task.weights_folder)
    if little := shortage.of_main_memory(task, plan):
        emit(Log(little))
    return Work(task, plan, wanted, folder, emit, control, analyser)


def _plan(task: TrainTask, emit: EventWriter) -> TrainPlan:
    """As the engine can do it; what is therefore different is told, and what of it does nothing or harms. Raises
    `InvalidSettings`, `TrainerMissing`."""
    plan = task.settings()
    optimisers.refuse_impossible(plan)
    team.refuse_impossible(plan)
    if task.engine is not Engine.KOHYA:
        for useless in idle(plan, task.base, task.plan, _has_masks(task, plan)):
            emit(Log(useless))
        return plan
    from personal_avatar.environment import kohya
    from personal_avatar.training.engines.kohya.limits import fitted

    version = kohya.ready(task.weights_folder.parent, task.sd_scripts, kohya.handed).version
    plan, changes = fitted(plan, task.base, task.method, task.plan, version)
    for told in (*(f"{change}." for change in changes), *harmful(plan, task.base, task.plan)):
        emit(Log(told))
    return plan


def _has_masks(task: TrainTask, plan: TrainPlan) -> bool:
    """Whether pictures are masked: by the faces in them, or by masks that came with them."""
    from personal_avatar.photos.kohya import kept

    given = (origin.mask is not None for origin in kept(task.origins_folder).values())
    return photos_as(plan, task.photo_settings).wants_faces or any(given)


def _cache(work: Work, photos: PhotoReport, dataset: Dataset) -> Training:
    """Load the checkpoint, set up what it is judged by, encode pictures and captions, make it trainable."""
    work.emit(Stage("cache"))
    base, plan = work.task.base, work.plan
    work.wishes.heed()
    model = families.load(
        base, compute.choose(plan.precision, base.native_px), work.resolution_px, text_apart=not plan.reads_anew,
        text_as_stored=True,
    )
    if base.prediction and model.base.prediction != base.prediction:
        work.emit(Log(text("log.velocity", file=base.path.name)))
    work.wishes.parking.covers(model.tensors)
    if alone := said_alone(dataset, plan):
        who = work.task.avatar.name
        work.emit(Log(text("log.word_alone", word=plan.trigger_word, number=alone, who=who)))
    dataset = led_by_trigger(with_word(dataset, plan, model), plan)
    if dataset.trigger != work.task.avatar.trigger:
        work.emit(Log(text("log.word", word=dataset.trigger, who=work.task.avatar.name)))
    scales = bench.set_up(work, model, dataset, _second(work))
    if not dataset.held_out:
        work.emit(Log(text("log.trained_on" if scales.kind == LIKENESS else "log.trained_on_style")))
    data = materials.collect(work, model, dataset)
    method = methods.attach(
        work.task.method, model, plan, trigger=dataset.trigger, class_noun=dataset.class_noun
    )
    return Training(photos, dataset, scales, data, method, plan.steps_for(len(dataset.samples)))


def _second(work: Work) -> FaceAnalyser | None:
    """A recogniser of faces beside the one that chose the photos; drawn characters have no other one."""
    is_of_faces = isinstance(work.analyser, Analyser)
    return second_to(work.analyser.name, work.task.weights_folder, ()) if is_of_faces else None


def _train(work: Work, training: Training) -> None:
    """By our own loop or another engine; every saved checkpoint is scored at once."""
    score = partial(judging.score_point, work, training)
    with compute.blaming_fp16(training.bench.model.compute):
        if work.task.engine is Engine.KOHYA:
            from personal_avatar.training.engines.kohya import engine

            work.emit(Stage("train"))
            work.wishes.never_pause()
            engine.train(work, training, score)
        else:
            own.train(work, training, score)


def _selftest(work: Work, training: Training) -> None:
    """The file that will be published is read again and tried. Raises `SelfTestFailed`."""
    work.emit(Stage("selftest"))
    best = training.best
    training.modules_matched = selftest.check_file(
        best.path, training.bench.model, training.method, training.bench.bare
    )
    if work.plan.must_rise and training.likeness is not None:
        floor, after = training.likeness.floor, training.likeness.after
        selftest.check_likeness(best.path, floor, after, numbers_until_now(work, training))
