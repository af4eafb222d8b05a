"""One photo -> a verdict on its own; what needs the other photos is judged in report.py."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.domain import Face, Look, Photo, PhotoChoice, PhotoVerdict, Quality, Reason
from personal_avatar.errors import AvatarError, FileTooLarge, UnreadablePhoto
from personal_avatar.faces.look import look_of
from personal_avatar.photos import meant, surroundings, words
from personal_avatar.photos.covering import covered
from personal_avatar.photos.duplicates import Fingerprint, face_patch, thumbnail
from personal_avatar.photos.expression import expression
from personal_avatar.photos.framing import STEP_PX
from personal_avatar.photos.limits import complaints, of_picture, remarks_on
from personal_avatar.photos.quality import measure, measure_whole
from personal_avatar.photos.read import Limits, read_photo
from personal_avatar.photos.settings import AUTO, PhotoSettings
from personal_avatar.photos.surroundings import Surroundings
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

MOST_MEASURED = 24
Choices = Mapping[str, PhotoChoice]


@dataclass(frozen=True)
class Candidate:
    """A face that may be the one that is meant. `place`: in the verdict's `people`; `rivals`: others as prominent;
    `patch`: see duplicates.py, None of drawings, whose faces are too much alike for it."""

    place: int
    face: Face
    quality: Quality
    rivals: int
    patch: np.ndarray | None
    around: Surroundings

    @property
    def embedding(self) -> np.ndarray:
        return np.array(self.face.embedding, dtype=np.float32)


@dataclass(frozen=True)
class Examined:
    """`verdict`: as the photo is without its face; `candidates`: the likeliest first, empty where nobody is looked for
    or found. `fingerprint`: without a face, None when the photo cannot be read."""

    verdict: PhotoVerdict
    fingerprint: Fingerprint | None = None
    candidates: tuple[Candidate, ...] = ()

    def meaning(self, candidate: Candidate, settings: PhotoSettings) -> PhotoVerdict:
        """The verdict when this face is meant."""
        photo = self.verdict.photo
        assert photo is not None
        by_hand = self.verdict.choice.face == candidate.place
        rivals = 0 if by_hand else candidate.rivals
        verdict = replace(self.verdict, face=candidate.face, quality=candidate.quality)
        verdict = rejected(verdict, complaints(candidate.face, candidate.quality, photo.size_px, rivals, settings))
        behind = len(self.verdict.people) > 1 and not candidate.rivals
        return remarked(verdict, remarks_on(candidate.face, candidate.quality, candidate.around, behind, settings))

    def fingerprint_of(self, candidate: Candidate | None) -> Fingerprint | None:
        """With the face that is meant."""
        if self.fingerprint is None or candidate is None:
            return self.fingerprint
        return replace(self.fingerprint, embedding=candidate.embedding, patch=candidate.patch)


def limits(settings: PhotoSettings) -> Limits:
    return Limits(side_px=settings.max_side_px, file_bytes=settings.max_file_mb * 1_000_000)


def examine(path: Path, analyser: FaceAnalyser, settings: PhotoSettings, choices: Choices | None = None) -> Examined:
    """Read, find the faces where one is wanted, measure. Never raises because of what is in the file."""
    try:
        photo, image = read_photo(path, limits(settings))
    except FileTooLarge as error:
        return _unread(path, Reason.TOO_LARGE, error)
    except UnreadablePhoto as error:
        return _unread(path, Reason.UNREADABLE, error)
    choice = (choices or {}).get(photo.sha256, PhotoChoice())
    fingerprint = Fingerprint(photo.sha256, image.shape[0] * image.shape[1], thumbnail(image))
    look = look_of(image) if settings.look == AUTO else Look(settings.look)
    verdict = PhotoVerdict(path, photo=photo, choice=choice, look=look)
    if not settings.wants_faces:
        if min(photo.size_px) < STEP_PX:
            return Examined(rejected(verdict, [(Reason.UNREADABLE, {"why": _too_thin(photo)})]))
        quality = measure_whole(image)
        return Examined(rejected(replace(verdict, quality=quality), of_picture(quality, settings)), fingerprint)
    faces = analyser.detect(image)
    verdict = replace(verdict, faces=len(faces), people=tuple(replace(face, embedding=None) for face in faces))
    if not faces:
        return Examined(rejected(verdict, [(Reason.NO_FACE, {})]), fingerprint)
    return _with_candidates(Examined(verdict, fingerprint), image, faces, analyser, settings)


def _too_thin(photo: Photo) -> str:
    width, height = photo.size_px
    return f"{photo.path.name} has {width} x {height} pixels, and at least {STEP_PX} a side are trained."


def _unread(path: Path, reason: Reason, error: AvatarError) -> Examined:
    """The value is what was found in the file: the usual advice, which goes with the reason, is in `detail` only."""
    why = error.message if error.hint == error.default_hint else str(error)
    return Examined(replace(rejected(PhotoVerdict(path), [(reason, {"why": why})]), detail=str(error)))


def _with_candidates(
    examined: Examined, image: np.ndarray, faces: Sequence[Face], analyser: FaceAnalyser, settings: PhotoSettings
) -> Examined:
    """Embed and measure whoever may be meant; only the one that was chosen by hand, if one was."""
    seen = [(face, measure(image, face)) for face in faces[:MOST_MEASURED]]
    wanted = examined.verdict.choice.face
    places = meant.candidates([face for face, _ in seen])
    if wanted is not None and wanted < len(seen):
        places = (wanted,)
    verdict = examined.verdict
    if wanted is not None and wanted >= len(seen):
        verdict = remarked(verdict, [(words.FACE_GONE, {})])

    def candidate(place: int) -> Candidate:
        face, quality = seen[place]
        if verdict.look is Look.PHOTO:
            quality = replace(quality, covered=covered(image, face), **expression(image, face, analyser))
        others = [one for at, one in enumerate(seen) if at != place]
        vector = tuple(float(value) for value in analyser.embed(image, face))
        return Candidate(
            place, replace(face, embedding=vector), quality,
            meant.rivals(face, quality, others, settings.second_face_share),
            face_patch(image, face) if verdict.look is Look.PHOTO else None, surroundings.measure(image, face),
        )

    return replace(examined, verdict=verdict, candidates=tuple(candidate(place) for place in places))


def rejected(verdict: PhotoVerdict, found: Sequence[tuple[Reason, dict[str, Any]]]) -> PhotoVerdict:
    """Add reasons with the values of their sentences; without any the verdict stays as it is."""
    sentences = [text(f"reason.{reason.value}.detail", **values) for reason, values in found]
    return replace(
        verdict,
        reasons=(*verdict.reasons, *(reason for reason, _ in found)),
        detail="; ".join(part for part in (verdict.detail, *sentences) if part),
        values=_merged(verdict, [values for _, values in found]),
    )


def remarked(verdict: PhotoVerdict, found: Sequence[tuple[str, dict[str, Any]]]) -> PhotoVerdict:
    """Add remarks."""
    remarks = (*verdict.remarks, *(code for code, _ in found))
    return replace(verdict, remarks=remarks, values=_merged(verdict, [values for _, values in found]))


def _merged(verdict: PhotoVerdict, more: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = dict(verdict.values)
    for part in more:
        values |= part
    return values
