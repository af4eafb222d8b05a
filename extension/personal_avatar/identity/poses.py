"""Which keypoints a picture follows, and where its people stand: the answer to the setting `keypoints`."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import AvatarError, InvalidSettings
from personal_avatar.identities import IdentityRequest, Subject
from personal_avatar.identity import keypoints, regions
from personal_avatar.identity.nouns import Reference
from personal_avatar.problems import stated

Detect = Callable[[np.ndarray], list[Face]]


@dataclass(frozen=True)
class Poses:
    """`masks`: of the people, float32 (height, width) or None; `points`: (faces, 5, 2) in pixels of the picture, of
    those who have a weight, None: nothing is followed; `warning`: a sentence, or empty."""

    masks: tuple[np.ndarray | None, ...]
    points: np.ndarray | None = None
    warning: str = ""


def poses_of(
    request: IdentityRequest, references: Sequence[Reference], size_px: tuple[int, int], detect: Detect
) -> Poses:
    """For a picture of `size_px` (width, height). `auto` follows the given picture, nothing where it shows too few
    faces, and without a picture the reference photos. Who has no weight keeps a place, in which nobody is drawn.

    Raises `InvalidSettings`, and `NoFace` where a picture without faces was chosen to be followed.
    """
    poses = _of_everybody(request, references, size_px, detect)
    there = [person.weight != 0.0 for person in request.people]
    points = poses.points[there] if poses.points is not None and any(there) else None
    return replace(poses, points=points)


def _of_everybody(
    request: IdentityRequest, references: Sequence[Reference], size_px: tuple[int, int], detect: Detect
) -> Poses:
    wanted, picture = request.settings.keypoints, request.keypoints_image
    if wanted == "image" and picture is None:
        raise stated(InvalidSettings, "failure.no_keypoints", "remedy.keypoints")
    if wanted == "none":
        return Poses(_masks(request, size_px, ()))
    if picture is None or wanted == "reference":
        return _of_references(request, references, size_px)
    try:
        return _of_picture(request, picture, size_px, detect)
    except AvatarError as error:
        if wanted == "image":
            raise
        return Poses(_masks(request, size_px, ()), None, f"{error.message} Expression and pose are free.")


def _of_picture(request: IdentityRequest, picture: np.ndarray, size_px: tuple[int, int], detect: Detect) -> Poses:
    names = [person.name for person in request.people]
    faces = keypoints.left_to_right(detect(picture), len(request.people), names)
    given = (picture.shape[1], picture.shape[0])
    boxes = keypoints.boxes_from_picture(faces, given, size_px)
    return Poses(_masks(request, size_px, boxes), keypoints.from_picture(faces, given, size_px))


def _of_references(request: IdentityRequest, references: Sequence[Reference], size_px: tuple[int, int]) -> Poses:
    """Each person's own photo, fitted into the region of the person."""
    masks = _masks(request, size_px, ())
    points = [
        keypoints.from_reference(one.face, one.size_px, size_px, _box(person, mask))
        for person, one, mask in zip(request.people, references, masks, strict=True)
    ]
    return Poses(masks, np.concatenate(points))


def _masks(
    request: IdentityRequest, size_px: tuple[int, int], boxes: Sequence[regions.Box]
) -> tuple[np.ndarray | None, ...]:
    return regions.masks(request.people, *size_px, boxes, request.settings.layout)


def _box(person: Subject, mask: np.ndarray | None) -> regions.Box | None:
    """The person's region as a box in shares; None: the whole picture."""
    if mask is None or not mask.any():
        return person.box
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
