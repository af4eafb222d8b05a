"""Settings that work, by goal, method and family. What a user sets himself goes before them.

Those of small checkpoints (`TINY`) were found by measuring likeness on drawings of unseen characters; see
tools/avatar_tiny/README.md. Those of the large families are what their trainers' authors use for faces, with our own
masks and priors; they were not swept here, for no weights of these families can be shipped.
"""

from __future__ import annotations

from typing import Any

from personal_avatar.domain import BaseModelFile, Family, Goal, Method
from personal_avatar.photos.settings import FULL, IGNORED
from personal_avatar.training.losses import is_velocity

TINY_UP_TO_PX = 256

STEPS_PER_PHOTO = 100
STYLE_WORD = "ohwx"  # not a person's, which may stand beside it in a prompt
WORDS_LONGER = 1.5  # so many times the steps for new words alone, whatever the goal

Values = dict[str, Any]

FACE: Values = {"unmasked_weight": 0.3, "noise_offset": 0.05, "save_count": 5}
METHODS: dict[Method, Values] = {
    Method.LORA: {"rank": 32, "alpha": 16.0, "learning_rate": 1e-4, "prior_weight": 0.3},
    Method.DREAMBOOTH_LORA: {"rank": 32, "alpha": 16.0, "learning_rate": 1e-4, "class_pictures": 100},
    Method.DREAMBOOTH: {"learning_rate": 2e-6, "class_pictures": 100, "gradient_checkpointing": True},
    Method.TEXTUAL_INVERSION: {"vectors": 4},
}
LARGE: Values = {"batch_size": 1, "accumulate": 2, "gradient_checkpointing": True, "noise_offset": 0.0357}
LARGE_DREAMBOOTH: Values = {**LARGE, "optimiser": "adafactor", "learning_rate": 1e-6}
GOALS: dict[Goal, Values] = {
    Goal.FACE: {},
    Goal.FACE_QUICK: {"steps_per_photo": 40, "save_count": 3, "stop_at": 0.9},
    Goal.FACE_BEST: {"steps_per_photo": 160, "save_count": 8, "score_pictures": 16},
    Goal.ONE_PHOTO: {"min_photos": 1, "held_out": 0.0, "unmasked_weight": 0.1},
    Goal.ANIME: {"noise_offset": 0.0, "clip_skip": 2},
    Goal.STYLE: {"unmasked_weight": 1.0, "prior_weight": 0.3, "prior_from": "prediction", "trigger_word": STYLE_WORD},
}
# Of the photos: settings that a goal asks for.
PHOTO_GOALS: dict[Goal, Values] = {
    Goal.STYLE: {"faces": IGNORED, "framing": FULL, "caption_template": "a picture in {trigger}"},
}
VELOCITY: Values = {"noise_offset": 0.0}  # velocity and zero terminal SNR reach black and white without it

TINY_GUIDANCE = 2.0  # more overdoes looks that a small checkpoint hardly knows
TINY: Values = {
    "steps": 450,
    "batch_size": 4,
    "warmup_steps": 10,
    "noise_offset": 0.0,
    "save_count": 3,
    "held_out": 0.3,
    "guidance": TINY_GUIDANCE,
}
TINY_LORA: Values = {"rank": 16, "alpha": 16.0, "conv_rank": 16, "learning_rate": 4e-3}
TINY_METHODS: dict[Method, Values] = {
    Method.LORA: {**TINY_LORA, "prior_weight": 0.5, "prior_from": "both"},
    Method.DREAMBOOTH_LORA: {**TINY_LORA, "prior_weight": 0.5},
    Method.DREAMBOOTH: {"learning_rate": 2e-4, "prior_weight": 0.25, "prior_from": "both"},
    Method.TEXTUAL_INVERSION: {"learning_rate": 5e-2, "vectors": 8},
}
TINY_GOALS: dict[Goal, Values] = {
    **GOALS,
    Goal.FACE_QUICK: {"steps": 250, "stop_at": 0.9},
    Goal.FACE_BEST: {"steps": 900, "save_count": 6, "score_pictures": 16},
    Goal.ANIME: {},
    Goal.STYLE: {"steps": 450, "prior_weight": 0.5, "prior_from": "prediction"},
}

# A person is told from others where words are read, by a word that is told well or at a higher rate; a style is not.
TINY_PERSON: dict[Method, Values] = {
    Method.LORA: {"trigger_word": "auto", "optimiser": "muon", "prior_styles": 0.3},
    Method.DREAMBOOTH_LORA: {"words_factor": 4.0},
}
# Of a person's LoRA: muon learns sooner than AdamW; in more steps others come nearer than the person does. Who is in a
# hurry leaves out what holds them: it takes much of a step, and many of the steps.
TINY_LORA_GOALS: dict[Goal, Values] = {
    Goal.FACE_QUICK: {"steps": 240, "batch_size": 2, "prior_weight": 0.0, "save_count": 2},
    Goal.FACE_BEST: {"steps": 500},
}
TINY_LORA_STEPS = 400


def batch_for(resolution_px: int) -> int:
    """Pictures made at once; guidance doubles it."""
    return 8 if resolution_px <= TINY_UP_TO_PX else 2


def is_tiny(base: BaseModelFile) -> bool:
    """avatar-tiny and its like: made for pictures of at most 256 pixels."""
    return base.native_px <= TINY_UP_TO_PX


def preset_for(base: BaseModelFile, method: Method, goal: Goal = Goal.FACE) -> Values:
    """Values of the plan that differ from its defaults."""
    values = _preset(base, method, goal)
    if method is Method.TEXTUAL_INVERSION:  # nothing else changes that a prior could hold
        values = {name: value for name, value in values.items() if name not in ("prior_weight", "prior_from")}
    return values


def _tiny_person(method: Method, goal: Goal) -> Values:
    if goal is Goal.STYLE:
        return {}
    of_goal = {"steps": TINY_LORA_STEPS, **TINY_LORA_GOALS.get(goal, {})} if method is Method.LORA else {}
    return {**TINY_PERSON.get(method, {}), **of_goal}


def _preset(base: BaseModelFile, method: Method, goal: Goal) -> Values:
    if is_tiny(base):
        return {**TINY, **TINY_METHODS[method], **TINY_GOALS[goal], **_tiny_person(method, goal)}
    large = LARGE_DREAMBOOTH if method is Method.DREAMBOOTH else LARGE
    values = {**FACE, **METHODS[method], **(large if base.family is Family.SDXL else {}), **GOALS[goal]}
    unknown = base.family is Family.SD2 and not base.prediction  # nearly all of them answer with velocity
    values |= VELOCITY if unknown or is_velocity(base.prediction) else {}
    if method is Method.TEXTUAL_INVERSION:
        values["steps_per_photo"] = round(WORDS_LONGER * values.get("steps_per_photo", STEPS_PER_PHOTO))
    if base.family is not Family.SD1 or method is Method.TEXTUAL_INVERSION:
        values.pop("clip_skip", None)
    return values
