"""What sd-scripts cannot do, said before anything starts. Read from its source, releases 0.9.1 to 0.10.1; no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.errors import AvatarError, InvalidSettings
from personal_avatar.training.engines.kohya.sizes import is_standard, sizes_of
from personal_avatar.training.families.detect import UNET, VAE, Shapes, read_shapes
from personal_avatar.training.plan import EVEN, PICTURES, LoraPlan, TrainPlan
from personal_avatar.training.rates import ADAMW, MATRICES, as_adamw
from personal_avatar.wording import FAMILIES

LORA_METHODS = (Method.LORA, Method.DREAMBOOTH_LORA)
FIRST = UNET + "input_blocks.0.0.weight"
FIRST_OF_VAE = VAE + "encoder.conv_in.weight"


@dataclass(frozen=True)
class Limit:
    """`sentence` says what it cannot do; `instead`: the nearest plan that it can do, empty when there is none; `along`:
    what goes with it, unless the user set that himself."""

    sentence: str
    instead: dict[str, Any] = field(default_factory=dict)
    along: dict[str, Any] = field(default_factory=dict)


Rule = Callable[[TrainPlan, BaseModelFile, Method], Iterator[Limit]]


def what_it_cannot_do(plan: TrainPlan, base: BaseModelFile, method: Method) -> list[str]:
    """One sentence for everything in this training that sd-scripts cannot do; empty when it can do all of it."""
    return [limit.sentence for limit in limits(plan, base, method)]


def fitted(
    plan: TrainPlan, base: BaseModelFile, method: Method, chosen: Collection[str], version: str = ""
) -> tuple[TrainPlan, list[str]]:
    """The plan as sd-scripts of this version can do it, and a sentence for everything that is therefore different.

    `chosen`: names of the settings that the user set himself; these are never changed. Raises `InvalidSettings` with
    everything at once that stands against him or against the checkpoint.
    """
    found = [*limits(plan, base, method), *_release(plan, method, version)]
    against = [limit.sentence for limit in found if not limit.instead or set(limit.instead) & set(chosen)]
    if against:
        raise InvalidSettings(f"{'; '.join(against)}.", "Change these settings, or choose the engine diffusers.")
    changes = {name: value for limit in found for name, value in limit.along.items() if name not in chosen}
    changes |= {name: value for limit in found for name, value in limit.instead.items()}
    return plan.copy(update=changes), [limit.sentence for limit in found]


def limits(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    for rule in RULES:
        yield from rule(plan, base, method)


def _checkpoint(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    yield from of_checkpoint(base)


def of_checkpoint(base: BaseModelFile) -> Iterator[Limit]:
    """Why it cannot train this checkpoint at all; nothing when it can."""
    try:
        shapes = read_shapes(base.path)
    except AvatarError as error:
        yield Limit(error.message.rstrip("."))
        return
    first = shapes.get(FIRST, (0, 4))
    if first[1] != 4:
        yield Limit(f"sd-scripts cannot train {base.path.name}: it takes {first[1]} channels (inpainting or editing)")
    elif FIRST_OF_VAE not in shapes:
        why = "there is no VAE in the checkpoint, which it reads also where another lies beside it"
        yield Limit(f"sd-scripts cannot train {base.path.name}: {why}")
    elif not is_standard(shapes, base.family):
        yield from _other_size(base, shapes)


def _other_size(base: BaseModelFile, shapes: Shapes) -> Iterator[Limit]:
    try:
        sizes_of(base, shapes)
    except AvatarError as error:
        yield Limit(f"sd-scripts cannot train it: {error.message.rstrip('.')}")


def _training(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if plan.ema_decay > 0:
        yield Limit("sd-scripts keeps no averaged weights (ema_decay)", {"ema_decay": 0.0})
    if plan.stop_at > 0:
        yield Limit("sd-scripts cannot stop by likeness (stop_at): it trains to the end", {"stop_at": 0.0})
    if plan.timesteps != EVEN:
        yield Limit("sd-scripts draws all timesteps alike (timesteps)", {"timesteps": EVEN})
    if plan.vary_captions:
        yield Limit("sd-scripts begins a caption in one way only (vary_captions)", {"vary_captions": False})
    if plan.low_first > 0:
        yield Limit("sd-scripts trains on one size (low_first)", {"low_first": 0.0})
    if plan.gpus > 1:
        yield Limit("sd-scripts trains on one graphics card here (gpus)", {"gpus": 1})
    if plan.compile == "on":
        yield Limit("sd-scripts compiles nothing here (compile)", {"compile": "off"})
    if plan.clip_skip > 1 and base.family is not Family.SD1:
        yield Limit(f"sd-scripts has no clip_skip for {FAMILIES[base.family]}", {"clip_skip": 1})
    if plan.optimiser == "schedulefree" and method not in LORA_METHODS:
        yield _without_optimiser("sd-scripts has the optimiser schedulefree for LoRA only", plan)
    if plan.optimiser == MATRICES:
        yield _without_optimiser(f"sd-scripts has no optimiser {MATRICES}", plan)
    if plan.caption_dropout > 0 and method is Method.TEXTUAL_INVERSION:
        yield Limit("sd-scripts drops no captions in textual inversion (caption_dropout)", {"caption_dropout": 0.0})


def _without_optimiser(sentence: str, plan: TrainPlan) -> Limit:
    return Limit(sentence, {"optimiser": ADAMW}, as_adamw(plan))


def _lora(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if not isinstance(plan, LoraPlan):
        return
    if plan.dora:
        yield Limit("sd-scripts has no DoRA (dora)", {"dora": False})
    if plan.words_factor != 1.0:
        yield Limit("sd-scripts has one learning rate for the whole UNet (words_factor)", {"words_factor": 1.0})
    if plan.blocks != "all":
        yield Limit(f"sd-scripts trains all blocks, not only the {plan.blocks} ones (blocks)", {"blocks": "all"})
    if plan.conv_rank not in (0, plan.rank):
        what = f"sd-scripts gives some residual layers the rank of attention: conv_rank must be 0 or {plan.rank}"
        yield Limit(what, {"conv_rank": plan.rank})


def _prior(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if plan.prior_weight <= 0:
        return
    if plan.prior_dropout > 0:
        yield Limit("sd-scripts does not hold the answer to no words (prior_dropout)", {"prior_dropout": 0.0})
    if plan.wants_styles:
        yield Limit("sd-scripts asks for the class in one way only (prior_styles)", {"prior_styles": 0.0})
    if plan.prior_after > 0:
        yield Limit("sd-scripts holds the class from the first step on (prior_after)", {"prior_after": 0.0})
    if plan.prior_from != PICTURES and method not in LORA_METHODS:
        what = f"sd-scripts holds the class by its pictures only (prior_from {plan.prior_from})"
        yield Limit(what, _by_pictures(plan))
    elif plan.prior_from != PICTURES and plan.trains_text:
        what = "sd-scripts would ask the text encoder that is trained for the checkpoint's own answers (prior_from)"
        yield Limit(what, _by_pictures(plan))
    if method is Method.DREAMBOOTH and base.family is Family.SDXL and plan.prior_weight != 1 and not plan.is_style:
        what = "sd-scripts weighs class pictures like the person's own for SDXL: prior_weight must be 1"
        yield Limit(what, {"prior_weight": 1.0})


def _by_pictures(plan: TrainPlan) -> dict[str, Any]:
    """Instead of a class that is held by answers; a style has none to make pictures of, so it does without."""
    return {"prior_weight": 0.0} if plan.is_style else {"prior_from": PICTURES}


def _release(plan: TrainPlan, method: Method, version: str) -> Iterator[Limit]:
    """What came with release 0.10 only."""
    if not version.startswith("0.9.") or method not in LORA_METHODS:
        return
    if plan.own_answers:
        what = f"sd-scripts {version} holds the class by its pictures only (prior_from {plan.prior_from})"
        yield Limit(what, _by_pictures(plan))
    if plan.optimiser == "schedulefree":
        yield _without_optimiser(f"sd-scripts {version} has no optimiser schedulefree", plan)


RULES: tuple[Rule, ...] = (_checkpoint, _training, _lora, _prior)
