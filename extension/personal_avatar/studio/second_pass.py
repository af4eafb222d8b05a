"""Small faces are painted anew: found, cut out, painted large with the same person, put back. Knows no host."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.identities import IdentityRequest, IdentityRestoreSettings, PictureRestoreSettings
from personal_avatar.ranking.likeness import FaceReader
from personal_avatar.restoration.everybody import RestoredPicture, restore_everybody
from personal_avatar.restoration.judge import Judge, Person, most_similar, nearest
from personal_avatar.restoration.paste import box_around, face_mask, match_colours, pasted
from personal_avatar.restoration.trial import RestoreSettings
from personal_avatar.vectors import unit

if TYPE_CHECKING:
    from pathlib import Path

    from personal_avatar.domain import Avatar
    from personal_avatar.studio.studio import Studio

CROP_SCALE = 2.5  # of the face's longer side: hair, neck and shoulders tell the checkpoint what it paints
FEATHER = 0.35
LIMITS = RestoreSettings(crop_scale=CROP_SCALE, feather=FEATHER, trials=3)  # each trial is a picture of its own
SIZE_STEP_PX = 8
# One person alone and the crop, uint8 RGB, -> the crop painted anew, of its size.
Repaint = Callable[[IdentityRequest, np.ndarray], np.ndarray]
# The prompt of the whole picture, a crop around a face, how much of it (0..1) -> the crop painted anew.
Painter = Callable[[str, np.ndarray, float], np.ndarray]


def with_small_faces(
    picture: np.ndarray, request: IdentityRequest, embeddings: Sequence[np.ndarray], analyser: FaceReader,
    repaint: Repaint, painted: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """uint8 RGB with the small faces of the request's people painted anew, and how many they were; all other pixels
    keep their bytes, and so does a face that would become less like the person. `embeddings`: of the people, of the
    recogniser of `analyser`; `painted`: bool (height, width), true where the picture was made and is not the user's
    own, None: everywhere."""
    faces = analyser.detect(picture)
    vectors = [analyser.embed(picture, face) for face in faces]
    count = 0
    for number, person in assigned(vectors, embeddings):
        face, wanted = faces[number], unit(embeddings[person])
        if max(face.width_px, face.height_px) >= request.settings.second_pass_below_px or not inside(face, painted):
            continue
        box = box_around(face, (picture.shape[1], picture.shape[0]), CROP_SCALE)
        others = [one for one in faces if one is not face]
        crop, mask = box.of(picture), face_mask(face, box, FEATHER, others)
        patch = match_colours(repaint(_alone(request, person), crop.copy()), crop, mask)
        made = pasted(picture, patch, box, mask)
        if _likeness(made, face, analyser, wanted) >= float(unit(vectors[number]) @ wanted):
            picture, count = made, count + 1
    return picture, count


def _likeness(picture: np.ndarray, place: Face, analyser: FaceReader, wanted: np.ndarray) -> float:
    """Cosine of the face that is at `place` now, measured with its own landmarks and with those of before; -1 where no
    face is found any more."""
    face = nearest(analyser.detect(picture), place)
    if face is None:
        return -1.0
    return min(float(unit(analyser.embed(picture, one)) @ wanted) for one in (face, place))


def inside(face: Face, painted: np.ndarray | None) -> bool:
    """Whether the middle of the face belongs to what was painted: bool (height, width), None: everything."""
    if painted is None:
        return True
    left, top, right, bottom = face.box_px
    row, column = int((top + bottom) / 2), int((left + right) / 2)
    height, width = painted.shape
    return bool(painted[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])


def assigned(faces: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """(face, person) pairs, the most similar first, every face and every person at most once; embeddings (d,)."""
    if not faces or not people:
        return []
    return most_similar(np.stack([unit(one) for one in faces]) @ np.stack([unit(one) for one in people]).T)


def _alone(request: IdentityRequest, person: int) -> IdentityRequest:
    """One of the people, everywhere in the picture, in the pose that the picture has."""
    keypoints = "none" if request.settings.keypoints == "none" else "auto"
    plain = {"people": (), "second_pass": False, "restore": IdentityRestoreSettings(), "layout": "boxes"}
    settings = request.settings.copy(update={**plain, "keypoints": keypoints, "keypoints_image": None})
    return IdentityRequest(settings, (replace(request.people[person], box=None, mask=None, weight=1.0),))


def repainted(
    picture: np.ndarray, people: Sequence[Person], judge: Judge, settings: PictureRestoreSettings, painter: Painter,
    prompt: str, on_face: Callable[[], None] = lambda: None, is_ours: Callable[[Face], bool] = lambda face: True,
) -> RestoredPicture:
    """The small faces of `people` painted anew, as freely as their likeness allows; nobody else is touched, nor is a
    face that is not `is_ours`."""
    small = settings.copy(update={
        "below_px": settings.second_pass_below_px, "below_sharpness": 0.0, "fidelity": 0.0, "others": False,
    })

    def paint(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        strength = settings.second_pass_strength * (1.0 - fidelity)
        return painter(prompt, crop, strength) if strength > 0 else crop

    return restore_everybody(picture, people, judge, paint, small, is_ours, on_face, LIMITS)


def painter_of(
    studio: Studio, avatar: Avatar | None, references: Sequence[Path], tell: Callable[[str], None]
) -> Painter:
    """Paints one person through the host: by the avatar's training where it fits the loaded checkpoint, else without
    training, from photos. `tell` is given sentences about what is not as it was asked for. Raises what keeps the person
    from being painted."""
    from personal_avatar.host import PictureRequest
    from personal_avatar.studio.oneshot import OneShot, posed
    from personal_avatar.studio.sitters import seated
    from personal_avatar.studio.trained import here

    base = studio.host.checkpoint()
    trained = avatar is not None and here(avatar.fitting(base.family), studio.host.folders())
    files = {path.name: path for path in references}
    one_shot = OneShot(references=tuple(files), identity=None if trained else {})
    seat = seated(studio, avatar, one_shot, files, 1.0)
    sitter = seat.sitter
    for sentence in seat.remarks:
        tell(sentence)

    def paint(prompt: str, crop: np.ndarray, strength: float) -> np.ndarray:
        def again(fitted: np.ndarray) -> np.ndarray:
            height, width = fitted.shape[:2]
            request = PictureRequest(
                prompt if sitter.words in prompt else f"photo of {sitter.words}", "", (0,), width, height,
                checkpoint=sitter.checkpoint, identity=sitter.identity and posed(sitter.identity, fitted),
                image=fitted, strength=strength, keep=False, clip_skip=sitter.clip_skip,
            )
            return next(iter(studio.host.generate(request, lambda step, total: None))).image

        return painted_large(crop, seat.base.native_px, again)

    return paint


def painted_large(image: np.ndarray, native_px: int, paint: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`paint` at the checkpoint's own size (longer side `native_px`, multiples of 8), brought back to the old one."""
    from PIL import Image

    height, width = image.shape[:2]
    scale = native_px / max(height, width)
    size = tuple(max(SIZE_STEP_PX, round(side * scale / SIZE_STEP_PX) * SIZE_STEP_PX) for side in (width, height))
    if size == (width, height):
        return paint(image)
    fitted = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    return np.asarray(Image.fromarray(paint(fitted)).resize((width, height), Image.Resampling.LANCZOS))
