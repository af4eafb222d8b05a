"""Settings that somebody chose and that do nothing in this training, or harm: nothing else would show it. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.photos.heldout import ONE_OF
from personal_avatar.training.families.detect import EPSILON
from personal_avatar.training.planning.plan import PLANS, TextualInversionPlan, TrainPlan
from personal_avatar.training.planning.rates import has_own_schedule, is_too_slow, photos_for_warmup
from personal_avatar.training.planning.usual import FAR, usual_rate
from personal_avatar.wording import FAMILIES, text

OF_PRIORS = ("prior_from", "prior_dropout", "prior_styles", "prior_after", "class_pictures")


def idle(plan: TrainPlan, base: BaseModelFile, chosen: Collection[str], masked: bool = True) -> list[str]:
    """A sentence for each of the settings `chosen`, and not left at its default, that has no effect beside the rest of
    `plan`, on this checkpoint, when our own engine trains; and what is `harmful`. `masked`: whether pictures have
    masks."""
    usual = {name: one.default for name, one in type(plan).__fields__.items()}
    changed = {name for name in chosen if getattr(plan, name) != usual[name]}
    reasons = [*_reasons(plan, base), *(() if masked else [("unmasked_weight", text("idle.maskless"))])]
    useless = [text("log.idle", name=name, because=why) for name, why in reasons if name in changed]
    return [*useless, *harmful(plan, base, chosen)]


def harmful(plan: TrainPlan, base: BaseModelFile, chosen: Collection[str]) -> list[str]:
    """A sentence for each of the settings `chosen` that keeps the training from learning, with the remedy, or is more
    than can be had, whatever engine does it."""
    return [told for name, told in _harms(plan, base) if name in chosen]


def _reasons(plan: TrainPlan, base: BaseModelFile) -> Iterator[tuple[str, str]]:
    if plan.clip_skip > 1 and base.family is not Family.SD1:
        yield "clip_skip", text("idle.layer", family=FAMILIES[base.family])
    if plan.scale_v_loss and base.prediction == EPSILON:
        yield "scale_v_loss", text("idle.noise")
    if not plan.shuffle_captions:
        yield "keep_tags", text("idle.is", name="shuffle_captions", value="off")
    if plan.prior_weight <= 0:
        off = text("idle.is", name="prior_weight", value=0)
        yield from ((name, off) for name in OF_PRIORS)
    else:
        yield from _of_prior(plan)
    if has_own_schedule(plan):
        own = text("idle.own", optimiser=plan.optimiser)
        yield from ((name, own) for name in ("schedule", "ema_decay"))
    if isinstance(plan, TextualInversionPlan):
        yield "text_encoder_learning_rate", text("idle.words")
        yield "trigger_word", text("idle.name")
        yield "weight_decay", text("idle.decay")
    if plan.save_count == 1:
        yield "stop_at", text("idle.is", name="save_count", value=1)
    if plan.steps:
        yield "steps_per_photo", text("idle.set", name="steps")


def _harms(plan: TrainPlan, base: BaseModelFile) -> Iterator[tuple[str, str]]:
    """`plan_for` has refused a warm-up that is longer than a training of any photos."""
    if is_too_slow(plan):
        yield "learning_rate", text(
            "log.too_slow", name="learning_rate", value=f"{plan.learning_rate:g}", optimiser=plan.optimiser,
            other="learning_rate",
        )  # fmt: skip
    elif plan.learning_rate < (usual := _usual(plan, base)) / FAR:
        yield "learning_rate", text(
            "log.too_low", name="learning_rate", value=f"{plan.learning_rate:g}", other="learning_rate",
            usual=f"{usual:g}",
        )  # fmt: skip
    if plan.warmup_steps and (needed := photos_for_warmup(plan)) > 1:
        yield "warmup_steps", text(
            "log.warmup", name="warmup_steps", value=plan.warmup_steps, number=needed, other="warmup_steps",
            third="steps",
        )  # fmt: skip
    if plan.held_out * ONE_OF > 1:
        yield "held_out", text("log.third", name="held_out", value=f"{plan.held_out:g}")


def _usual(plan: TrainPlan, base: BaseModelFile) -> float:
    """The learning rate that suits the method of the plan; 0 of a plan of none."""
    methods = [method for method, kind in PLANS.items() if type(plan) is kind]
    return usual_rate(base, methods[0], plan.dict()) if methods else 0.0


def _of_prior(plan: TrainPlan) -> Iterator[tuple[str, str]]:
    prior = text("idle.is", name="prior_from", value=plan.prior_from)
    if not plan.wants_class_pictures:
        yield "class_pictures", prior
    if not plan.wants_styles:
        yield "prior_styles", text("idle.classless") if plan.is_style else prior
