"""Small faces are painted anew: found, cut out, painted large with the same person, put back. Knows no host."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.identities import IdentityRequest, IdentityRestoreSettings
from personal_avatar.ranking.likeness import FaceReader
from personal_avatar.restoration.paste import box_around, face_mask, match_colours, pasted

CROP_SCALE = 2.5  # of the face's longer side: hair, neck and shoulders tell the checkpoint what it paints
FEATHER = 0.35
FACES = "Personal Avatar second pass faces"  # in infotexts
# One person alone and the crop, uint8 RGB, -> the crop painted anew, of its size.
Repaint = Callable[[IdentityRequest, np.ndarray], np.ndarray]


def with_small_faces(
    picture: np.ndarray, request: IdentityRequest, embeddings: Sequence[np.ndarray], analyser: FaceReader,
    repaint: Repaint, painted: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """uint8 RGB with the small faces of the request's people painted anew, and how many they were; all other pixels
    keep their bytes. `embeddings`: of the people, of the recogniser of `analyser`; `painted`: bool (height, width),
    true where the picture was made and is not the user's own, None: everywhere."""
    faces = analyser.detect(picture)
    count = 0
    for number, person in assigned([analyser.embed(picture, face) for face in faces], embeddings):
        face = faces[number]
        if max(face.width_px, face.height_px) >= request.settings.second_pass_below_px or _kept(face, painted):
            continue
        box = box_around(face, (picture.shape[1], picture.shape[0]), CROP_SCALE)
        crop, mask = box.of(picture), face_mask(face, box, FEATHER)
        patch = match_colours(repaint(_alone(request, person), crop.copy()), crop, mask)
        picture, count = pasted(picture, patch, box, mask), count + 1
    return picture, count


def _kept(face: Face, painted: np.ndarray | None) -> bool:
    """Whether the middle of the face belongs to what was not painted."""
    if painted is None:
        return False
    left, top, right, bottom = face.box_px
    row, column = int((top + bottom) / 2), int((left + right) / 2)
    height, width = painted.shape
    return not bool(painted[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])


def assigned(faces: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """(face, person) pairs, the most similar first, every face and every person at most once; embeddings (d,)."""
    if not faces or not people:
        return []
    similarity = _units(faces) @ _units(people).T
    pairs = []
    for _ in range(min(similarity.shape)):
        face, person = np.unravel_index(int(np.argmax(similarity)), similarity.shape)
        pairs.append((int(face), int(person)))
        similarity[face, :] = similarity[:, person] = -np.inf
    return pairs


def _units(vectors: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.asarray(vectors, dtype=np.float64)
    return stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)


def _alone(request: IdentityRequest, person: int) -> IdentityRequest:
    """One of the people, everywhere in the picture, in the pose that the picture has."""
    keypoints = "none" if request.settings.keypoints == "none" else "auto"
    plain = {"people": (), "second_pass": False, "restore": IdentityRestoreSettings(), "layout": "boxes"}
    settings = request.settings.copy(update={**plain, "keypoints": keypoints, "keypoints_image": None})
    return IdentityRequest(settings, (replace(request.people[person], box=None, mask=None, weight=1.0),))
