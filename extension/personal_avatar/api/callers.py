"""Who sees what. Every route is asked through here, so that none can forget it.

A person (an account of the page) acts for the user of that name and for nobody else; services act for all, and can
limit what one call sees by `user_id`. What belongs to another user is answered like what is not there. A folder of the
machine is nobody's own: the photos of all users lie in some, so that persons can name none.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from typing import Any, get_type_hints

from fastapi import Query
from starlette.responses import Response

from personal_avatar.api.bodies import WORDS, JobBody, PriorityBody
from personal_avatar.api.guard import person_of
from personal_avatar.api.intake import BoundedRequest
from personal_avatar.api.problems import Forbidden
from personal_avatar.api.repeats import KEY, Ask, Repeats
from personal_avatar.errors import InvalidSettings, NotFound
from personal_avatar.names import same_name
from personal_avatar.problems import stated
from personal_avatar.studio import Studio
from personal_avatar.studio.creating import tags

JOBS = ("job_id", "before")  # parameters that name a job
IDS = ("job_id", "model_id")  # what belongs to somebody, by the name of the place in a path
USER = Query(
    None, min_length=1, max_length=200, regex=WORDS,
    description="Only what is this user's; the rest is as if it were not there. An account of the page is its own user",
)
Endpoint = Callable[..., Any]


class Sight:
    """What one user may see."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def job(self, job_id: str, user: str) -> None:
        """Raises `NotFound` for a job of another user."""
        if self._studio.jobs.view(job_id).job.user_id != user:  # also of a damaged job it is known
            raise stated(NotFound, "failure.no_job", "remedy.list_of_jobs", job=repr(job_id))

    def model(self, name_or_id: str, user: str) -> str:
        """The id of the user's avatar with this id or name; raises `NotFound`."""
        return self._studio.avatars.own(name_or_id, user).id

    def anybodys_model(self, name_or_id: str) -> str:
        """The id of the avatar with this id, else of the only one of this name; raises `InvalidSettings` where several
        users have one. Whether there is any is seen by whoever uses it."""
        avatars = self._studio.avatars
        with suppress(NotFound):
            return avatars.folder(name_or_id).name
        found = [avatar.id for avatar in avatars.all() if same_name(avatar.name, name_or_id)]
        if len(found) > 1:
            said = f"{len(found)} avatars are called {name_or_id!r}: {', '.join(found)}."
            raise InvalidSettings(said, "Give the id of one, or user_id.")
        return found[0] if found else name_or_id

    def limit(self, person: str, values: dict[str, Any]) -> None:
        """Hold the values of a call to what its user may see, avatars by their ids; raises `Forbidden`, `NotFound`."""
        body: Any = values.get("body")
        user = _own(person, values["user_id"] if "user_id" in values else _user_of(body))
        if person and "user_id" in values:
            values["user_id"] = person
        elif person and isinstance(body, JobBody):
            body.user_id = person
            _refuse_first(person, body)
            _refuse_folder(person, body)
        if user is None:
            if "model_id" in values:
                values["model_id"] = self.anybodys_model(values["model_id"])
            return
        for name in JOBS:
            if values.get(name):
                self.job(values[name], user)
        if "model_id" in values:
            values["model_id"] = self.model(values["model_id"], user)  # a name may be the id of another's
        if getattr(body, "model_id", ""):
            body.model_id = self.model(body.model_id, user)
        if person and isinstance(body, PriorityBody):
            _refuse_first(person, body)
        if isinstance(body, JobBody):
            self.refuse_others(body, user)

    def refuse_others(self, body: JobBody, user: str) -> None:
        """Raises `NotFound` where a prompt names the trained file of somebody else's avatar."""
        named = self._studio.restoring.named_in("\n".join(_prompts(body)), any_weight=True)
        if any(avatar.user_id != user for avatar in named):
            raise NotFound("A network that the prompt names is not there.", "Take it out of the prompt.")


def _refuse_first(person: str, body: JobBody | PriorityBody) -> None:
    if body.priority > 0:
        raise Forbidden(f"{person} cannot go before others.", "Leave priority out, or give 0 or less.")


def _prompts(body: JobBody) -> list[str]:
    """What of a body gets into prompts."""
    settings = getattr(body, "settings", {})
    texts = [getattr(body, name, "") for name in ("prompt", "negative_prompt", "description")]
    return [text for text in (*texts, *tags(str(settings.get("loras", ""))), *settings.values())
            if isinstance(text, str) and text.strip()]


def _refuse_folder(person: str, body: JobBody) -> None:
    if getattr(body, "folder", ""):
        raise Forbidden(f"{person} cannot name folders of this machine.", "Send the pictures.")


def _own(person: str, user: str | None) -> str | None:
    """For whom it is done, None: for all. Raises `Forbidden` when a person names somebody else."""
    if person and user not in (None, person):
        raise Forbidden(f"{person} cannot act for another user.")
    return person or user


def _user_of(body: Any) -> str | None:
    """The user that a body names; what it leaves to the default is nobody's name."""
    return body.user_id if "user_id" in getattr(body, "__fields_set__", ()) else None


def for_callers(endpoint: Endpoint, studio: Studio, path: str) -> Endpoint:
    """The same endpoint for FastAPI, asked only for what its caller may see; jobs are started once a key."""
    hints = get_type_hints(endpoint)
    own = {name: one.default for name, one in inspect.signature(endpoint).parameters.items()}
    starts = isinstance(hints.get("body"), type) and issubclass(hints["body"], JobBody)
    more: dict[str, tuple[Any, Any]] = {"request": (BoundedRequest, inspect.Parameter.empty)}
    if any(f"{{{name}}}" in path for name in IDS):
        more["user_id"] = (str | None, USER)
    if starts:
        more |= {"idempotency_key": (str | None, KEY), "response": (Response, inspect.Parameter.empty)}
    sight, repeats = Sight(studio), Repeats(studio)

    @wraps(endpoint)
    def limited(request: BoundedRequest, **values: Any) -> Any:
        sight.limit(person_of(request), values)
        call = partial(endpoint, **{name: value for name, value in values.items() if name in own})
        if not starts:
            return call()
        body: JobBody = values["body"]
        ask = Ask(values["idempotency_key"] or "", body.user_id, request.digest, body.callback_url, body.priority)
        return repeats.once(ask, hints["return"], call, values["response"])

    everything = {**more, **{name: (hints[name], default) for name, default in own.items()}}
    limited.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
         for name, (kind, default) in everything.items()],
        return_annotation=hints["return"],
    )
    return limited
