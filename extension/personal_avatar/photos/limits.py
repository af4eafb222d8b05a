"""What is wrong with a photo by itself, and what is worth telling of a good one."""
from __future__ import annotations

from typing import Any

from personal_avatar.domain import Face, Quality, Reason
from personal_avatar.photos import words
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.surroundings import Surroundings

# A code and what its sentence is filled with.
Complaint = tuple[Reason, dict[str, Any]]
Remark = tuple[str, dict[str, Any]]
# Between the landmarks and the edge of the photo, in widths of the face. Whole faces: .15 and more.
LEAST_ROOM = 0.05
COVERED_FROM = 0.5  # see covering.py
SMALL_FACE_PX = 128
SOFT_MARGIN = 6.0
SIDE_VIEW_DEG = 40.0
BENT_DEG = 15.0
CLOSED_BELOW = 0.2
SIDE_LIGHT_FROM = 0.18  # a tenth of 165 photos of celebrities has more


def complaints(
    face: Face, quality: Quality, size_px: tuple[int, int], rivals: int, settings: PhotoSettings
) -> list[Complaint]:
    """Of the face that is meant. `rivals`: how many others are as prominent."""
    found: list[Complaint] = []
    if rivals:
        found.append((Reason.SEVERAL_FACES, {"faces": rivals + 1}))
    if face.width_px < settings.min_face_px:
        found.append((Reason.FACE_TOO_SMALL, {"face_px": round(face.width_px), "min_face_px": settings.min_face_px}))
    if _cut_off(face, size_px) or (quality.covered is not None and quality.covered >= COVERED_FROM):
        found.append((Reason.OCCLUDED, {}))
    return [*found, *of_picture(quality, settings), *_of_light_and_pose(quality, settings)]


def of_picture(quality: Quality, settings: PhotoSettings) -> list[Complaint]:
    """Of any picture: neither overexposed nor cut off, for white grounds and close views are styles, too."""
    found: list[Complaint] = []
    if quality.sharpness < settings.min_sharpness:
        found.append((Reason.BLURRED, {"sharpness": quality.sharpness, "min_sharpness": settings.min_sharpness}))
    if quality.brightness < settings.min_brightness:
        found.append((Reason.DARK, {"brightness": quality.brightness, "min_brightness": settings.min_brightness}))
    return found


def remarks_on(
    face: Face, quality: Quality, around: Surroundings, others_behind: bool, settings: PhotoSettings
) -> list[Remark]:
    """What is worth telling of the face that is meant; what is reason enough to reject is not told again."""
    found: list[Remark] = []
    if settings.min_face_px <= face.width_px < SMALL_FACE_PX:
        found.append((words.SMALL_FACE, {"face_px": round(face.width_px), "good_face_px": SMALL_FACE_PX}))
    if settings.min_sharpness <= quality.sharpness < settings.min_sharpness + SOFT_MARGIN:
        found.append((words.SOFT, {"sharpness": quality.sharpness}))
    if SIDE_VIEW_DEG < abs(quality.yaw_deg) <= settings.max_yaw_deg:
        found.append((words.SIDE_VIEW, {"turned_deg": round(abs(quality.yaw_deg))}))
    if abs(quality.pitch_deg) > BENT_DEG:
        found.append((words.UP_OR_DOWN, {"bent_deg": round(abs(quality.pitch_deg))}))
    if quality.eyes_open is not None and quality.eyes_open < CLOSED_BELOW:
        found.append((words.EYES_CLOSED, {}))
    if abs(around.side) > SIDE_LIGHT_FROM:
        found.append((words.SIDE_LIGHT, {}))
    if others_behind:
        found.append((words.OTHERS_BEHIND, {}))
    return found


def _cut_off(face: Face, size_px: tuple[int, int]) -> bool:
    """Whether the edge of the photo takes an eye or a corner of the mouth away.

    The detector guesses where a missing eye would be, up to the edge itself.
    """
    return min(min(x, size_px[0] - x, y, size_px[1] - y) for x, y in face.landmarks_px) < LEAST_ROOM * face.width_px


def _of_light_and_pose(quality: Quality, settings: PhotoSettings) -> list[Complaint]:
    found: list[Complaint] = []
    if quality.clipped > settings.max_clipped:
        found.append((Reason.OVEREXPOSED, {"clipped": quality.clipped, "max_clipped": settings.max_clipped}))
    if abs(quality.yaw_deg) > settings.max_yaw_deg:
        values = {"turned_deg": round(abs(quality.yaw_deg)), "max_yaw_deg": round(settings.max_yaw_deg)}
        found.append((Reason.EXTREME_POSE, values))
    return found
