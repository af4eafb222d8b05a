"""What would make a set of photos better: codes with values, in the order of their importance."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from personal_avatar.domain import Advice, Coverage, PhotoReport, PhotoVerdict, Reason, means_animal
from personal_avatar.photos import coverage
from personal_avatar.photos.heldout import FEWEST_PHOTOS
from personal_avatar.photos.limits import SMALL_FACE_PX
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.wording import told

OF_COVERAGE = (
    coverage.SAME_POSE, coverage.NO_LEFT, coverage.NO_RIGHT, coverage.SAME_LIGHT, coverage.SAME_CLOTHES,
    coverage.SAME_SCENE, coverage.ALL_CLOSE, coverage.ALL_FAR, coverage.SAME_EXPRESSION,
)  # fmt: skip
ANIMAL = "ANIMAL"  # what is trained: no faces are looked for
CODES = (
    "NONE_USABLE_STYLE", "NONE_USABLE_FACELESS", "NONE_USABLE", ANIMAL, "MIXED_PEOPLE", "TOO_FEW",
    "NO_HELD_OUT", "SMALL_FACES", *OF_COVERAGE,
)  # fmt: skip


def advised(code: str, **values: Any) -> Advice:
    return told("advice", code, **values)


def advise(
    verdicts: Sequence[PhotoVerdict],
    settings: PhotoSettings,
    people: int = 1,
    covered: Coverage | None = None,
    spread_deg: float = 0.0,
) -> tuple[Advice, ...]:
    """`people`: how many were told apart when the person meant is not in most of the photos, else 1. `spread_deg`: how
    far the heads are turned, from the first to the last."""
    accepted = [verdict for verdict in verdicts if verdict.accepted]
    if not accepted:
        return (_none_usable(verdicts, settings),)
    found = [advised("MIXED_PEOPLE", people=people)] if people > 1 else []
    if len(accepted) < settings.wanted_photos:
        found.append(
            advised("TOO_FEW", accepted=len(accepted), photos=len(verdicts), wanted=settings.wanted_photos)
        )
    if not settings.wants_faces:
        return tuple(found)
    if len(accepted) < FEWEST_PHOTOS:
        found.append(advised("NO_HELD_OUT", wanted=FEWEST_PHOTOS))
    small = sum(verdict.face is not None and verdict.face.width_px < SMALL_FACE_PX for verdict in accepted)
    if 2 * small > len(accepted):
        found.append(advised("SMALL_FACES", count=small, wanted=SMALL_FACE_PX))
    return (*found, *(advised(code, spread=spread_deg) for code in (covered.missing if covered else ())))


def with_animal(found: PhotoReport, class_noun: str, settings: PhotoSettings) -> PhotoReport:
    """The report, which tells where no faces were looked for as an animal is trained."""
    if settings.wants_faces or not means_animal(class_noun):
        return found
    return replace(found, advice=(*found.advice, advised(ANIMAL)))


def _none_usable(verdicts: Sequence[PhotoVerdict], settings: PhotoSettings) -> Advice:
    """With how often each reason was given."""
    counts = Counter(reason.value for verdict in verdicts for reason in verdict.reasons)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    code = "NONE_USABLE" if settings.wants_faces else "NONE_USABLE_STYLE"
    if 2 * counts[Reason.NO_FACE.value] > len(verdicts):
        code = "NONE_USABLE_FACELESS"
    return advised(code, photos=len(verdicts), reasons=reasons or "none were given")
