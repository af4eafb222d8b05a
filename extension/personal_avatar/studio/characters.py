"""A character is invented: candidates are made until enough of them show the same face, and those become photos.

job folder/artifacts/  candidates/ what was made    photos/ 001.png ... what shows the character, and captions
"""
from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.captions.files import write_caption
from personal_avatar.domain import Portrait, to_json
from personal_avatar.errors import Cancelled, NoCharacter
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, Stage
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.params import validated
from personal_avatar.photos.alike import Chosen
from personal_avatar.pictures import infotext_of, load_picture, save_picture
from personal_avatar.problems import stated
from personal_avatar.storage import write_json
from personal_avatar.studio.casting import Candidate, Casting, Judges, Made, look_at_new
from personal_avatar.studio.inventing import MARK, InventSettings, InventTask, marked
from personal_avatar.studio.shots import Shot, shots
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

BATCH = 2  # pictures of one shot


def invent(studio: Studio, task: InventTask, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """The work of a job; returns its result document. Raises `NoCharacter`; a `Cancelled` keeps what was found."""
    casting, made, began = _opened(studio, task, folder, emit, control), Made(), time.monotonic()
    try:
        emit(Stage("generate"))
        for _ in _making(casting, made):
            look_at_new(casting, made)
            if made.judges is not None and made.judges.judge.enough(made.faces):
                break
    except Cancelled as error:
        kept = _found(casting, made, began, at_most=True)
        if kept is None:
            raise
        raise Cancelled(error.message, error.hint, kept) from None
    found = _found(casting, made, began)
    if found is None:
        raise _nothing(casting, made)
    return found


def _opened(studio: Studio, task: InventTask, folder: Path, emit: EventWriter, control: Control) -> Casting:
    from personal_avatar.avatars import subject_prompt
    from personal_avatar.domain import Method
    from personal_avatar.names import TRIGGER_TOKEN
    from personal_avatar.studio.sitters import in_its_place, usable_with

    casting = Casting(
        studio, studio.host.checkpoint(), validated(InventSettings, task.settings), task.description,
        f"{TRIGGER_TOKEN} {task.class_noun}", folder, emit, control,
    )
    if not task.avatar_id:
        return casting
    avatar = studio.avatars.load(task.avatar_id)
    point = usable_with(avatar, casting.base, studio.host.folders())
    for sentence in in_its_place(avatar, point, casting.base):
        emit(Log(sentence))
    words = ", ".join(part for part in (subject_prompt(point, 1.0), task.description) if part)
    own = point.path if point.method is Method.DREAMBOOTH else None
    return replace(casting, words=words, avatar=avatar, checkpoint=own, clip_skip=point.clip_skip)


# -- making


def _making(casting: Casting, made: Made) -> Iterator[Candidate]:
    """Pictures in ever new shots."""
    settings, began = casting.settings, time.monotonic()
    first = settings.seed if settings.seed >= 0 else random.SystemRandom().randrange(2**31)
    ways = shots(first, wider=casting.avatar is not None)
    casting.emit(Progress(0, settings.count))
    for start in range(0, settings.count, BATCH):
        seeds = tuple((first + i) % 2**32 for i in range(start, min(start + BATCH, settings.count)))
        shot = next(ways)
        request = _request(casting, shot, seeds)
        for picture in casting.studio.host.generate(request, lambda step, total: casting.control.check()):
            made.candidates.append(_saved(casting, picture, request.prompt, shot, len(made.candidates)))
            done = len(made.candidates)
            casting.emit(Progress(done, settings.count, seconds_per_step=(time.monotonic() - began) / done))
            yield made.candidates[-1]
        casting.control.check()


def _request(casting: Casting, shot: Shot, seeds: tuple[int, ...]) -> PictureRequest:
    settings, native_px = casting.settings, casting.base.native_px
    return PictureRequest(
        prompt=shot.of(casting.words) if settings.vary else casting.words,
        negative_prompt=settings.negative_prompt, seeds=seeds, width_px=settings.width_px or native_px,
        height_px=settings.height_px or native_px, steps=settings.steps, guidance=settings.guidance,
        sampler=settings.sampler, checkpoint=casting.checkpoint, clip_skip=casting.clip_skip,
        infotext=((MARK, casting.base.title),) if casting.shows_nobody else (),
    )


def _saved(casting: Casting, picture: Picture, prompt: str, shot: Shot, number: int) -> Candidate:
    """Where the host saved it, else in the job's folder."""
    path = picture.path
    if path is None:
        target = casting.folder / ARTIFACTS_FOLDER / "candidates" / f"{number:04d}.png"
        path = save_picture(picture.image, target, picture.infotext)
    told = casting.settings.vary and casting.settings.captions
    return Candidate(path, picture.seed, prompt, shot.of(casting.trigger) if told else "")


# -- what came of it


def _found(casting: Casting, made: Made, began: float, at_most: bool = False) -> dict[str, Any] | None:
    """The result document with the photos written; None when there is no character. `at_most`: fewer pictures than were
    wanted will do, and half of those that could be used are asked for."""
    if made.judges is None:
        return None
    casting.emit(Stage("gather"))
    faces, keep = made.faces, casting.settings.keep
    chosen = made.judges.judge.chosen(faces, max(2, min(keep, len(faces) // 2)) if at_most else keep)
    if chosen is None:
        return None
    usable = made.usable
    kept = [_photo(casting, usable[at], number) for number, at in enumerate(chosen.members, 1)]
    portraits = [
        Portrait(path, usable[at].seed, usable[at].prompt, likeness=likeness, faces=1)
        for path, at, likeness in zip(kept, chosen.members, chosen.likeness, strict=True)
    ]
    document = _document(casting, made, made.judges, chosen, portraits)
    document["seconds"] = round(time.monotonic() - began, 1)
    write_json(casting.folder / ARTIFACTS_FOLDER / "character.json", document)
    casting.emit(Log(_sentence(chosen, len(made.candidates))))
    return document


def _photo(casting: Casting, candidate: Candidate, number: int) -> Path:
    """A photo for a training: the picture with its origin, and its caption beside it."""
    path = casting.folder / ARTIFACTS_FOLDER / "photos" / f"{number:03d}.png"
    infotext = infotext_of(candidate.path)
    infotext = marked(infotext, casting.base.title) if casting.shows_nobody else infotext
    save_picture(load_picture(candidate.path), path, infotext)
    if candidate.caption:
        write_caption(path, candidate.caption, overwrite=True)
    return path


def _document(
    casting: Casting, made: Made, judges: Judges, chosen: Chosen, portraits: list[Portrait]
) -> dict[str, Any]:
    return {
        "model_id": casting.avatar.id if casting.avatar else "",
        "images": [to_json(portrait) for portrait in portraits],
        "similarity": chosen.similarity, "runner_up": chosen.runner_up, "needed": round(judges.judge.needed, 4),
        "made": len(made.candidates), "usable": len(made.usable), "recogniser": judges.analyser.name,
        "look": judges.look.value, "checkpoint": casting.base.title, "description": casting.words,
    }


def _sentence(chosen: Chosen, made: int) -> str:
    kept: dict[str, Any] = {"number": len(chosen.members), "total": made, "score": f"{chosen.similarity:.2f}"}
    if chosen.runner_up is None:
        return text("log.character", **kept)
    return text("log.character_next", **kept, other_score=f"{chosen.runner_up:.2f}")


def _nothing(casting: Casting, made: Made) -> NoCharacter:
    seen = {"count": len(made.candidates), "number": len(made.usable)}
    if casting.avatar is not None:
        who = casting.avatar.name
        return stated(NoCharacter, "failure.no_character_like", "remedy.character", who=who, **seen)
    return stated(NoCharacter, "failure.no_character", "remedy.character", keep=casting.settings.keep, **seen)
