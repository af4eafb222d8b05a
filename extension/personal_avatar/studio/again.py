"""More pictures like one that was made: what its job was asked for, once more, with new seeds."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Consent, Style, from_json
from personal_avatar.errors import WrongState
from personal_avatar.studio.oneshot import Neighbour, OneShot

if TYPE_CHECKING:
    from personal_avatar.jobs.store import Job
    from personal_avatar.studio.requests import CreateRequest

OWN_PROMPT = "prompt"  # the id of a style that the user wrote


def request_like(job: Job, style_id: str, folder: Path, count: int) -> CreateRequest:
    """The request that a job of portraits answered, for one of its styles. `folder`: the job's own, with its photos.

    Raises `WrongState` when the style is not among the job's.
    """
    from personal_avatar.studio.creating import CreateTask
    from personal_avatar.studio.requests import CreateRequest

    task = from_json(CreateTask, job.payload)
    style = next((style for style in task.styles if style.id == style_id), None)
    if style is None:
        raise WrongState("It is not known how this picture was made.", "Make new ones in the panel Create.")
    settings = {**task.settings, "seed": -1, "count": count}
    words = worded(style, task.negative_prompt)
    wish = CreateRequest(avatar_id=task.avatar_id, user_id=job.user_id, settings=settings, **words)
    return _with_people(wish, task.one_shot, folder / "photos")


def worded(style: Style, unwanted: str) -> dict[str, Any]:
    """What a `CreateRequest` says of one of a job's styles. `unwanted`: the negative prompt of the job."""
    if style.id == OWN_PROMPT:
        return {"prompt": style.prompt, "negative_prompt": style.negative_prompt}
    return {"styles": (style.id,), "negative_prompt": unwanted}


def _with_people(wish: CreateRequest, one: OneShot, photos: Path) -> CreateRequest:
    """The same with the photos that the job keeps, and the consent that was given for them."""
    neighbours = tuple(
        Neighbour(tuple(photos / name for name in other.references), other.class_noun, other.box)
        for other in one.neighbours
    )
    return replace(
        wish, references=tuple(photos / name for name in one.references), identity=one.identity,
        image=photos / one.image if one.image else None, strength=one.strength,
        pose=photos / one.pose if one.pose else None, class_noun=one.class_noun, neighbours=neighbours, box=one.box,
        file=one.file,
        **_consented(one.consent),
    )


def _consented(consent: Consent | None) -> dict[str, Any]:
    if consent is None:
        return {"consent": ""}
    return {"consent": consent.statement, "stated_by": consent.given_by, "door": consent.door}
