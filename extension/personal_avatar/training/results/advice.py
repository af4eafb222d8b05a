"""What to change when a training did not become what it could: codes with values, computed from its numbers.

Each names the setting and the value to try. Nothing is said where all is well, or where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personal_avatar.domain import RESEMBLANCE, Advice, Engine, Goal, Method
from personal_avatar.params import most
from personal_avatar.photos.heldout import FEWEST_PHOTOS, SHARE
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training.planning.plan import SIDES_PX, TextualInversionPlan, TrainPlan
from personal_avatar.training.results.document import FEW_FACES, LOST_CEILING, Numbers, finite, rounded, without_minus
from personal_avatar.wording import told

POOR_SHARE = 0.4  # of the way to real photos: half as many steps again would not do
HIGH_LEAKAGE = 0.05
KEPT_FOLLOWING = 0.9
LOW_DIVERSITY = 0.3
WORTH_SAYING = 0.02  # of likeness
SAVED, CLEANER_STEPS, LESS_AROUND = 4, 30, 0.2  # values that are advised
ALONE_FIRST = 0.25  # of the steps
SOME_AROUND = 0.3  # what the surroundings count: above it, less of them is advised
SHORTENED_FROM = 100  # steps
SMALLER_FROM_PX = 512
MOST_RANK = 128  # that is advised
MOST_STEPS, MOST_SIDE_PX, MOST_PRIOR = (most(TrainPlan, name) for name in ("steps", "resolution_px", "prior_weight"))
MOST_VECTORS = most(TextualInversionPlan, "vectors")
STYLE = "_STYLE"  # ends codes whose sentence names what was measured
CODES = (
    "UNMEASURED", "UNMEASURED_SHORTER", "UNMEASURED_STYLE", "UNMEASURED_SHORTER_STYLE", "UNMEASURED_ROOM",
    "UNMEASURED_ROOM_SMALLER", "ON_TRAINED", "ON_TRAINED_FEW", "ON_TRAINED_STYLE", "ON_TRAINED_FEW_STYLE",
    "FEW_PHOTOS", "LOW_CEILING", "LOW_CEILING_SMALL", "LOW_CEILING_LOST", "ONE_CHECKPOINT", "STOPPED_EARLY", "TOO_FAST",
    "TOO_SLOW", "TRAIN_LONGER", "NEVER_ROSE", "TOO_STRONG", "TRAIN_SHORTER", "TRAIN_SHORTER_OR_SLOWER", "LARGER_RANK",
    "MORE_VECTORS", "USE_LORA", "LESS_GUIDANCE", "LEAKAGE", "LEAKAGE_BY_PICTURES", "LEAKAGE_QUICK", "LEAKAGE_STYLE",
    "FOLLOWING", "FOLLOWING_OR_WEAKER", "FEW_FACES", "FEW_FACES_BEFORE", "FEW_FACES_SMALL", "DIVERSITY",
)  # fmt: skip


def advice(document: Mapping[str, Any]) -> list[Advice]:
    """In the order of importance; `document`: the result of a training (outcome.py)."""
    numbers = Numbers(document)
    return [found for rule in RULES if (found := rule(numbers))]


def _said(code: str, **values: Any) -> Advice:
    return told("train_advice", code, **without_minus(values))


def _set(code: str, change: tuple[str, float], **values: Any) -> Advice:
    """With a setting and the value to try."""
    setting, value = change
    return _said(code, **values, setting=setting, value=value)


def _of(numbers: Numbers) -> str:
    return STYLE if numbers.kind == RESEMBLANCE else ""


def unmeasured(numbers: Numbers) -> Advice | None:
    if numbers.is_measured:
        return None
    if numbers.lacked_room:
        return _without_room(numbers)
    if numbers.steps < SHORTENED_FROM:
        return _said(f"UNMEASURED{_of(numbers)}")
    return _said(f"UNMEASURED_SHORTER{_of(numbers)}", steps=rounded(numbers.steps / 2))


def _without_room(numbers: Numbers) -> Advice:
    if numbers.side_px < SMALLER_FROM_PX:
        return _said("UNMEASURED_ROOM")
    return _said("UNMEASURED_ROOM_SMALLER", side=_fitted(0.75 * numbers.side_px))


def _fitted(side_px: float) -> int:
    return int(side_px) // SIDES_PX * SIDES_PX


def measured_on_trained(numbers: Numbers) -> Advice | None:
    measured = numbers.document.get("measured_on")
    if not numbers.is_measured or not isinstance(measured, Mapping) or measured.get("held_out") is not False:
        return None
    if numbers.photos < FEWEST_PHOTOS:
        return _said(f"ON_TRAINED_FEW{_of(numbers)}", wanted=PhotoSettings().wanted_photos)
    return _said(f"ON_TRAINED{_of(numbers)}", share=SHARE)


def few_photos(numbers: Numbers) -> Advice | None:
    if not (numbers.is_low and numbers.photos >= FEWEST_PHOTOS and numbers.lacks_photos):
        return None
    return _said("FEW_PHOTOS", photos=numbers.photos, wanted=PhotoSettings().wanted_photos)


def low_ceiling(numbers: Numbers) -> Advice | None:
    if not numbers.has_low_ceiling:
        return None
    floor, ceiling = numbers.at("likeness", "floor"), numbers.at("likeness", "ceiling") or 0.0
    side, larger = numbers.side_px, min(MOST_SIDE_PX, _fitted(1.5 * numbers.side_px))
    if numbers.is_small:
        return _said("LOW_CEILING_SMALL", ceiling=ceiling, side=side, native=numbers.native_px)
    if ceiling < LOST_CEILING and larger > side:  # faces were found in the photos, or there would be no training
        return _said("LOW_CEILING_LOST", ceiling=ceiling, side=side, larger=larger)
    return _said("LOW_CEILING", floor=floor, ceiling=ceiling)


def more_checkpoints(numbers: Numbers) -> Advice | None:
    """Not where more were asked for and the training ended before them, nor where nothing was learned in it."""
    if not numbers.has_risen:
        return None
    if not numbers.is_low or len(numbers.saved) != 1 or numbers.was_stopped or numbers.steps <= 1:
        return None
    return _said("ONE_CHECKPOINT", count=SAVED) if (finite(numbers.plan("save_count")) or 1) <= 1 else None


def stopped_early(numbers: Numbers) -> Advice | None:
    if not (numbers.is_low and numbers.was_stopped):
        return None
    step, stop_at = numbers.saved[-1].step, numbers.plan("stop_at")
    return _said("STOPPED_EARLY", step=step, steps=numbers.steps, stop_at=stop_at)


def too_fast(numbers: Numbers) -> Advice | None:
    """Then more steps, or a larger network, would do more harm."""
    if not (numbers.is_low and numbers.is_too_fast):
        return None
    rate, usual = finite(numbers.plan("learning_rate")), numbers.at("usual_learning_rate")
    return _said("TOO_FAST", rate=rate, usual=usual)


def too_slow(numbers: Numbers) -> Advice | None:
    """Then more steps, or a larger network, would learn hardly more."""
    if not (numbers.is_low and numbers.is_too_slow):
        return None
    rate, usual = finite(numbers.plan("learning_rate")), numbers.at("usual_learning_rate")
    return _said("TOO_SLOW", rate=rate, usual=usual)


def train_longer(numbers: Numbers) -> Advice | None:
    if numbers.is_too_fast or numbers.is_too_slow:
        return None
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low or len(points) < 2 or numbers.was_stopped:
        return None
    if best.step < numbers.saved[-1].step or not numbers.has_risen:
        return None
    poor = (numbers.at("likeness", "recovered") or 0.0) < POOR_SHARE
    steps = min(MOST_STEPS, rounded(best.step * (2.0 if poor else 1.5)))
    return _said("TRAIN_LONGER", steps=steps) if steps > best.step else None


def train_shorter(numbers: Numbers) -> Advice | None:
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low or not numbers.overshot:
        return None
    if numbers.is_too_fast or numbers.is_too_slow:
        return None
    steps = rounded(1.25 * best.step)
    if steps >= points[-1].step:
        return None
    values = {"best": best.step, "last": points[-1].step, "steps": steps}
    setting, rate = numbers.slower
    if setting != "learning_rate":
        return _said("TRAIN_SHORTER", **values)
    return _said("TRAIN_SHORTER_OR_SLOWER", **values, rate=rate)


def learn_more(numbers: Numbers) -> Advice | None:
    """A likeness that stopped rising, or never rose, and nothing else that could be the cause."""
    best, points = numbers.best, numbers.points
    if best is None or not numbers.is_low:
        return None
    if numbers.is_too_fast or numbers.is_too_slow or numbers.was_stopped:
        return None
    if numbers.overshot or numbers.has_low_ceiling:
        return None
    if not numbers.has_risen:
        return None if best.faces_found < FEW_FACES else _risen_at_all(numbers)
    stopped = len(points) > 1 and best.step != points[-1].step
    return _larger(numbers) if stopped and not numbers.lacks_photos else None


def less_guidance(numbers: Numbers) -> Advice | None:
    """Measured only where the likeness is low."""
    after, found = numbers.at("likeness", "after"), numbers.at("less_guidance", "likeness")
    guidance, usual = numbers.at("less_guidance", "guidance"), finite(numbers.plan("guidance"))
    if after is None or found is None or guidance is None or usual is None or found - after < WORTH_SAYING:
        return None
    return _said("LESS_GUIDANCE", before=after, after=found, guidance=guidance, usual=usual)


def leakage(numbers: Numbers) -> Advice | None:
    leaked = numbers.at("leakage")
    if leaked is None or leaked <= HIGH_LEAKAGE:
        return None
    if numbers.kind == RESEMBLANCE:
        return _set("LEAKAGE_STYLE", numbers.slower, leakage=leaked)
    weight = finite(numbers.plan("prior_weight")) or 0.0
    if not weight and numbers.plan("goal") == Goal.FACE_QUICK.value:
        return _said("LEAKAGE_QUICK", leakage=leaked)
    if weight >= MOST_PRIOR:
        return _set("LEAKAGE", numbers.slower, leakage=leaked)
    code = "LEAKAGE_BY_PICTURES" if numbers.document.get("method") == Method.LORA.value else "LEAKAGE"
    return _set(code, ("prior_weight", min(MOST_PRIOR, 2 * weight or 0.3)), leakage=leaked)


def following(numbers: Numbers) -> Advice | None:
    before, after = numbers.at("prompt_following_before"), numbers.at("prompt_following")
    if before is None or after is None or after >= KEPT_FOLLOWING * before:
        return None
    is_lora = numbers.document.get("method") in (Method.LORA.value, Method.DREAMBOOTH_LORA.value)
    change = numbers.slower
    if finite(numbers.plan("text_encoder_learning_rate")):
        change = ("text_encoder_learning_rate", 0.0)
    elif is_lora and _could_wait(numbers):
        change = ("prior_after", ALONE_FIRST)
    return _set("FOLLOWING_OR_WEAKER" if is_lora else "FOLLOWING", change, before=before, after=after)


def _could_wait(numbers: Numbers) -> bool:
    """Whether others are held from the first step on, and could be later: tools/avatar_tiny tells what that brings."""
    if numbers.kind == RESEMBLANCE or numbers.document.get("engine") == Engine.KOHYA.value:
        return False
    return bool(finite(numbers.plan("prior_weight"))) and finite(numbers.plan("prior_after")) == 0


def missing_faces(numbers: Numbers) -> Advice | None:
    best, before = numbers.best, numbers.at("untrained", "faces_found")
    if best is None or best.faces_found >= FEW_FACES:
        return None
    if before is not None and before < FEW_FACES:
        if numbers.is_small:
            return None if numbers.has_low_ceiling else _small(numbers, best.faces_found, before)
        return _said("FEW_FACES_BEFORE", share=best.faces_found, before=before, steps=CLEANER_STEPS)
    return _set("FEW_FACES", numbers.slower, share=best.faces_found)


def _small(numbers: Numbers, share: float, before: float) -> Advice:
    return _said("FEW_FACES_SMALL", share=share, before=before, side=numbers.side_px, native=numbers.native_px)


def diversity(numbers: Numbers) -> Advice | None:
    kept = numbers.at("diversity")
    if kept is None or kept >= LOW_DIVERSITY:
        return None
    weight = finite(numbers.plan("unmasked_weight"))
    looks_around = weight is not None and weight > SOME_AROUND
    return _set("DIVERSITY", ("unmasked_weight", LESS_AROUND) if looks_around else numbers.slower)


RULES: tuple[Callable[[Numbers], Advice | None], ...] = (
    unmeasured,
    measured_on_trained,
    few_photos,
    low_ceiling,
    more_checkpoints,
    stopped_early,
    too_fast,
    too_slow,
    train_longer,
    train_shorter,
    learn_more,
    less_guidance,
    leakage,
    following,
    missing_faces,
    diversity,
)


def _risen_at_all(numbers: Numbers) -> Advice | None:
    """More of a training that changed next to nothing, which may have been far shorter than is usual; less of one that
    took the likeness away."""
    if numbers.ended_far_below:
        return _set("TOO_STRONG", numbers.slower)
    usual = numbers.at("usual_steps") or 0.0
    steps = min(MOST_STEPS, max(rounded(2 * numbers.steps), int(usual)))
    return _said("NEVER_ROSE", steps=steps) if steps > numbers.steps else None


def _larger(numbers: Numbers) -> Advice | None:
    """More room to learn in, by method."""
    rank, vectors = finite(numbers.plan("rank")), finite(numbers.plan("vectors"))
    if rank is not None:
        return _said("LARGER_RANK", rank=min(MOST_RANK, 2 * rank)) if rank < MOST_RANK else None
    if vectors is None:
        return None
    if vectors >= MOST_VECTORS:
        return _said("USE_LORA")
    return _said("MORE_VECTORS", vectors=min(MOST_VECTORS, 2 * vectors))
