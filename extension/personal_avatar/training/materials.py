"""What a training learns from, made ready: latents, masks, text states, pictures of the class."""

from __future__ import annotations

import torch

from personal_avatar.domain import Dataset, Sample
from personal_avatar.jobs.events import Log, Stage
from personal_avatar.training import cache, losses
from personal_avatar.training.bench import sample_settings
from personal_avatar.training.captions import leads
from personal_avatar.training.classes import ClassPictures, Wanted, class_pictures
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.training_set import ClassSet, TrainingSet
from personal_avatar.training.work import Work


def collect(work: Work, model: DiffusionModel, dataset: Dataset) -> TrainingSet:
    """Everything that the plan asks for. `model` must have nothing attached yet."""
    plan, samples = work.plan, [sample for sample in dataset.samples for _ in range(sample.repeats)]
    images, captions = cache.dataset_images(dataset, samples), [sample.caption for sample in samples]
    if plan.flip:
        images, captions = cache.with_flipped(images), captions * 2
    order = [sample.source_sha256 for sample in samples]
    name = cache.fingerprint(cache.identity(model.base), dataset.fingerprint, order, plan.flip)
    latents = cache.cached_latents(work.cache, name, model, images)
    class_captions = [without_subject(caption, dataset, plan.is_style) for caption in captions]
    others = _others(work, model)
    changing = plan.trains_text or plan.shuffle_captions
    asked = ["", *captions, *class_captions, *(others.captions if others else ())]
    if plan.vary_captions:
        asked = [one for caption in asked for one in leads(caption)]
    text = None if changing else cache.cached_text_states(work.cache, model, asked, plan.clip_skip)
    return TrainingSet(latents, captions, class_captions, text, _places(work, dataset, samples, latents), others)


def without_subject(caption: str, dataset: Dataset, is_style: bool) -> str:
    """What the untrained checkpoint would be asked: the class in place of the person, a style not at all."""
    if is_style:
        caption = caption.replace(f" in {dataset.trigger}", "")
    return caption.replace(dataset.trigger, dataset.class_noun)


def _places(
    work: Work, dataset: Dataset, samples: list[Sample], latents: cache.Latents
) -> tuple[torch.Tensor, ...] | None:
    """What each place of each picture counts; the mirrored pictures after the others."""
    outside = work.plan.unmasked_weight
    if outside >= 1.0:
        return None
    masks = cache.latent_masks(dataset, samples, latents)
    if work.plan.flip:
        masks += [mask.flip(-1) for mask in masks]
    return tuple(losses.place_weights(mask, outside) for mask in masks)


def _others(work: Work, model: DiffusionModel) -> ClassSet | None:
    if work.plan.wants_class_pictures:
        work.emit(Stage("class"))
    found = pictures_of_the_class(work, model)
    if found is None:
        return None
    latents = cache.cached_latents(found.folder, str(len(found.images)), model, found.images)
    return ClassSet(latents, found.captions)


def pictures_of_the_class(work: Work, model: DiffusionModel) -> ClassPictures | None:
    """From the folder that all trainings share, or made now by `model`; None when the plan asks for none."""
    plan = work.plan
    if not plan.wants_class_pictures:
        return None
    folder = (work.task.cache or work.folder / "cache") / "class-pictures"
    wanted = Wanted(work.task.avatar.class_noun, plan.class_pictures, sample_settings(plan, model.base), folder)

    def told(made: int, of: int) -> None:
        work.control.check()
        work.emit(Log(f"Pictures of {wanted.class_noun}: {made} of {of}."))

    return class_pictures(model, wanted, work.analyser, told)
