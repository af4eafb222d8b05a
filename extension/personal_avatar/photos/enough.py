"""Whether a training has photos enough, by the report on them: before it is asked for, and when it begins."""
from __future__ import annotations

from collections import Counter

from personal_avatar.domain import PhotoReport, Reason
from personal_avatar.errors import TooFewPhotos
from personal_avatar.wording import text

FEW = "error.TOO_FEW_PHOTOS"  # key of the sentence about them


def refuse_few(found: PhotoReport, need: int, is_style: bool) -> None:
    """Raise `TooFewPhotos` where less than `need` are accepted. `is_style`: a style is to be trained, and nobody."""
    if len(found.accepted) < need:
        raise TooFewPhotos(_too_few(found, need), _what_to_add(found, is_style))


def _too_few(found: PhotoReport, need: int) -> str:
    """Counts the reasons: `Found 1 usable photo, need 3 (2 blurred, 1 no face).`"""
    refused = [verdict for verdict in found.photos if not verdict.accepted]
    reasons = Counter(
        verdict.reasons[0].value.lower().replace("_", " ") if verdict.reasons else text(f"{FEW}.left_out")
        for verdict in refused
    )
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    usable = len(found.accepted)
    key = f"{FEW}.found_one" if usable == 1 else f"{FEW}.found"
    return text(key, usable=usable, need=need, why=f" ({why})" if why else "")


def _what_to_add(found: PhotoReport, is_style: bool) -> str | None:
    """What would mend it; None: the usual."""
    refused = [verdict for verdict in found.photos if not verdict.accepted]
    if refused and all(Reason.UNREADABLE in verdict.reasons for verdict in refused):
        return text("remedy.pictures")
    if is_style:
        return text("remedy.style_pictures")
    faceless = sum(Reason.NO_FACE in verdict.reasons for verdict in refused)
    return text("remedy.faceless_pictures") if 2 * faceless > len(found.photos) else None
