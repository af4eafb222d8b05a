"""What is told of photos in English, by code; translations are the other columns of assets/texts.json.

`reason.<code>.detail`, `remark.<code>` and `advice.<code>` are filled with the values that go with the code.
"""
from __future__ import annotations

from personal_avatar.domain import PhotoReport
from personal_avatar.wording import text

# What is worth telling of one photo but rejects nothing.
SMALL_FACE = "SMALL_FACE"  # the face is narrower than a training picture shows it
SOFT = "SOFT"  # sharp enough, but not by much
SIDE_VIEW = "SIDE_VIEW"
UP_OR_DOWN = "UP_OR_DOWN"
EYES_CLOSED = "EYES_CLOSED"
SIDE_LIGHT = "SIDE_LIGHT"
OTHERS_BEHIND = "OTHERS_BEHIND"  # there are other faces, too small, blurred or doubtful to matter
FACE_CHOSEN = "FACE_CHOSEN"  # not the largest face is meant, because another one is like the person
FACE_GONE = "FACE_GONE"  # the face that was chosen by hand is not found any more
PERSON_UNSURE = "PERSON_UNSURE"  # only just like the others
REMARKS = (
    SMALL_FACE, SOFT, SIDE_VIEW, UP_OR_DOWN, EYES_CLOSED, SIDE_LIGHT, OTHERS_BEHIND, FACE_CHOSEN, FACE_GONE,
    PERSON_UNSURE,
)  # fmt: skip


def unfound(report: PhotoReport) -> list[str]:
    """A sentence for each photo in which a face was chosen by hand that is not there."""
    gone = [one for one in report.photos if FACE_GONE in one.remarks]
    return [f"{one.path.name}: {text(f'remark.{FACE_GONE}', **one.values)}" for one in gone]
