"""What is said of a restoration: in infotexts, and in documents. No embedding is in it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from personal_avatar.pictures import PREFIX

if TYPE_CHECKING:
    from personal_avatar.restoration.everybody import FaceReport, RestoredPicture

RESTORED = PREFIX + "restored faces"
REPAINTED = PREFIX + "second pass faces"
WITH, FIDELITY = PREFIX + "restored with", PREFIX + "restoration fidelity"
BEFORE, AFTER = PREFIX + "likeness before", PREFIX + "likeness after"
REFERENCE = PREFIX + "likeness to"
SAID = (RESTORED, WITH, FIDELITY, REFERENCE, BEFORE, AFTER, REPAINTED)
ITSELF = "itself"


def told(found: RestoredPicture, model: str) -> tuple[tuple[str, str], ...]:
    """Pairs for an infotext; empty when nothing was restored. One word for each restored face, with spaces between
    them; where two recognisers tell, their cosines stand on both sides of a slash."""
    done = [face for face in found.faces if face.restored]
    if not done:
        return ()
    return (
        (RESTORED, str(len(done))), (WITH, model), (FIDELITY, " ".join(f"{face.fidelity:g}" for face in done)),
        (REFERENCE, " ".join((face.person or "person") if face.known else ITSELF for face in done).replace(",", " ")),
        (BEFORE, " ".join(_cosines(face.before) for face in done)),
        (AFTER, " ".join(_cosines(face.after) for face in done)),
    )


def told_second(painted: RestoredPicture | None) -> tuple[tuple[str, str], ...]:
    """The same of small faces that were painted anew."""
    return ((REPAINTED, str(painted.count)),) if painted is not None and painted.count else ()


def merged(painted: RestoredPicture | None, found: RestoredPicture) -> RestoredPicture:
    """Two passes as one: a face counts as restored when either changed it, and its likeness is that before the first
    and after the last."""
    if painted is None or len(painted.faces) != len(found.faces):
        return found
    faces = tuple(
        replace(new, restored=True, before=old.before, reason="") if old.restored else new
        for old, new in zip(painted.faces, found.faces, strict=True)
    )
    return replace(found, faces=faces)


def rows(faces: Sequence[FaceReport]) -> list[dict[str, Any]]:
    """Faces as a document has them."""
    return [
        {
            "box_px": [round(side, 1) for side in one.face.box_px], "person": one.person or None,
            "measured_by": "person" if one.known else ITSELF, "restored": one.restored,
            "fidelity": one.fidelity if one.restored else None, "likeness_before": _rounded(one.before),
            "likeness_after": _rounded(one.after), "reason": one.reason,
        }
        for one in faces
    ]


def main_face(faces: Sequence[FaceReport]) -> FaceReport | None:
    """The one that a picture is about: the restored ones before the others, those that are known before strangers, the
    largest first."""
    return min(faces, key=lambda face: (not face.restored, not face.known), default=None)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _cosines(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3f}" for value in values) or "-"
