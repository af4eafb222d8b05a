"""Who is looked for among candidates, and what is known of each: the faces, and whoever decides about them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import Avatar, BaseModelFile, Look
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, SampleMade
from personal_avatar.photos.alike import Judge, LikeSomebody, SameSomebody
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.pictures import load_picture
from personal_avatar.studio.inventing import NOBODY, InventSettings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser
    from personal_avatar.studio.studio import Studio

FIRST = 4  # of so many it is seen whether they are drawn
# From which similarity a group is one character without doubt: how far from the recogniser's limit to 1. Recognisers of
# faces find drawn characters more alike: six of tools/avatar_tiny score up to .82 (99 of 100 pairs), each with itself
# .80-.89 (median).
SURE, SURE_OF_DRAWN = 0.5, 0.75


@dataclass(frozen=True, eq=False)
class Candidate:
    """A picture that was made. `face`: float32 (d,), L2 norm 1; None when a training would not accept the picture."""

    path: Path
    seed: int
    prompt: str
    caption: str
    face: np.ndarray | None = None


@dataclass(frozen=True)
class Judges:
    """Who looks at candidates: a recogniser, and whoever decides about the faces that it sees."""

    analyser: FaceAnalyser
    judge: Judge
    look: Look = Look.PHOTO


@dataclass(frozen=True)
class Casting:
    """What stays the same for all candidates. `words`: what stands for the character in a prompt; `trigger`: in a
    caption; `checkpoint`: one of its own; `avatar`: who was trained already; `clip_skip` as in `PictureRequest`."""

    studio: Studio
    base: BaseModelFile
    settings: InventSettings
    words: str
    trigger: str
    folder: Path
    emit: EventWriter
    control: Control
    avatar: Avatar | None = None
    checkpoint: Path | None = None
    clip_skip: int = 0

    @property
    def shows_nobody(self) -> bool:
        """Whether no real person is in the pictures: a new character, or one that was invented before."""
        if self.avatar is None:
            return True
        return self.avatar.consent is not None and self.avatar.consent.statement.startswith(NOBODY)


@dataclass
class Made:
    """What there is so far. `seen`: so many were looked at; `judges`: known after the first few."""

    candidates: list[Candidate] = field(default_factory=list)
    seen: int = 0
    judges: Judges | None = None

    @property
    def usable(self) -> list[Candidate]:
        return [one for one in self.candidates if one.face is not None]

    @property
    def faces(self) -> np.ndarray:
        """float32 (n, d) of the usable ones."""
        found = [one.face for one in self.candidates if one.face is not None]
        return np.stack(found) if found else np.zeros((0, 1), dtype=np.float32)


def look_at_new(casting: Casting, made: Made) -> None:
    """Look at what nobody has looked at; the first few wait until it is known who recognises them."""
    if made.judges is None:
        if casting.avatar is None and len(made.candidates) < min(FIRST, casting.settings.count):
            return
        made.judges = _known(casting, made) if casting.avatar else _strangers(casting, made)
    for place in range(made.seen, len(made.candidates)):
        candidate = made.candidates[place] = _looked_at(made.candidates[place], made.judges.analyser)
        made.seen = place + 1
        faces = made.faces
        likeness = None if candidate.face is None else made.judges.judge.likeness(faces, len(faces) - 1)
        casting.emit(SampleMade(str(candidate.path), place, candidate.prompt, likeness))


def _looked_at(candidate: Candidate, analyser: FaceAnalyser) -> Candidate:
    """With its face, where a training would accept the picture."""
    from personal_avatar.photos.examine import examine

    settings = PhotoSettings()
    found = examine(candidate.path, analyser, settings)
    if not found.candidates or not found.meaning(found.candidates[0], settings).accepted:
        return candidate
    return replace(candidate, face=found.candidates[0].embedding)


def _strangers(casting: Casting, made: Made) -> Judges:
    """Of somebody whom nobody knows yet: whoever recognises pictures of this look."""
    from personal_avatar.faces.ccip import CharacterAnalyser
    from personal_avatar.faces.registry import analyser_for

    look = _look_of(made)
    analyser, settings = analyser_for(look, casting.studio.weights_folder), casting.settings
    of_faces = look is Look.DRAWN and not isinstance(analyser, CharacterAnalyser)
    limit = analyser.same_person_above
    needed = settings.similarity or limit + (SURE_OF_DRAWN if of_faces else SURE) * (1 - limit)
    return Judges(analyser, SameSomebody(needed, limit, settings.keep), look)


def _look_of(made: Made) -> Look:
    """What most of the pictures are."""
    from personal_avatar.faces.look import look_of, majority

    return majority(look_of(load_picture(one.path)) for one in made.candidates)


def _known(casting: Casting, made: Made) -> Judges:
    """Of an avatar: the recogniser that knows it, and its own photos."""
    assert casting.avatar is not None
    analyser, settings = casting.studio.analyser(casting.avatar.recogniser), casting.settings
    photos = casting.studio.avatars.photos(casting.avatar.id)
    reference = np.asarray(casting.avatar.reference, dtype=np.float32)
    own = _own_faces(photos, analyser, reference)
    sure = analyser.same_person_above + SURE * (1 - analyser.same_person_above)
    return Judges(analyser, LikeSomebody.of(own, settings.keep, sure, settings.similarity), _look_of(made))


def _own_faces(photos: Sequence[Path], analyser: FaceAnalyser, reference: np.ndarray) -> np.ndarray:
    """(n, d): the faces of the avatar's photos that a training accepts and that are the person; at least the avatar's
    reference, which stands in for photos that are gone."""
    looked = (_looked_at(Candidate(photo, 0, "", ""), analyser).face for photo in photos)
    found = [face for face in looked if face is not None and face @ reference >= analyser.same_person_above]
    return np.stack(found or [reference])
