"""One photo -> a verdict on its own; what needs the other photos is judged in report.py."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import Face, PhotoVerdict, Quality, Reason
from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.photos.duplicates import Fingerprint, thumbnail
from personal_avatar.photos.quality import measure, measure_whole
from personal_avatar.photos.read import Limits, read_photo
from personal_avatar.photos.settings import PhotoSettings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

Complaint = tuple[Reason, str]
# Between the landmarks and the edge of the photo, in widths of the face. Whole faces: .15 and more.
LEAST_ROOM = 0.05


@dataclass(frozen=True)
class Examined:
    """`fingerprint`: None when the photo cannot be read."""

    verdict: PhotoVerdict
    fingerprint: Fingerprint | None = None


def limits(settings: PhotoSettings) -> Limits:
    return Limits(side_px=settings.max_side_px, file_bytes=settings.max_file_mb * 1_000_000)


def examine(path: Path, analyser: FaceAnalyser, settings: PhotoSettings) -> Examined:
    """Read, find the face where one is wanted, measure. Never raises because of what is in the file."""
    try:
        photo, image = read_photo(path, limits(settings))
    except UnreadablePhoto as error:
        return Examined(PhotoVerdict(path, (Reason.UNREADABLE,), str(error)))
    except FileTooLarge as error:
        return Examined(PhotoVerdict(path, (Reason.TOO_LARGE,), str(error)))
    if not settings.wants_faces:
        return _whole(PhotoVerdict(path, photo=photo), image, settings)
    faces = analyser.detect(image)
    small = thumbnail(image)
    pixels = image.shape[0] * image.shape[1]
    verdict = PhotoVerdict(path, photo=photo, faces=len(faces))
    if not faces:
        verdict = rejected(verdict, [(Reason.NO_FACE, "no face was found")])
        return Examined(verdict, Fingerprint(photo.sha256, pixels, small))
    embedding = analyser.embed(image, faces[0])
    quality = measure(image, faces[0])
    face = replace(faces[0], embedding=tuple(float(value) for value in embedding))
    verdict = replace(verdict, face=face, quality=quality)
    complaints = [*_of_faces(faces, settings), *_of_edge(faces[0], photo.size_px), *_of_quality(quality, settings)]
    return Examined(rejected(verdict, complaints), Fingerprint(photo.sha256, pixels, small, np.asarray(embedding)))


def _whole(verdict: PhotoVerdict, image: np.ndarray, settings: PhotoSettings) -> Examined:
    """A picture of anything: neither overexposed nor cut off, for white grounds and close views are styles, too."""
    quality = measure_whole(image)
    assert verdict.photo is not None
    fingerprint = Fingerprint(verdict.photo.sha256, image.shape[0] * image.shape[1], thumbnail(image))
    verdict = replace(verdict, quality=quality)
    return Examined(rejected(verdict, _of_sharpness(quality, settings) + _of_light(quality, settings)), fingerprint)


def rejected(verdict: PhotoVerdict, complaints: Sequence[Complaint]) -> PhotoVerdict:
    """Add reasons; without complaints the verdict stays as it is."""
    details = [part for part in (verdict.detail, *(text for _, text in complaints)) if part]
    return replace(
        verdict, reasons=(*verdict.reasons, *(reason for reason, _ in complaints)), detail="; ".join(details)
    )


def _of_faces(faces: Sequence[Face], settings: PhotoSettings) -> list[Complaint]:
    """`faces`: largest first."""
    found: list[Complaint] = []
    first = faces[0].width_px
    rivals = [face for face in faces[1:] if face.width_px >= settings.second_face_share * first]
    if rivals:
        found.append((Reason.SEVERAL_FACES, f"{len(rivals) + 1} faces of similar size"))
    if first < settings.min_face_px:
        found.append((Reason.FACE_TOO_SMALL, f"face {first:.0f} px wide, need {settings.min_face_px}"))
    return found


def _of_edge(face: Face, size_px: tuple[int, int]) -> list[Complaint]:
    """The only covering that can be told for sure: the edge of the photo cuts off an eye or a corner of the mouth.

    The detector guesses where a missing eye would be, up to the edge itself.
    """
    room = min(min(x, size_px[0] - x, y, size_px[1] - y) for x, y in face.landmarks_px)
    if room >= LEAST_ROOM * face.width_px:
        return []
    return [(Reason.OCCLUDED, "the edge of the photo cuts off a part of the face")]


def _of_sharpness(quality: Quality, settings: PhotoSettings) -> list[Complaint]:
    if quality.sharpness >= settings.min_sharpness:
        return []
    return [(Reason.BLURRED, f"sharpness {quality.sharpness:.0f}, need {settings.min_sharpness:.0f}")]


def _of_light(quality: Quality, settings: PhotoSettings) -> list[Complaint]:
    if quality.brightness >= settings.min_brightness:
        return []
    return [(Reason.DARK, f"brightness {quality.brightness:.2f}, need {settings.min_brightness:.2f}")]


def _of_quality(quality: Quality, settings: PhotoSettings) -> list[Complaint]:
    found = _of_sharpness(quality, settings) + _of_light(quality, settings)
    if quality.clipped > settings.max_clipped:
        share, most = quality.clipped, settings.max_clipped
        found.append((Reason.OVEREXPOSED, f"{share:.0%} of the face is white, at most {most:.0%} may be"))
    if abs(quality.yaw_deg) > settings.max_yaw_deg:
        turned, most_deg = abs(quality.yaw_deg), settings.max_yaw_deg
        found.append((Reason.EXTREME_POSE, f"head turned by {turned:.0f} degrees, at most {most_deg:.0f} may be"))
    return found
