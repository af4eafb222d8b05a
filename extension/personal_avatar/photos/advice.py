"""What would make a set of photos better: codes with values, and one English sentence for each code."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import PhotoVerdict
from personal_avatar.photos.heldout import FEWEST_PHOTOS
from personal_avatar.photos.settings import PhotoSettings

SENTENCES: dict[str, str] = {
    "NONE_USABLE_STYLE": "None of the {photos} pictures can be used ({reasons}): add sharp and bright ones.",
    "NONE_USABLE": "None of the {photos} photos can be used ({reasons}): add sharp photos of one person alone.",
    "TOO_FEW": "{accepted} of {photos} photos can be used: an avatar becomes better with {wanted} or more.",
    "MIXED_PEOPLE": "The photos seem to show different people, none of them most often: keep those of one person.",
    "SAME_POSE": "The head points the same way in all photos (within {spread:.0f} degrees): add some from the sides.",
    "SAME_LIGHT": "All photos are equally bright: add some taken in other light and in other places.",
    "SMALL_FACES": "{count} faces are less than {wanted} pixels wide and will look soft: use larger photos.",
    "NO_HELD_OUT": "With fewer than {wanted} photos, likeness is measured on the photos that were learned.",
}
FEWEST_FOR_VARIETY = 5
SAME_POSE_DEG = 12.0
SAME_BRIGHTNESS = 0.05
SMALL_FACE_PX = 128


@dataclass(frozen=True)
class Advice:
    """`values`: what the sentence of `code` is filled with."""

    code: str
    values: dict[str, Any]

    @property
    def text(self) -> str:
        return advice_text(self.code, **self.values)


def advice_text(code: str, **values: Any) -> str:
    """The English sentence; translations have the same places."""
    return SENTENCES[code].format(**values)


def advise(verdicts: Sequence[PhotoVerdict], settings: PhotoSettings, mixed: bool = False) -> tuple[Advice, ...]:
    """In the order of importance. `mixed`: several people and no majority (persons.py)."""
    accepted = [verdict for verdict in verdicts if verdict.accepted]
    if not accepted:
        counts = Counter(reason.value for verdict in verdicts for reason in verdict.reasons)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        code = "NONE_USABLE" if settings.wants_faces else "NONE_USABLE_STYLE"
        return (Advice(code, {"photos": len(verdicts), "reasons": reasons or "none were given"}),)
    found = [Advice("MIXED_PEOPLE", {})] if mixed else []
    numbers = {"accepted": len(accepted), "photos": len(verdicts), "wanted": settings.wanted_photos}
    if len(accepted) < settings.wanted_photos:
        found.append(Advice("TOO_FEW", numbers))
    if not settings.wants_faces:
        return tuple(found)
    if len(accepted) < FEWEST_PHOTOS:
        found.append(Advice("NO_HELD_OUT", {"wanted": FEWEST_PHOTOS}))
    return (*found, *_of_variety(accepted), *_of_size(accepted))


def _of_variety(accepted: Sequence[PhotoVerdict]) -> list[Advice]:
    qualities = [verdict.quality for verdict in accepted if verdict.quality is not None]
    if len(qualities) < FEWEST_FOR_VARIETY:
        return []
    found = []
    turns = [quality.yaw_deg for quality in qualities]
    lights = [quality.brightness for quality in qualities]
    if (spread := max(turns) - min(turns)) < SAME_POSE_DEG:
        found.append(Advice("SAME_POSE", {"spread": spread}))
    if max(lights) - min(lights) < SAME_BRIGHTNESS:
        found.append(Advice("SAME_LIGHT", {}))
    return found


def _of_size(accepted: Sequence[PhotoVerdict]) -> list[Advice]:
    small = sum(verdict.face is not None and verdict.face.width_px < SMALL_FACE_PX for verdict in accepted)
    return [Advice("SMALL_FACES", {"count": small, "wanted": SMALL_FACE_PX})] if 2 * small > len(accepted) else []
