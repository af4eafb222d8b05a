"""Which faces of a photo may be the one that is meant, and which others compete with it.

Detectors also answer blobs in the background, paintings and halves of passers-by. On 35 photos of groups and pairs the
other people's faces had at least .83 of the first face's score and .73 of its sharpness (a face a fifth as wide: .58,
because it is enlarged to be measured); 11 false or blurred ones in portraits had less than .82 of the score or less
than .48 of the sharpness.
"""
from __future__ import annotations

from collections.abc import Sequence

from personal_avatar.domain import Face, Quality

SURE_SHARE = 0.82
SHARP_SHARE = 0.5
# Narrower ones cannot be meant, and more people than these are a crowd.
LEAST_WIDTH_SHARE = 0.25
MOST = 6


def candidates(faces: Sequence[Face]) -> tuple[int, ...]:
    """Places in `faces` (largest first) of those that may be meant, largest first; empty only without faces."""
    if not faces:
        return ()
    sure = SURE_SHARE * max(face.score for face in faces)
    wide = LEAST_WIDTH_SHARE * max(face.width_px for face in faces if face.score >= sure)
    fitting = [place for place, face in enumerate(faces) if face.score >= sure and face.width_px >= wide]
    return tuple(fitting[:MOST])


def rivals(meant: Face, quality: Quality, others: Sequence[tuple[Face, Quality]], share: float) -> int:
    """How many of `others` are as prominent: wide as `share` of the face that is meant, as sure and as sharp."""
    return sum(
        face.width_px >= share * meant.width_px
        and face.score >= SURE_SHARE * meant.score
        and seen.sharpness >= SHARP_SHARE * quality.sharpness
        for face, seen in others
    )
