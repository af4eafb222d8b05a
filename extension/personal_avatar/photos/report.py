"""The photo report: a verdict with reasons for each photo, what the set covers, and advice."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import Look, PhotoChoice, PhotoReport, PhotoVerdict, Reason
from personal_avatar.faces.look import majority
from personal_avatar.photos import words
from personal_avatar.photos.advice import advise
from personal_avatar.photos.coverage import Shown, coverage, turn_spread_deg
from personal_avatar.photos.document import to_document
from personal_avatar.photos.duplicates import TWIN, repeats
from personal_avatar.photos.examine import Candidate, Examined, rejected, remarked
from personal_avatar.photos.limits import Complaint, Remark
from personal_avatar.photos.memory import Memory
from personal_avatar.photos.persons import Persons, compare
from personal_avatar.photos.recipe import sha256_of
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.together import each

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

__all__ = ["check", "to_document"]

OFF, SPREAD = "off", "auto"
# Only so little above the limit, and it is told.
UNSURE_MARGIN = 0.08


@dataclass(frozen=True)
class Judged:
    """A photo on its way through the report. `meant`: the face by which it is judged, None without one."""

    examined: Examined
    verdict: PhotoVerdict
    meant: Candidate | None = None

    @property
    def vouched(self) -> bool:
        """Whether the user takes it in any case."""
        return self.verdict.choice.take is True and self.verdict.usable

    @property
    def vouched_face(self) -> bool:
        """Whether the user thereby said who is meant."""
        return self.vouched and self.meant is not None and len(self.examined.candidates) == 1

    def rejected(self, complaint: Complaint) -> Judged:
        return replace(self, verdict=rejected(self.verdict, [complaint]))

    def remarked(self, remark: Remark) -> Judged:
        return replace(self, verdict=remarked(self.verdict, [remark]))


def check(
    paths: Sequence[Path],
    analyser: FaceAnalyser,
    settings: PhotoSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    choices: Mapping[str, PhotoChoice] | None = None,
    memory: Memory | None = None,
    at_once: int = 1,
) -> PhotoReport:
    """Judge every photo alone, then against the others. A broken photo is a verdict, not an error.

    `on_progress(done, total)` after each photo. `choices`: what a person decided, by SHA-256. `memory`: what was seen
    in the same photos before. `at_once`: how many are looked at together, which changes nothing but the time it takes.
    Raises only what the analyser raises (missing weights).
    """
    settings, memory = settings or PhotoSettings(), Memory() if memory is None else memory

    def examined_of(path: Path) -> Examined:
        return memory.examined(Path(path), analyser, settings, choices or {})

    found: list[Judged] = []
    for examined in each(examined_of, paths, at_once):
        found.append(_meaning(examined, examined.candidates[0] if examined.candidates else None, settings))
        if on_progress is not None:
            on_progress(len(found), len(paths))
    found = _without_repeats(found)
    known = _known(found)
    persons = _persons(known, analyser.same_person_above, settings)
    if persons is not None:
        found = _against(found, known, persons, settings)
    return _summed_up(found, persons, settings)


def _meaning(examined: Examined, meant: Candidate | None, settings: PhotoSettings) -> Judged:
    return Judged(examined, examined.verdict if meant is None else examined.meaning(meant, settings), meant)


def _without_repeats(found: Sequence[Judged]) -> list[Judged]:
    """Reject what shows the same picture as another photo that is good enough."""
    judged = list(found)
    fresh = [place for place, one in enumerate(found) if one.verdict.accepted]
    prints = [found[place].examined.fingerprint_of(found[place].meant) for place in fresh]
    sure = [at for at, place in enumerate(fresh) if found[place].vouched]
    for repeat, kept in repeats([one for one in prints if one is not None], sure).items():
        place, twin = fresh[repeat], found[fresh[kept]].verdict
        if Reason.DUPLICATE not in found[place].verdict.reasons:
            judged[place] = found[place].rejected((Reason.DUPLICATE, {"twin": twin.path.name, TWIN: sha256_of(twin)}))
    return judged


# -- whose photos they are


def _known(found: Sequence[Judged]) -> dict[int, Judged]:
    """The photos by which the person is known, by place: good by themselves, or vouched for; else any with a face."""
    faces = {place: one for place, one in enumerate(found) if one.meant is not None}
    faces = {place: one for place, one in faces.items() if one.verdict.choice.take is not False}
    good = {place: one for place, one in faces.items() if not one.verdict.reasons or one.vouched_face}
    return good or faces


def _persons(known: Mapping[int, Judged], same_person_above: float, settings: PhotoSettings) -> Persons | None:
    """None without faces."""
    if not known:
        return None
    vectors = np.array([one.meant.embedding for one in known.values() if one.meant is not None])
    limit = -1.0 if settings.other_people == OFF else same_person_above
    sure = [at for at, one in enumerate(known.values()) if one.vouched_face]
    drawn = majority(one.verdict.look for one in known.values()) is Look.DRAWN
    return compare(vectors, limit, by_spread=settings.other_people == SPREAD and drawn, sure=sure)


def _against(
    found: Sequence[Judged], known: Mapping[int, Judged], persons: Persons, settings: PhotoSettings
) -> list[Judged]:
    """Each photo against the person: of several faces the right one is meant, strangers are rejected."""
    order = {place: at for at, place in enumerate(known)}
    judged = []
    for place, one in enumerate(found):
        best = _likest(one, persons)
        if best is one.meant:
            judged.append(_compared(one, persons, order.get(place)))
        else:
            changed = _meaning(one.examined, best, settings).remarked((words.FACE_CHOSEN, {}))
            judged.append(_compared(changed, persons, None))
    return _without_repeats(judged)


def _likest(one: Judged, persons: Persons) -> Candidate | None:
    """The face that is the person, where it is not the one that is meant so far."""
    if len(one.examined.candidates) < 2:
        return one.meant
    best = max(one.examined.candidates, key=lambda candidate: float(candidate.embedding @ persons.centre))
    return best if float(best.embedding @ persons.centre) >= persons.needed else one.meant


def _compared(one: Judged, persons: Persons, at: int | None) -> Judged:
    """With the similarity to the person. `at`: its place among those by which the person is known; others that are
    rejected already are not accused of being somebody else."""
    if one.meant is None:
        return one
    similarity = round(float(one.meant.embedding @ persons.centre), 3) if at is None else persons.similarity[at]
    one = replace(one, verdict=replace(one.verdict, similarity=similarity))
    values = {"similarity": similarity, "needed": persons.needed}
    if at in persons.strangers or (at is None and not one.verdict.reasons and similarity < persons.needed):
        return one.rejected((Reason.OTHER_PERSON, values))
    unsure = not one.verdict.reasons and similarity < persons.needed + UNSURE_MARGIN
    return one.remarked((words.PERSON_UNSURE, values)) if unsure else one


# -- the set


def _summed_up(found: Sequence[Judged], persons: Persons | None, settings: PhotoSettings) -> PhotoReport:
    """Coverage and advice by what is accepted in the end."""
    verdicts = tuple(one.verdict for one in found)
    shown = [
        Shown(one.verdict.photo, one.meant.face, one.meant.quality, one.meant.around)
        for one in found
        if one.verdict.accepted and one.verdict.photo is not None and one.meant is not None
    ]
    covered = coverage(shown) if settings.wants_faces else None
    people = persons.people if persons is not None and persons.mixed else 1
    advice = advise(verdicts, settings, people, covered, turn_spread_deg(shown))
    return PhotoReport(verdicts, advice, covered)
