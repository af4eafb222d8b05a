"""What to train and how: settings without torch, shared by page, API, command line and worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import validator

from personal_avatar.domain import BaseModelFile, Goal, Method
from personal_avatar.params import Broken, Settings, setting, validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import refused
from personal_avatar.training.evaluation.grid import taken_words
from personal_avatar.training.planning.optimiser_facts import ADAMW, OPTIMISERS
from personal_avatar.training.planning.presets import PHOTO_GOALS, STEPS_PER_PHOTO, preset_for
from personal_avatar.training.planning.rates import refuse_endless_warmup as refuse_endless_warmup
from personal_avatar.training.planning.rates import refuse_unsuited, suited

EVEN, MIDDLE = "even", "middle"
AUTO, ON = "auto", "on"
SIDES_PX = 64  # sides of training pictures are multiples of it
# In an avatar's folder: parts of photos that the host's upscaler made larger, and what a kohya dataset said of photos.
ENLARGED, ORIGINS = "enlarged", "origins"
PREDICTION, PICTURES, BOTH = "prediction", "pictures", "both"
PRIORS = (PREDICTION, PICTURES, BOTH)
PACE, LEARNED, PHOTOS = "plan.group.pace", "plan.group.learned", "plan.group.photos"
OTHERS, JUDGED, NOISE, MEANS = "plan.group.others", "plan.group.judged", "plan.group.noise", "plan.group.means"


class TrainPlan(Settings):
    """What all methods have in common. Learning rates are per optimiser step.

    `prior_from`: what the class is held by: "prediction" asks on the person's pictures for the untrained
    checkpoint's own answers to the class caption; "pictures" trains on pictures of the class, made once and kept
    (Dreambooth, arXiv 2208.12242); "both" asks for the checkpoint's own answers on those. `prior_weight` 0 leaves
    it out. `prior_dropout`: share of its captions that are empty, so that the answer to no words is held, too;
    `prior_styles`: share of those that ask for the class in a style (class_words.py). `prior_after`: share of the
    steps, the first ones, that learn the person alone; the rest undoes most of what that did to others.
    `trigger_word`: what stands for the person in captions, and in prompts later: a word, or "auto" for the one of which
    the checkpoint tells the most (trigger_word.py); "": the avatar's own.
    `timesteps`: which noise is learned from, all alike or most of the middle. `low_first`: share of the
    steps, the first ones, on pictures of half the size. `compile`: of the UNet's repeated blocks; "auto": where it
    pays. `gpus`: how many graphics cards share the `accumulate` batches of a step. `unmasked_weight`: what counts
    outside of the head, 1 switches masks off. Zero means "chosen for me" in `steps` and `resolution_px`, "off"
    elsewhere.
    """

    goal: str = setting(Goal.FACE.value, "plan.goal", choices=tuple(goal.value for goal in Goal))
    steps: int = setting(0, "plan.steps", ge=0, le=20000, step=50, unit="steps")
    resolution_px: int = setting(0, "plan.resolution", ge=0, le=1536, step=SIDES_PX, multiple_of=SIDES_PX, unit="px")
    steps_per_photo: int = setting(STEPS_PER_PHOTO, "plan.steps_per_photo", ge=5, le=1000, step=5, group=PACE)
    batch_size: int = setting(2, "plan.batch_size", ge=1, le=64, step=1, group=PACE)
    accumulate: int = setting(1, "plan.accumulate", ge=1, le=64, step=1, group=PACE)
    learning_rate: float = setting(1e-4, "plan.learning_rate", ge=1e-8, le=10.0, group=PACE)
    optimiser: str = setting(ADAMW, "plan.optimiser", choices=tuple(OPTIMISERS), group=PACE)
    weight_decay: float = setting(0.01, "plan.weight_decay", ge=0.0, le=1.0, group=PACE)
    schedule: str = setting("cosine", "plan.schedule", choices=("cosine", "constant"), group=PACE)
    warmup_steps: int = setting(0, "plan.warmup", ge=0, le=2000, step=10, group=PACE, unit="steps")
    text_encoder_learning_rate: float = setting(0.0, "plan.te_learning_rate", ge=0.0, le=10.0, group=LEARNED)
    clip_skip: int = setting(1, "plan.clip_skip", ge=1, le=4, step=1, group=LEARNED)
    ema_decay: float = setting(0.0, "plan.ema", ge=0.0, le=0.9999, group=LEARNED)
    trigger_word: str = setting("", "plan.trigger_word", max_length=30, group=PHOTOS)
    caption_dropout: float = setting(0.0, "plan.caption_dropout", ge=0.0, le=0.9, group=PHOTOS)
    vary_captions: bool = setting(True, "plan.vary_captions", group=PHOTOS)
    shuffle_captions: bool = setting(False, "plan.shuffle_captions", group=PHOTOS)
    keep_tags: int = setting(1, "plan.keep_tags", ge=0, le=20, step=1, group=PHOTOS)
    unmasked_weight: float = setting(1.0, "plan.unmasked_weight", ge=0.0, le=1.0, group=PHOTOS)
    flip: bool = setting(False, "plan.flip", group=PHOTOS)
    min_photos: int = setting(3, "plan.min_photos", ge=1, le=50, step=1, group=PHOTOS)
    prior_weight: float = setting(0.0, "plan.prior_weight", ge=0.0, le=4.0, group=OTHERS)
    prior_from: str = setting(PREDICTION, "plan.prior_from", choices=PRIORS, group=OTHERS)
    prior_dropout: float = setting(0.04, "plan.prior_dropout", ge=0.0, le=0.9, group=OTHERS)
    prior_styles: float = setting(0.0, "plan.prior_styles", ge=0.0, le=0.9, step=0.05, group=OTHERS)
    prior_after: float = setting(0.0, "plan.prior_after", ge=0.0, le=0.9, step=0.05, group=OTHERS)
    class_pictures: int = setting(24, "plan.class_pictures", ge=4, le=1000, step=4, group=OTHERS)
    save_count: int = setting(4, "plan.save_count", ge=1, le=20, step=1, group=JUDGED)
    stop_at: float = setting(0.0, "plan.stop_at", ge=0.0, le=1.0, group=JUDGED)  # share of the way to the ceiling
    held_out: float = setting(0.2, "plan.held_out", ge=0.0, le=0.5, group=JUDGED)
    score_pictures: int = setting(8, "plan.score_pictures", ge=1, le=64, step=1, group=JUDGED)
    sample_steps: int = setting(16, "plan.sample_steps", ge=1, le=100, step=1, group=JUDGED)
    guidance: float = setting(5.0, "plan.guidance", ge=1.0, le=30.0, step=0.5, group=JUDGED)
    must_rise: bool = setting(True, "plan.must_rise", group=JUDGED)  # fail when the likeness did not rise
    timesteps: str = setting(EVEN, "plan.timesteps", choices=(EVEN, MIDDLE), group=NOISE)
    min_snr_gamma: float = setting(5.0, "plan.min_snr", ge=0.0, le=20.0, group=NOISE)
    scale_v_loss: bool = setting(False, "plan.scale_v_loss", group=NOISE)
    noise_offset: float = setting(0.0, "plan.noise_offset", ge=0.0, le=0.2, group=NOISE)
    input_perturbation: float = setting(0.0, "plan.input_perturbation", ge=0.0, le=0.5, group=NOISE)
    seed: int = setting(1, "plan.seed", ge=0, le=2**31 - 1, step=1, group=NOISE)
    precision: str = setting("auto", "plan.precision", choices=("auto", "fp32", "bf16", "fp16"), group=MEANS)
    gradient_checkpointing: bool = setting(False, "plan.gradient_checkpointing", group=MEANS)
    low_first: float = setting(0.0, "plan.low_first", ge=0.0, le=0.9, step=0.05, group=MEANS)
    compile: str = setting("auto", "plan.compile", choices=("auto", "on", "off"), group=MEANS)
    gpus: int = setting(1, "plan.gpus", ge=1, le=16, step=1, group=MEANS)

    @validator("trigger_word")
    def _one_word(cls, word: str) -> str:  # noqa: N805
        """Signs mean something in prompts, and AND and BREAK do, which are none in small letters."""
        if word and not word.isalnum():
            raise Broken(key="problem.one_word")
        return word.lower()

    def steps_for(self, photos: int) -> int:
        """Optimiser steps: as set, else so many that a photo is shown as often whatever the batch is: as with
        `steps_per_photo` and a batch of 2, where fewer than 4 photos count as 4 and more than 20 as 20."""
        shown = 2 * self.steps_per_photo * min(20, max(4, photos))
        return self.steps or max(1, round(shown / (self.batch_size * self.accumulate)))

    @property
    def is_style(self) -> bool:
        """Whether pictures of anything in one style are learned, and no person."""
        return self.goal == Goal.STYLE.value

    @property
    def wants_class_pictures(self) -> bool:
        """Whether the class is held by pictures of it."""
        return self.prior_weight > 0 and self.prior_from != PREDICTION

    @property
    def own_answers(self) -> bool:
        """Whether the class is held by what the untrained checkpoint answers."""
        return self.prior_weight > 0 and self.prior_from != PICTURES

    @property
    def holds_others(self) -> bool:
        """Whether other people are held where they were; a style is nobody."""
        return self.prior_weight > 0 or self.is_style

    @property
    def wants_styles(self) -> bool:
        """Whether the class is also asked for in styles: of pictures that show none, only answers can be held so."""
        return self.prior_styles > 0 and self.own_answers and not self.is_style

    @property
    def trains_text(self) -> bool:
        return self.text_encoder_learning_rate > 0

    @property
    def reads_anew(self) -> bool:
        """Whether captions must be encoded anew at every step."""
        return self.trains_text or self.shuffle_captions

    @property
    def prior_rows(self) -> int:
        """Pictures that hold the class beside each batch of the person's: half as many, but one."""
        return max(1, self.batch_size // 2) if self.prior_weight > 0 else 0


class LoraPlan(TrainPlan):
    """A LoRA; `conv_rank` 0: attention only, else LoCon; `dora`: magnitudes are trained apart (arXiv 2402.09353).

    `blocks`: "all", or "late" for the mid and the up blocks only, where the backward pass ends sooner. `words_factor`:
    of the learning rate where the network reads words, the keys and values of cross attention: there a trigger is told
    from the class noun beside it. That is at first; it falls to 1 by the middle of the training (schedule.py).
    """

    rank: int = setting(32, "plan.rank", ge=1, le=256, step=1)
    alpha: float = setting(16.0, "plan.alpha", ge=0.01, le=512, group=LEARNED)
    conv_rank: int = setting(0, "plan.conv_rank", ge=0, le=128, step=1, group=LEARNED)
    dora: bool = setting(False, "plan.dora", group=LEARNED)
    blocks: str = setting("all", "plan.blocks", choices=("all", "late"), group=LEARNED)
    words_factor: float = setting(1.0, "plan.words_factor", ge=0.1, le=100.0, group=LEARNED)

    @property
    def conv_alpha(self) -> float:
        """Alpha of the residual blocks: the same share of their rank as in attention."""
        return self.conv_rank * self.alpha / self.rank


class DreamboothLoraPlan(LoraPlan):
    """A LoRA with prior preservation on pictures of the class."""

    prior_weight: float = setting(1.0, "plan.prior_weight", ge=0.0, le=4.0, group=OTHERS)
    prior_from: str = setting(PICTURES, "plan.prior_from", choices=PRIORS, group=OTHERS)


class DreamboothPlan(TrainPlan):
    """The whole UNet, and the text encoders when they have a learning rate; the result is a checkpoint."""

    learning_rate: float = setting(2e-6, "plan.learning_rate", ge=1e-8, le=10.0, group=PACE)
    prior_weight: float = setting(1.0, "plan.prior_weight", ge=0.0, le=4.0, group=OTHERS)
    prior_from: str = setting(PICTURES, "plan.prior_from", choices=PRIORS, group=OTHERS)


class TextualInversionPlan(TrainPlan):
    """New words: `vectors` of them, that begin as `init_word` (empty: the class noun); the result is an embedding."""

    learning_rate: float = setting(5e-3, "plan.learning_rate", ge=1e-8, le=10.0, group=PACE)
    vectors: int = setting(4, "plan.vectors", ge=1, le=32, step=1)
    init_word: str = setting("", "plan.init_word", max_length=100)

    @validator("init_word")
    def _a_word(cls, word: str) -> str:  # noqa: N805
        """CLIP's tokenizer has tokens for signs that nobody sees, too: they are nothing to begin with."""
        if word.strip() and not any(letter.isalnum() for letter in word):
            raise Broken(key="problem.begin")
        return word

    @validator("prior_weight")
    def _no_prior(cls, weight: float) -> float:  # noqa: N805
        """The captions of the class do not hold the new words: there is nothing that a prior could hold."""
        if weight > 0:
            raise Broken(key="problem.new_words")
        return weight

    @property
    def holds_others(self) -> bool:
        return True  # for nothing moves them

    @property
    def trains_text(self) -> bool:
        return True


PLANS: dict[Method, type[TrainPlan]] = {
    Method.LORA: LoraPlan,
    Method.DREAMBOOTH_LORA: DreamboothLoraPlan,
    Method.DREAMBOOTH: DreamboothPlan,
    Method.TEXTUAL_INVERSION: TextualInversionPlan,
}


def plan_for(base: BaseModelFile, method: Method, values: dict[str, Any]) -> TrainPlan:
    """The user's `values`, then the preset for checkpoint and goal, then the defaults; raises `InvalidSettings`."""
    goal = validated(PLANS[method], values).goal
    preset = preset_for(base, method, Goal(goal))
    plan = validated(PLANS[method], {**preset, **values})
    if plan.is_style and plan.wants_class_pictures:
        raise refused("problem.classless", "remedy.set", name="prior_from", value=PREDICTION)
    _refuse_uneven(plan)
    plan = suited(plan, values)
    refuse_unsuited(plan)
    return plan


def proposed_for(base: BaseModelFile, method: Method, values: Mapping[str, Any]) -> TrainPlan:
    """As `plan_for` makes it of `values` with a goal, also where it would refuse them, for who still chooses."""
    preset = preset_for(base, method, Goal(values["goal"]))
    return suited(PLANS[method]().copy(update={**preset, **values}), values)


def _refuse_uneven(plan: TrainPlan) -> None:
    """Raise `InvalidSettings` when the batches of a step cannot be shared out evenly to the graphics cards."""
    if plan.accumulate % plan.gpus:
        values = {"name": "accumulate", "batches": plan.accumulate, "gpus": plan.gpus}
        raise refused("problem.uneven", "remedy.uneven", **values)


def refuse_taken(word: str, base: BaseModelFile, class_noun: str) -> None:
    """Raise `InvalidSettings` for a word of the person that means somebody else."""
    if word in taken_words(base, class_noun):
        raise refused("problem.taken", "remedy.taken", name="trigger_word", word=word, auto=AUTO)


def resolution_of(plan: TrainPlan, base: BaseModelFile) -> int:
    """The side of a training picture: as set, else the checkpoint's own; a multiple of `SIDES_PX`."""
    return max(SIDES_PX, (plan.resolution_px or base.native_px) // SIDES_PX * SIDES_PX)


def photos_as(plan: TrainPlan, chosen: Mapping[str, Any]) -> PhotoSettings:
    """How photos are judged and cut: as chosen, else as the goal asks for; raises `InvalidSettings`."""
    return validated(PhotoSettings, {**PHOTO_GOALS.get(Goal(plan.goal), {}), **chosen})
