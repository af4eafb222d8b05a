"""The photo report: a verdict with a reason for each photo, and advice for the set."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.domain import PhotoChoice, PhotoReport, PhotoVerdict, Reason, to_json
from personal_avatar.photos.advice import advise
from personal_avatar.photos.duplicates import repeats
from personal_avatar.photos.examine import Examined, examine, rejected
from personal_avatar.photos.persons import Persons, compare
from personal_avatar.photos.settings import PhotoSettings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser


def check(
    paths: Sequence[Path],
    analyser: FaceAnalyser,
    settings: PhotoSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    choices: Mapping[str, PhotoChoice] | None = None,
) -> PhotoReport:
    """Judge every photo alone, then against the others. A broken photo is a verdict, not an error.

    `on_progress(done, total)` after each photo. `choices`: what a person decided, by SHA-256. Raises only what the
    analyser raises (missing weights).
    """
    settings = settings or PhotoSettings()
    examined: list[Examined] = []
    for path in paths:
        examined.append(examine(Path(path), analyser, settings))
        if on_progress is not None:
            on_progress(len(examined), len(paths))
    verdicts = _without_repeats(examined)
    verdicts, mixed = _without_strangers(verdicts, analyser.same_person_above, settings)
    verdicts = [replace(verdict, choice=_choice(verdict, choices or {})) for verdict in verdicts]
    return PhotoReport(tuple(verdicts), tuple(advice.text for advice in advise(verdicts, settings, mixed)))


def _choice(verdict: PhotoVerdict, choices: Mapping[str, PhotoChoice]) -> PhotoChoice:
    return choices.get(verdict.photo.sha256, PhotoChoice()) if verdict.photo is not None else PhotoChoice()


def _without_repeats(examined: Sequence[Examined]) -> list[PhotoVerdict]:
    """Reject what shows the same picture as another photo that is good enough."""
    verdicts = [item.verdict for item in examined]
    places = [place for place, item in enumerate(examined) if item.verdict.accepted]
    fingerprints = [item.fingerprint for item in examined if item.verdict.accepted and item.fingerprint is not None]
    for repeat, kept in repeats(fingerprints).items():
        place, twin = places[repeat], verdicts[places[kept]]
        verdicts[place] = rejected(verdicts[place], [(Reason.DUPLICATE, f"shows the same as {twin.path.name}")])
    return verdicts


def _without_strangers(
    verdicts: list[PhotoVerdict], same_person_above: float, settings: PhotoSettings
) -> tuple[list[PhotoVerdict], bool]:
    """Reject who differs from the others; the flag says that there are several people and no majority."""
    places = [place for place, verdict in enumerate(verdicts) if verdict.accepted]
    if not places or not settings.wants_faces:
        return verdicts, False
    limit = -1.0 if settings.other_people == "off" else same_person_above
    embeddings = np.array([_embedding(verdicts[place]) for place in places])
    persons = compare(embeddings, limit, by_spread=settings.other_people == "auto")
    judged = list(verdicts)
    for index, place in enumerate(places):
        judged[place] = _with_similarity(verdicts[place], persons, index)
    return judged, persons.mixed


def _with_similarity(verdict: PhotoVerdict, persons: Persons, index: int) -> PhotoVerdict:
    similarity = persons.similarity[index]
    verdict = replace(verdict, similarity=similarity)
    if index not in persons.strangers:
        return verdict
    text = f"similarity {similarity:.2f} to the other photos, need {persons.needed:.2f}"
    return rejected(verdict, [(Reason.OTHER_PERSON, text)])


def _embedding(verdict: PhotoVerdict) -> tuple[float, ...]:
    return verdict.face.embedding or () if verdict.face is not None else ()


def to_document(report: PhotoReport) -> dict[str, Any]:
    """The JSON document of `photos check`. Embeddings stay out of it: they are biometric data."""
    return {
        "photos": [_photo_document(verdict) for verdict in report.photos],
        "set": {"accepted": len(report.accepted), "photos": len(report.photos), "advice": list(report.advice)},
    }


def _photo_document(verdict: PhotoVerdict) -> dict[str, Any]:
    face = None if verdict.face is None else to_json(replace(verdict.face, embedding=None))
    if face is not None:
        del face["embedding"]
    return {
        "path": str(verdict.path),
        "verdict": "accepted" if verdict.accepted else "rejected",
        "reasons": [reason.value for reason in verdict.reasons],
        "detail": verdict.detail,
        "size_px": list(verdict.photo.size_px) if verdict.photo is not None else None,
        "faces": verdict.faces,
        "face": face,
        "quality": to_json(verdict.quality) if verdict.quality is not None else {},
        "similarity": verdict.similarity,
    }
