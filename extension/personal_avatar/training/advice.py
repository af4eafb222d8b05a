"""What to change when a training did not become what it could: sentences computed from its numbers.

Each names the setting and the value to try. Nothing is said where all is well, or where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personal_avatar.domain import Method
from personal_avatar.photos.heldout import FEWEST_PHOTOS, SHARE
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training.result_numbers import RESEMBLANCE, Numbers, finite, rounded

POOR_SHARE = 0.4  # of the way to real photos: half as many steps again would not do
HIGH_LEAKAGE = 0.05
KEPT_FOLLOWING = 0.9
FEW_FACES = 0.75
LOW_DIVERSITY = 0.3
MOST_STEPS, MOST_RANK, MOST_VECTORS, MOST_PRIOR = 20000, 128, 32, 4.0


def advice(document: Mapping[str, Any]) -> list[str]:
    """English sentences in the order of importance; `document`: the result of a training (outcome.py)."""
    numbers = Numbers(document)
    return [sentence for rule in RULES if (sentence := rule(numbers))]


def unmeasured(numbers: Numbers) -> str:
    if numbers.at(numbers.kind, "after") is not None:
        return ""
    shorter = f"; steps {rounded(numbers.steps / 2)} takes half as long" if numbers.steps >= 100 else ""
    told = f"The training ended before its {numbers.kind} was measured"
    return f"{told}: train again and let it come to its end{shorter}."


def measured_on_trained(numbers: Numbers) -> str:
    measured = numbers.document.get("measured_on")
    if not isinstance(measured, Mapping) or measured.get("held_out") is not False:
        return ""
    told = f"{numbers.kind.capitalize()} was measured on the photos that were trained on, so the truth is lower"
    if numbers.photos < FEWEST_PHOTOS:
        return f"{told}: add photos, {PhotoSettings().wanted_photos} or more in all, so that some can be held out."
    return f"{told}: set held_out to {SHARE:g}."


def few_photos(numbers: Numbers) -> str:
    if not (numbers.is_low and numbers.photos >= FEWEST_PHOTOS and numbers.lacks_photos):
        return ""
    wanted = PhotoSettings().wanted_photos
    return f"Only {numbers.photos:g} photos were used: add some from other sides and in other light, {wanted} in all."


def low_ceiling(numbers: Numbers) -> str:
    if not numbers.has_low_ceiling:
        return ""
    floor, ceiling = numbers.at("likeness", "floor"), numbers.at("likeness", "ceiling")
    return (
        f"The best that these photos allow with this checkpoint is a likeness of {ceiling:.2f} ({floor:.2f} before"
        " training): take out photos that are blurred, small, turned away or of somebody else, for example with the"
        " photo settings min_face_px 128 and min_sharpness 35."
    )


def more_checkpoints(numbers: Numbers) -> str:
    if not (numbers.is_low and len(numbers.points) == 1):
        return ""
    return "Only one checkpoint was saved, so there was nothing to choose from: set save_count to 4."


def stopped_early(numbers: Numbers) -> str:
    if not (numbers.is_low and numbers.was_stopped):
        return ""
    return (
        f"The training stopped at step {numbers.points[-1].step:g} of {numbers.steps:g} because stop_at is"
        f" {numbers.plan('stop_at'):g}: set stop_at to 0 to train to the end."
    )


def train_longer(numbers: Numbers) -> str:
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low or len(points) < 2 or best.step < points[-1].step or numbers.was_stopped:
        return ""
    poor = (numbers.at("likeness", "recovered") or 0.0) < POOR_SHARE
    steps = min(MOST_STEPS, rounded(best.step * (2.0 if poor else 1.5)))
    if steps <= best.step:
        return ""
    return f"The last checkpoint was the best, so the likeness may still have been rising: set steps to {steps}."


def train_shorter(numbers: Numbers) -> str:
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low or not numbers.overshot:
        return ""
    steps = rounded(1.25 * best.step)
    rate = f" or {numbers.slower}" if "learning_rate" in numbers.slower else ""
    return (
        f"The best checkpoint came early, at step {best.step:g} of {points[-1].step:g}, and later ones were worse, so"
        f" it was trained too hard: set steps to {steps}{rate}."
    )


def learn_more(numbers: Numbers) -> str:
    """A likeness that stopped rising, and nothing else that could be the cause."""
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low or len(points) < 2 or best.step == points[-1].step:
        return ""
    if numbers.was_stopped or numbers.overshot or numbers.lacks_photos or numbers.has_low_ceiling:
        return ""
    larger = _larger(numbers)
    return f"The likeness stopped rising before the end: {larger}." if larger else ""


def leakage(numbers: Numbers) -> str:
    leaked = numbers.at("leakage")
    if leaked is None or leaked <= HIGH_LEAKAGE:
        return ""
    if numbers.kind == RESEMBLANCE:
        told = "Pictures that do not ask for the style came to look like it too"
        return f"{told} (by {leaked:.2f}): set {numbers.slower}."
    weight = finite(numbers.plan("prior_weight")) or 0.0
    by_pictures = "use the method dreambooth-lora, or " if numbers.document.get("method") == Method.LORA.value else ""
    held = f"set prior_weight to {min(MOST_PRIOR, 2 * weight or 0.3):g}" if weight < MOST_PRIOR else ""
    change = f"{by_pictures}{held}" if held else f"set {numbers.slower}"
    return f"Other people came to look like this person too (by {leaked:.2f}): {change}."


def following(numbers: Numbers) -> str:
    before, after = numbers.at("prompt_following_before"), numbers.at("prompt_following")
    if before is None or after is None or after >= KEPT_FOLLOWING * before:
        return ""
    trains_text = bool(finite(numbers.plan("text_encoder_learning_rate")))
    change = "text_encoder_learning_rate to 0" if trains_text else numbers.slower
    is_lora = numbers.document.get("method") in (Method.LORA.value, Method.DREAMBOOTH_LORA.value)
    weaker = "; or use this one at a weight of 0.7" if is_lora else ""
    return f"Prompts are followed less than before ({after:.0%} instead of {before:.0%}): set {change}{weaker}."


def missing_faces(numbers: Numbers) -> str:
    best, before = numbers.best, numbers.at("untrained", "faces_found")
    if best is None or best.faces_found >= FEW_FACES:
        return ""
    told = f"Only {best.faces_found:.0%} of the pictures show a face"
    if before is not None and before < FEW_FACES:
        return (
            f"{told}, and {before:.0%} did before training: use a checkpoint that is better at people, and set"
            " sample_steps to 30 so that the pictures that are measured are cleaner."
        )
    return f"{told}: the training damaged the pictures; set {numbers.slower}."


def diversity(numbers: Numbers) -> str:
    kept = numbers.at("diversity")
    if kept is None or kept >= LOW_DIVERSITY:
        return ""
    weight = finite(numbers.plan("unmasked_weight"))
    change = "unmasked_weight to 0.2" if weight is not None and weight > 0.3 else numbers.slower
    return (
        "Pictures of one prompt have become nearly the same: add photos with other backgrounds and light,"
        f" and set {change}."
    )


RULES: tuple[Callable[[Numbers], str], ...] = (
    unmeasured,
    measured_on_trained,
    few_photos,
    low_ceiling,
    more_checkpoints,
    stopped_early,
    train_longer,
    train_shorter,
    learn_more,
    leakage,
    following,
    missing_faces,
    diversity,
)


def _larger(numbers: Numbers) -> str:
    """More room to learn in, by method."""
    rank, vectors = finite(numbers.plan("rank")), finite(numbers.plan("vectors"))
    if rank is not None:
        return f"set rank to {min(MOST_RANK, 2 * rank):g}" if rank < MOST_RANK else ""
    if vectors is not None:
        more = f"set vectors to {min(MOST_VECTORS, 2 * vectors):g}, or " if vectors < MOST_VECTORS else ""
        return f"{more}use the method lora, which learns more than a word can hold"
    return ""
