"""What sd-scripts cannot do, said before anything starts. Read from its source, releases 0.9.1 to 0.10.1; no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.errors import AvatarError
from personal_avatar.problems import several
from personal_avatar.training.engines.kohya.sizes import is_standard, sizes_of
from personal_avatar.training.families.detect import CHANNELS, FIRST_LAYER, VAE
from personal_avatar.training.families.files import Shapes, read_shapes
from personal_avatar.training.planning.optimiser_facts import ADAMW, OPTIMISERS
from personal_avatar.training.planning.plan import EVEN, PICTURES, LoraPlan, TrainPlan
from personal_avatar.training.planning.rates import as_adamw, has_own_schedule
from personal_avatar.wording import FAMILIES, text

FIRST_OF_VAE = VAE + "encoder.conv_in.weight"


@dataclass(frozen=True)
class Limit:
    """`sentence` says what it cannot do; `instead`: the nearest plan that it can do, empty when there is none; `along`:
    what goes with it, unless the user set that himself."""

    sentence: str
    instead: dict[str, Any] = field(default_factory=dict)
    along: dict[str, Any] = field(default_factory=dict)


Rule = Callable[[TrainPlan, BaseModelFile, Method], Iterator[Limit]]


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
        error = several(against)
        error.hint = text("remedy.kohya")
        raise error
    changes = {name: value for limit in found for name, value in limit.along.items() if name not in chosen}
    changes |= {name: value for limit in found for name, value in limit.instead.items()}
    return plan.copy(update=changes), [limit.sentence for limit in found]


def limits(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    """Everything in this training that sd-scripts cannot do; nothing when it can do all of it."""
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
    first = shapes.get(FIRST_LAYER, (0, CHANNELS))
    if first[1] != CHANNELS:
        yield Limit(text("problem.kohya.channels", file=base.path.name, channels=first[1]))
    elif FIRST_OF_VAE not in shapes:
        yield Limit(text("problem.kohya.vae", file=base.path.name))
    elif not is_standard(shapes, base.family):
        yield from _other_size(base, shapes)


def _other_size(base: BaseModelFile, shapes: Shapes) -> Iterator[Limit]:
    try:
        sizes_of(base, shapes)
    except AvatarError as error:
        yield Limit(text("problem.kohya.size", cause=error.message.rstrip(".")))


def _training(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if plan.ema_decay > 0:
        yield _without("average", "ema_decay", 0.0)
    if plan.stop_at > 0:
        yield _without("stop", "stop_at", 0.0)
    if plan.timesteps != EVEN:
        yield _without("timesteps", "timesteps", EVEN)
    if plan.vary_captions:
        yield _without("captions", "vary_captions", False)
    if plan.low_first > 0:
        yield _without("one_size", "low_first", 0.0)
    if plan.gpus > 1:
        yield _without("one_card", "gpus", 1)
    if plan.compile == "on":
        yield _without("compile", "compile", "off")
    if plan.clip_skip > 1 and base.family is not Family.SD1:
        yield _without("clip_skip", "clip_skip", 1, family=FAMILIES[base.family])
    if has_own_schedule(plan) and not method.is_lora:
        yield _without_optimiser("lora_only", plan)
    if not OPTIMISERS[plan.optimiser].sd_scripts:
        yield _without_optimiser("optimiser", plan)
    if plan.caption_dropout > 0 and method is Method.TEXTUAL_INVERSION:
        yield _without("dropout", "caption_dropout", 0.0)


def _without(key: str, name: str, instead: Any, **values: Any) -> Limit:
    """One setting that must be `instead`; `key` of the sentence, behind "problem.kohya."."""
    return Limit(text(f"problem.kohya.{key}", name=name, **values), {name: instead})


def _without_optimiser(key: str, plan: TrainPlan, **values: Any) -> Limit:
    said = text(f"problem.kohya.{key}", optimiser=plan.optimiser, **values)
    return Limit(said, {"optimiser": ADAMW}, as_adamw(plan))


def _lora(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if not isinstance(plan, LoraPlan):
        return
    if plan.dora:
        yield _without("dora", "dora", False)
    if plan.words_factor != 1.0:
        yield _without("one_rate", "words_factor", 1.0)
    if plan.blocks != "all":
        yield _without("blocks", "blocks", "all", blocks=plan.blocks)
    if plan.conv_rank not in (0, plan.rank):
        yield _without("conv_rank", "conv_rank", plan.rank, rank=plan.rank)


def _prior(plan: TrainPlan, base: BaseModelFile, method: Method) -> Iterator[Limit]:
    if plan.prior_weight <= 0:
        return
    if plan.prior_dropout > 0:
        yield _without("no_words", "prior_dropout", 0.0)
    if plan.wants_styles:
        yield _without("styles", "prior_styles", 0.0)
    if plan.prior_after > 0:
        yield _without("after", "prior_after", 0.0)
    if plan.prior_from != PICTURES and not method.is_lora:
        yield _by_pictures(plan, "pictures")
    elif plan.prior_from != PICTURES and plan.trains_text:
        yield _by_pictures(plan, "text")
    if method is Method.DREAMBOOTH and base.family is Family.SDXL and plan.prior_weight != 1 and not plan.is_style:
        yield _without("weight", "prior_weight", 1.0)


def _by_pictures(plan: TrainPlan, key: str, version: str = "") -> Limit:
    """Instead of a class that is held by answers; a style has none to make pictures of, so it does without."""
    said = text(f"problem.kohya.{key}", name="prior_from", held=plan.prior_from, version=version)
    return Limit(said, {"prior_weight": 0.0} if plan.is_style else {"prior_from": PICTURES})


def _release(plan: TrainPlan, method: Method, version: str) -> Iterator[Limit]:
    """What came with release 0.10 only."""
    if not version.startswith("0.9.") or not method.is_lora:
        return
    if plan.own_answers:
        yield _by_pictures(plan, "old_pictures", version)
    if has_own_schedule(plan):
        yield _without_optimiser("old_optimiser", plan, version=version)


RULES: tuple[Rule, ...] = (_checkpoint, _training, _lora, _prior)
