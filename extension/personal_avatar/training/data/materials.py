"""What a training learns from, made ready: latents, masks, text states, pictures of the class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from personal_avatar.domain import Dataset, Look, Sample
from personal_avatar.errors import NoFace
from personal_avatar.faces.look import look_of, majority
from personal_avatar.jobs.events import Log, Stage
from personal_avatar.photos.prepare import reference_embedding
from personal_avatar.training import losses
from personal_avatar.training.data import cache
from personal_avatar.training.data.captions import leads, without_subject
from personal_avatar.training.data.class_folders import SHARED
from personal_avatar.training.data.class_words import in_styles
from personal_avatar.training.data.classes import ClassPictures, Subject, Wanted, class_pictures
from personal_avatar.training.data.training_set import ClassSet, Pictures, TrainingSet
from personal_avatar.training.evaluation.bench import sample_settings
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.work import Work
from personal_avatar.wording import text


def collect(work: Work, model: DiffusionModel, dataset: Dataset) -> TrainingSet:
    """Everything that the plan asks for. `model` must have nothing attached yet."""
    plan, samples = work.plan, list(dataset.samples)
    images, captions = cache.dataset_images(dataset, samples), [sample.caption for sample in samples]
    repeats = tuple(sample.repeats for sample in samples)
    if plan.flip:
        images, captions, repeats = cache.with_flipped(images), captions * 2, repeats * 2
    order = [sample.source_sha256 for sample in samples]
    name = cache.fingerprint(cache.identity(model.base), dataset.fingerprint, order, plan.flip, *_sizes(plan))
    latents, small_latents = _latents(work, work.cache, name, model, images)
    class_captions = [without_subject(caption, dataset, plan.is_style) for caption in captions]
    others, small_others = _others(work, model, dataset)
    styled = in_styles(model.base, dataset.class_noun, plan.seed) if plan.wants_styles else ()
    asked = ["", *captions, *class_captions, *(others.captions if others else ())]
    if plan.vary_captions:
        asked = [one for caption in asked for one in leads(caption)]
    asked += styled
    states = None
    if not plan.reads_anew:
        states = cache.cached_text_states(work.cache, model, asked, plan.clip_skip, work.wishes.heed)
    places = _places(
        work, dataset, samples, latents, lambda one: work.emit(Log(text("log.mask_empty", file=one.image.name)))
    )
    small = None
    if len(small_latents):
        small = Pictures(small_latents, _places(work, dataset, samples, small_latents), small_others, repeats)
    return TrainingSet(
        latents, captions, class_captions, states, places, others, small, styled, repeats, tuple(asked)
    )


def _sizes(plan: TrainPlan) -> tuple[str, ...]:
    """What the name of a file of latents tells of their sizes."""
    return ("half",) if plan.low_first > 0 else ()


def _latents(
    work: Work, folder: Path, name: str, model: DiffusionModel, images: list[np.ndarray]
) -> tuple[cache.Latents, cache.Latents]:
    """Of the pictures and, where the training begins with these, of the same at half the size; none otherwise."""
    smaller = cache.halved(images) if work.plan.low_first > 0 else []
    return cache.cached_latents(folder, name, model, [*images, *smaller], work.wishes.heed).split(len(images))


def _places(
    work: Work, dataset: Dataset, samples: list[Sample], latents: cache.Latents,
    on_empty: Callable[[Sample], None] = lambda sample: None,
) -> tuple[torch.Tensor, ...] | None:
    """What each place of each picture counts; the mirrored pictures after the others. `on_empty` hears of masks in
    which nothing is white."""
    outside = work.plan.unmasked_weight
    if outside >= 1.0:
        return None
    masks = cache.latent_masks(dataset, samples, latents, on_empty)
    if work.plan.flip:
        masks += [mask.flip(-1) for mask in masks]
    return tuple(losses.place_weights(mask, outside) for mask in masks)


def _others(work: Work, model: DiffusionModel, dataset: Dataset) -> tuple[ClassSet | None, ClassSet | None]:
    """Pictures of the class, and the same at half the size."""
    if work.plan.wants_class_pictures:
        work.emit(Stage("class"))
    found = pictures_of_the_class(work, model, dataset)
    if found is None or not found.images:
        return None, None
    name = cache.fingerprint(found.seeds, *_sizes(work.plan))
    latents, small = _latents(work, found.folder, name, model, found.images)
    return ClassSet(latents, found.captions), ClassSet(small, found.captions) if len(small) else None


def pictures_of_the_class(work: Work, model: DiffusionModel, dataset: Dataset) -> ClassPictures | None:
    """From the folder that all trainings share, or made now by `model`; None when the plan asks for none."""
    plan = work.plan
    if not plan.wants_class_pictures:
        return None
    folder = (work.task.cache or work.folder / "cache") / SHARED
    settings = sample_settings(plan, model.base)
    subject, shows_faces = _subject(work, dataset), work.photo_settings.wants_faces
    wanted = Wanted(work.task.avatar.class_noun, plan.class_pictures, settings, folder, subject, shows_faces)

    said: set[int] = set()

    def told(made: int, of: int) -> None:
        work.wishes.heed()
        if made not in said:
            said.add(made)
            work.emit(Log(text("log.class_made", noun=wanted.class_noun, number=made, total=of)))

    found = class_pictures(model, wanted, work.analyser.upright(), told)
    if found.left_out:
        work.emit(Log(found.told(wanted.class_noun)))
    if not found.images:
        work.emit(Log(text("log.no_class")))
    return found


def _subject(work: Work, dataset: Dataset) -> Subject | None:
    """Who is trained; None for what has no face, and for drawings, whose people all look alike to a recogniser."""
    if not work.photo_settings.wants_faces:
        return None
    if majority(look_of(image) for image in cache.dataset_images(dataset, dataset.samples)) is Look.DRAWN:
        return None
    try:
        return Subject(reference_embedding(dataset, work.analyser), work.analyser.same_person_above)
    except NoFace:
        return None
