"""A job that restores the faces of pictures: one after the other, each measured, each told about."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Avatar, Portrait, to_json
from personal_avatar.errors import AvatarError, Cancelled
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Stage
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.params import validated
from personal_avatar.pictures import moves, prompt_of
from personal_avatar.storage import write_json
from personal_avatar.studio.restored import main_face, rows
from personal_avatar.studio.restoring import RestoreTask
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.restoration.everybody import RestoredPicture
    from personal_avatar.restoration.judge import Judge, Person
    from personal_avatar.studio.second_pass import Painter
    from personal_avatar.studio.studio import Studio


@dataclass
class Done:
    """What was done until now. `faces`: of each of `images`; `unreadable`: what was left out, and why."""

    task: RestoreTask
    started: float
    images: list[dict[str, Any]] = field(default_factory=list)
    faces: list[list[dict[str, Any]]] = field(default_factory=list)
    unreadable: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "model_id": self.task.avatar_id, "images": self.images, "faces": self.faces,
            "unreadable": self.unreadable, "restored": sum(one["restored"] is not None for one in self.images),
            "seconds": round(time.monotonic() - self.started, 1),
        }


def repair(
    studio: Studio, task: RestoreTask, folder: Path, emit: EventWriter, control: Control
) -> dict[str, Any]:
    """The result document; `images` in the order in which they were given, each with its `place` there, `faces` beside
    them. A picture that cannot be read is left out: it stands in `unreadable`, and the log says so. Errors call files
    as they were called when they were given."""
    emit(Stage("restore"))
    try:
        return _repaired(studio, task, folder, emit, control)
    except AvatarError as error:
        error.message = _as_given(error.message, task)
        raise


def _repaired(
    studio: Studio, task: RestoreTask, folder: Path, emit: EventWriter, control: Control
) -> dict[str, Any]:
    started, settings = time.monotonic(), validated(PictureRestoreSettings, task.settings)
    photos = [folder / "photos" / name for name in task.references]
    avatar = studio.avatars.load(task.avatar_id) if task.avatar_id else None
    judge = studio.restoring.judge(avatar, photos)
    people, painter = _people(studio, avatar, photos, judge), _painter(studio, avatar, photos, settings, emit)
    emit(Progress(0, len(task.images)))
    done = Done(task, started)
    for number, (name, called) in enumerate(zip(task.images, task.called, strict=True)):
        image, target = folder / "photos" / name, folder / ARTIFACTS_FOLDER / f"{number:03d}-restored.png"
        try:
            found = studio.restoring.file(image, target, people, judge, settings, painter, control.check)
        except Cancelled as error:
            if not done.images:
                raise
            raise Cancelled(error.message, error.hint, done.document()) from None
        except AvatarError as error:
            _leave_out(error, number, done, emit)
            continue
        portrait = _portrait(image, target, found)
        done.images.append({**to_json(portrait), "place": number})
        done.faces.append(rows(found.faces))
        _tell(found, portrait, called, folder, number, emit)
        emit(Progress(number + 1, len(task.images)))
    document = done.document()
    write_json(folder / ARTIFACTS_FOLDER / "restored.json", document)
    return document


def _leave_out(error: AvatarError, number: int, done: Done, emit: EventWriter) -> None:
    """One bad picture does not end the work on the others; alone, or when no picture can work, it does."""
    called, said = done.task.called[number], _as_given(str(error), done.task)
    if len(done.task.images) == 1 or error.http_status >= 500:
        raise error
    done.unreadable.append({"title": called, "place": number, "error": said})
    emit(Log(text("log.left_out", file=called, cause=said)))


def _as_given(sentence: str, task: RestoreTask) -> str:
    """A sentence with the names that files had in place of those that they have in the job's folder."""
    names, called = (*task.images, *task.references), (*task.called, *task.references_called)
    given = zip(names, called, strict=False)  # jobs of earlier versions do not know what references were called
    return next((sentence.replace(name, own) for name, own in given if name in sentence), sentence)


def _people(studio: Studio, avatar: Avatar | None, photos: list[Path], judge: Judge) -> list[Person]:
    if avatar is not None:
        return [studio.restoring.person(avatar, judge)]
    return [studio.restoring.person_from(photos, judge)] if photos else []


def _painter(
    studio: Studio, avatar: Avatar | None, photos: list[Path], settings: PictureRestoreSettings, emit: EventWriter
) -> Painter | None:
    """For small faces; only when it is wanted, and known whose they are."""
    from personal_avatar.studio.second_pass import painter_of

    if not settings.second_pass or not (avatar or photos):
        return None
    return painter_of(studio, avatar, photos, lambda sentence: emit(Log(sentence)))


def _portrait(image: Path, target: Path, found: RestoredPicture) -> Portrait:
    """A stranger's likeness is that to the person who was looked for."""
    main = main_face(found.faces)
    is_other = main is not None and not main.known and main.closest is not None
    likeness = main.closest if main is not None and is_other else main.after[0] if main and main.after else None
    scores = {} if main is None or is_other else {
        name: round(values[0], 4) for name, values in (("before", main.before), ("restored", main.after)) if values
    }
    if main is not None and main.restored:
        scores["fidelity"] = main.fidelity
    return Portrait(
        image, -1, prompt_of(image), likeness=likeness and round(likeness, 4), scores=scores, faces=len(found.faces),
        restored=target if found.count else None,
    )


def _tell(
    found: RestoredPicture, portrait: Portrait, called: str, folder: Path, number: int, emit: EventWriter
) -> None:
    shown = portrait.restored or portrait.path
    emit(SampleMade(str(shown.relative_to(folder)), number, portrait.prompt, portrait.likeness))
    if not found.count:
        emit(Log(text("log.unrestored", file=called, unrestored=found.reason)))
    elif moves(portrait.path):
        emit(Log(text("log.first_picture", file=called)))
