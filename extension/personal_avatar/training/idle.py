"""Settings that somebody chose and that do nothing in this training, or harm: nothing else would show it. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.photos.heldout import ONE_OF
from personal_avatar.training.families.detect import EPSILON
from personal_avatar.training.plan import TextualInversionPlan, TrainPlan
from personal_avatar.training.rates import has_own_schedule, is_too_slow, photos_for_warmup
from personal_avatar.wording import FAMILIES

OF_PRIORS = ("prior_from", "prior_dropout", "prior_styles", "prior_after", "class_pictures")


def idle(plan: TrainPlan, base: BaseModelFile, chosen: Collection[str]) -> list[str]:
    """A sentence for each of the settings `chosen`, and not left at its default, that has no effect beside the rest of
    `plan`, on this checkpoint, when our own engine trains; and what is `harmful`."""
    usual = {name: one.default for name, one in type(plan).__fields__.items()}
    changed = {name for name in chosen if getattr(plan, name) != usual[name]}
    useless = [f"{name} has no effect: {why}." for name, why in _reasons(plan, base) if name in changed]
    return [*useless, *harmful(plan, chosen)]


def harmful(plan: TrainPlan, chosen: Collection[str]) -> list[str]:
    """A sentence for each of the settings `chosen` that keeps the training from learning, with the remedy, or is more
    than can be had, whatever engine does it."""
    return [told for name, told in _harms(plan) if name in chosen]


def _reasons(plan: TrainPlan, base: BaseModelFile) -> Iterator[tuple[str, str]]:
    if plan.clip_skip > 1 and base.family is not Family.SD1:
        yield "clip_skip", f"{FAMILIES[base.family]} has one fixed layer"
    if plan.scale_v_loss and base.prediction == EPSILON:
        yield "scale_v_loss", "this checkpoint answers with noise"
    if not plan.shuffle_captions:
        yield "keep_tags", "shuffle_captions is off"
    if plan.prior_weight <= 0:
        yield from ((name, "prior_weight is 0") for name in OF_PRIORS)
    else:
        yield from _of_prior(plan)
    if has_own_schedule(plan):
        yield from ((name, f"{plan.optimiser} has one of its own") for name in ("schedule", "ema_decay"))
    if isinstance(plan, TextualInversionPlan):
        yield "text_encoder_learning_rate", "only the new words are trained"
        yield "trigger_word", "the file's name stands for the person"
        yield "weight_decay", "new words do not decay"
    if plan.steps:
        yield "steps_per_photo", "steps is set"


def _harms(plan: TrainPlan) -> Iterator[tuple[str, str]]:
    """`plan_for` has refused a warm-up that is longer than a training of any photos."""
    if is_too_slow(plan):
        rate = f"learning_rate {plan.learning_rate:g}"
        yield "learning_rate", (
            f"{rate} is a factor of the rate that {plan.optimiser} finds by itself, and leaves little of it: "
            "set learning_rate to 1, or leave it out."
        )
    if plan.warmup_steps and (needed := photos_for_warmup(plan)) > 1:
        yield "warmup_steps", (
            f"warmup_steps {plan.warmup_steps}: a training of fewer than {needed} photos is no longer, and its"
            " learning rate never gets up; set warmup_steps to less, or steps to more."
        )
    if plan.held_out * ONE_OF > 1:
        yield "held_out", f"held_out {plan.held_out:g}: at most a third of the photos is held out."


def _of_prior(plan: TrainPlan) -> Iterator[tuple[str, str]]:
    if not plan.wants_class_pictures:
        yield "class_pictures", f"prior_from is {plan.prior_from}"
    if not plan.wants_styles:
        yield "prior_styles", "a style has no class" if plan.is_style else f"prior_from is {plan.prior_from}"
