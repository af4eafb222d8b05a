"""Portraits that were just made: faces are restored where that makes them sharper and no less like the person."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.domain import Avatar, Portrait
from personal_avatar.errors import AvatarError, Cancelled
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, Stage
from personal_avatar.storage import short
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.restoration.everybody import RestoredPicture
    from personal_avatar.restoration.judge import Judge, Person
    from personal_avatar.studio.studio import Studio


@dataclass(frozen=True, eq=False)
class Retouching:
    """Restores portraits of a person, and of `others` beside. `avatar`: None when nobody was trained; `photos`: of the
    person; `max_drop`: of likeness, a cosine."""

    studio: Studio
    avatar: Avatar | None
    photos: Sequence[Path]
    others: Sequence[Sequence[Path]] = ()
    max_drop: float = 0.0

    def __call__(
        self, portraits: Sequence[Portrait], folder: Path, emit: EventWriter, control: Control
    ) -> list[Portrait]:
        """The same portraits; those that could be made better have a twin in `folder`, which is named by its place
        among them, too, as hosts begin their numbers anew in each folder. The log says why others have none."""
        if not self.studio.host.restorers():
            emit(Log(text("log.no_restorer")))
            return list(portraits)
        emit(Stage("restore"))
        try:
            judge, people = self.studio.restoring.sitting(self.avatar, self.photos, self.others)
        except AvatarError as error:
            emit(Log(text("log.none_restored", cause=error)))
            return list(portraits)
        done = []
        for number, portrait in enumerate(portraits, start=1):
            control.check()
            target = folder / f"{number:03d}-{short(portrait.path.stem)}-restored.png"
            done.append(self._better(portrait, target, judge, people, emit, control))
            emit(Progress(number, len(portraits)))
        return done

    def _better(
        self, portrait: Portrait, target: Path, judge: Judge, people: Sequence[Person], emit: EventWriter,
        control: Control,
    ) -> Portrait:
        from personal_avatar.restoration.trial import RestoreSettings

        if portrait.likeness is None:
            return portrait
        wanted = PictureRestoreSettings(
            min_similarity_drop=self.max_drop, below_px=0, below_sharpness=0.0, others=False
        )
        try:
            found = self.studio.restoring.file(
                portrait.path, target, people, judge, wanted, on_face=control.check,
                limits=RestoreSettings(min_sharpness=1.0), prompt=portrait.prompt,
            )
        except Cancelled:
            raise
        except AvatarError as error:
            emit(Log(text("log.not_restored", file=portrait.path.name, cause=error)))
            return portrait
        if not found.count:
            emit(Log(text("log.unrestored", file=portrait.path.name, unrestored=found.reason)))
            return portrait
        return replace(portrait, restored=target, scores={**portrait.scores, **_scores(found, people[0])})


def _scores(found: RestoredPicture, person: Person) -> dict[str, float]:
    """How like the person the face is now; nothing where only faces beside were restored."""
    own = next((face for face in found.faces if face.restored and face.person == person.name and face.after), None)
    return {} if own is None else {"restored": round(own.after[0], 4), "fidelity": own.fidelity}
