"""What photos of one person say: the mean of what a recogniser makes of each, the aligned faces, who was left out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import NoFace
from personal_avatar.faces.alignment import align_as_trained
from personal_avatar.faces.analyser import Analyser
from personal_avatar.identity.nouns import Reference
from personal_avatar.vectors import unit
from personal_avatar.wording import text

CROP_PX = 224


@dataclass(frozen=True)
class _Read:
    """`number`: of the photo, from 1; `vector`: float32 (512,), not normalised."""

    number: int
    photo: np.ndarray
    face: Face
    vector: np.ndarray


def read(photos: Sequence[np.ndarray], analyser: Analyser) -> Reference:
    """One person out of photos, uint8 RGB (height, width, 3), of any size.

    The largest face of each counts. Where a photo shows somebody else than the others do, or no face, it is left out
    by a sentence; of two that differ the first is kept. Raises `NoFace` when none is left.
    """
    found = [_face(number, photo, analyser) for number, photo in enumerate(photos, 1)]
    faces = [one for one in found if one is not None]
    if not faces:
        raise NoFace(_nobody(len(photos)))
    kept, strangers = _one_person(faces, analyser.same_person_above)
    unseen = [f"Photo {number}: no face was found in it." for number, one in enumerate(found, 1) if one is None]
    vectors = np.stack([one.vector for one in kept])
    first = kept[0]
    return Reference(
        embedding=vectors.mean(axis=0, dtype=np.float32), embeddings=vectors,
        crops=np.stack([align_as_trained(one.photo, one.face.landmarks_px, CROP_PX) for one in kept]),
        face=first.face, size_px=(first.photo.shape[1], first.photo.shape[0]), left_out=(*unseen, *strangers),
    )


def _face(number: int, photo: np.ndarray, analyser: Analyser) -> _Read | None:
    face = analyser.most_prominent(photo)
    return None if face is None else _Read(number, photo, face, analyser.raw_embedding(photo, face))


def _nobody(photos: int) -> str:
    if photos == 0:
        return text("failure.no_photo")
    return text("failure.no_face_in_photo" if photos == 1 else "failure.no_face_in_photos", count=photos)


def _one_person(faces: list[_Read], same_above: float) -> tuple[list[_Read], list[str]]:
    """Leave out the most different one, until the others agree; with two that differ nobody knows who is meant."""
    kept, strangers = list(faces), []
    while len(kept) > 1:
        directions = np.stack([unit(one.vector) for one in kept])
        alike = [
            float(unit(np.delete(directions, number, axis=0).mean(axis=0)) @ direction)
            for number, direction in enumerate(directions)
        ]
        worst = int(np.argmin(alike)) if len(kept) > 2 else 1
        if alike[worst] >= same_above:
            break
        other = "the others show" if len(kept) > 2 else f"photo {kept[0].number} shows, which is kept"
        strangers.append(
            f"Photo {kept[worst].number}: seems to show somebody else than {other} "
            f"(similarity {alike[worst]:.2f}, below {same_above:.2f})."
        )
        del kept[worst]
    return kept, strangers
