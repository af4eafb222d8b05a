"""Who judges pictures of a person: the recogniser that she was trained with, another one, and a CLIP, as far as they
are here."""
from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from personal_avatar.avatars import subject_prompt
from personal_avatar.domain import Avatar
from personal_avatar.errors import NoFace, UnreadablePhoto, WrongState
from personal_avatar.problems import stated
from personal_avatar.ranking.nouns import NOT_FOLLOWED
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.ranking.nouns import Follows, Opinions, Second
    from personal_avatar.ranking.person import Person
    from personal_avatar.studio.studio import Studio

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MOST_PHOTOS = 12  # of a person, to know how alike they are
# Callers of the API read it, who learn of no folder; see `commandline.named_here`.
FETCH_CLIP = "personal-avatar doctor --fetch clip-vit-b-32"


@dataclass(frozen=True)
class Judges:
    """Makes scorers of what a studio has at hand. `people`: how many should be in a picture."""

    studio: Studio
    people: int = 1

    def of_avatar(self, avatar: Avatar) -> Scorer:
        """By an avatar's own reference. Raises `WrongState`, `WeightsMissing` without one or without the recogniser
        that made it."""
        if avatar.best is not None and not avatar.reference:
            prompt = subject_prompt(avatar.best, 1.0)
            raise stated(WrongState, "failure.faceless", "remedy.prompt", who=avatar.name, prompt=prompt)
        if not avatar.reference:
            raise stated(WrongState, "failure.no_reference", "remedy.train_again", who=avatar.name)
        reference = np.asarray(avatar.reference, dtype=np.float32)
        ceiling = avatar.best.likeness.ceiling if avatar.best and avatar.best.likeness else None
        photos = self.studio.avatars.photos(avatar.id)[:MOST_PHOTOS]
        return self._scorer(_Asked(self.studio, self.studio.analyser(avatar.recogniser), reference, photos, ceiling))

    def of_photos(self, photos: Sequence[Path]) -> Scorer:
        """By photos of one person. Raises `NoFace`, `UnreadablePhoto`."""
        from personal_avatar.ranking.person import person_from

        analyser = self.studio.analyser_of(photos)
        person = person_from(photos, analyser)
        return self._scorer(_Asked(self.studio, analyser, person.reference, list(photos)[:MOST_PHOTOS], person=person))

    def _scorer(self, asked: _Asked) -> Scorer:
        from personal_avatar.faces.many import ManyFaces
        from personal_avatar.ranking.likeness import Scorer

        return Scorer(asked.analyser, asked.reference, asked, many=ManyFaces(asked.analyser), people=self.people)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Called once: reads the photos, and what else there is to ask. `ceiling`: the likeness that a checkpoint can show
    at best; `person`: when the photos were read already."""

    studio: Studio
    analyser: FaceAnalyser
    reference: np.ndarray
    photos: Sequence[Path]
    ceiling: float | None = None
    person: Person | None = None
    remarks: list[str] = field(default_factory=list)

    def __call__(self) -> Opinions:
        second, follows = self._second(), self._clip()
        known = (self.person or self._usual()).opinions(self.analyser.same_person_above)
        return replace(known, second=second, follows=follows, remarks=tuple(self.remarks))

    def _usual(self) -> Person:
        from personal_avatar.ranking.person import Person, faces_of, person_of

        vectors = _unless_unreadable(lambda: list(faces_of(self.photos, self.analyser)))
        found = person_of(vectors, self.reference) if vectors else Person(self.reference)
        return found.at_best(self.ceiling)

    def _second(self) -> Second | None:
        from personal_avatar.faces.many import ManyFaces
        from personal_avatar.faces.second import second_to
        from personal_avatar.ranking.nouns import Second
        from personal_avatar.ranking.person import person_from

        folders = self.studio.host.folders().identity_folders
        other = second_to(self.analyser.name, self.studio.weights_folder, folders)
        person = None
        if other is not None and self.photos:
            person = _unless_unreadable(lambda: person_from(self.photos, other))
        if other is None or person is None:
            self.remarks.append(text("remark.one_recogniser"))
            return None
        fairly = person.fairly_from(other.same_person_above)
        return Second(other.name, fairly, ManyFaces(other), person.reference)

    def _clip(self) -> Follows | None:
        from personal_avatar.ranking import clip_files

        folders = (*self.studio.host.folders().identity_folders, *clip_files.usual_folders())
        try:
            path = clip_files.find(folders)
            if path is None:
                self.remarks.append(text("remark.no_clip", command=FETCH_CLIP))
                return None
            from personal_avatar.ranking.clip import load

            return load(path)
        except Exception as error:
            LOG.warning("CLIP cannot be loaded", exc_info=True)
            self.remarks.append(f"{NOT_FOLLOWED} {type(error).__name__}: {error}")
            return None


def _unless_unreadable(read: Callable[[], T]) -> T | None:
    """What `read` finds; None where the photos show no face, or are gone."""
    try:
        return read()
    except (NoFace, UnreadablePhoto):
        return None
