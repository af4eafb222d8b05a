"""Use cases: a character that does not exist, from a description to photos that a training can learn from."""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Avatar
from personal_avatar.errors import InvalidSettings, UnreadablePhoto, WrongState
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.names import checked_noun
from personal_avatar.params import Settings, setting, validated
from personal_avatar.pictures import GENERATED, infotext_of, source_of
from personal_avatar.problems import stated
from personal_avatar.studio.works import INVENT

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

LONGEST = 1000
# In the infotext of every candidate: the checkpoint that made it.
MARK = "Invented with"
NOBODY = "Nobody is in these pictures"  # so begins what stands in place of a consent
_MARKED = re.compile(rf"{MARK}: (?:\"([^\"]*)\"|([^,\n]*))")


class InventSettings(Settings):
    """How many candidates are made, and when they are the same character.

    `count`: most that are made; it ends sooner when `keep` of them are alike enough. `similarity`: mean cosine from
    which they are (0: by the recogniser's own limits). `vary`: distance, pose, expression, light and place differ from
    picture to picture; else the description stands alone. `captions`: these words become text files beside the photos;
    without them a training uses its template, which is learned sooner: 200 steps of avatar-tiny on nine pictures raised
    the likeness from .53 to .67 with the template and to .55 with captions. Sizes 0: the checkpoint's own.
    """

    count: int = setting(40, "invent.count", ge=4, le=400, step=1)
    keep: int = setting(12, "invent.keep", ge=3, le=100, step=1)
    similarity: float = setting(0.0, "invent.similarity", ge=0.0, le=1.0, step=0.01, advanced=True)
    vary: bool = setting(True, "invent.vary", advanced=True)
    captions: bool = setting(False, "invent.captions", advanced=True)
    negative_prompt: str = setting("", "create.negative", max_length=LONGEST, advanced=True)
    steps: int = setting(20, "create.steps", ge=1, le=150, step=1, advanced=True)
    guidance: float = setting(5.0, "create.guidance", ge=1.0, le=30.0, step=0.5, advanced=True)
    width_px: int = setting(0, "create.width", ge=0, le=2048, step=64, advanced=True, unit="px")
    height_px: int = setting(0, "create.height", ge=0, le=2048, step=64, advanced=True, unit="px")
    sampler: str = setting("DPM++ 2M", "create.sampler", max_length=60, advanced=True)
    seed: int = setting(-1, "create.seed", ge=-1, le=2**32 - 1, step=1, advanced=True)


@dataclass(frozen=True)
class InventRequest:
    """A description of somebody who does not exist; or, with `avatar_id`, more pictures of one who was trained already,
    in new poses and places. `settings`: what else differs from the defaults of `InventSettings`."""

    description: str = ""
    class_noun: str = "person"
    count: int = 40
    keep: int = 12
    seed: int = -1
    avatar_id: str = ""
    user_id: str = "local"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def all_settings(self) -> dict[str, Any]:
        return {"count": self.count, "keep": self.keep, "seed": self.seed, **self.settings}


@dataclass(frozen=True)
class InventTask:
    """Payload of a job. `settings`: validated `InventSettings` as a dict."""

    description: str
    class_noun: str
    avatar_id: str
    settings: dict[str, Any]


class Invention:
    """What the doors may ask about characters that do not exist."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def start(self, request: InventRequest) -> Job:
        """Put the invention into the queue. Raises, before anything starts, when the description, the settings, the
        avatar or the checkpoint cannot work."""
        studio = self._studio
        studio.queue.refuse_when_full()
        settings: InventSettings = validated(InventSettings, request.all_settings)
        if settings.keep > settings.count:
            raise InvalidSettings(f"keep must be at most count, got {settings.keep} of {settings.count}.")
        studio.host.refuse_unknown(settings.sampler, request.description)
        avatar = studio.avatars.find(request.avatar_id, request.user_id) if request.avatar_id else None
        description = _described(request.description, needed=avatar is None)
        self._refuse(avatar)
        noun = avatar.class_noun if avatar else checked_noun(request.class_noun)
        task = InventTask(description, noun, avatar.id if avatar else "", settings.dict())
        return studio.submit(INVENT, task, avatar, user_id=request.user_id, title=_title(description))

    def _refuse(self, avatar: Avatar | None) -> None:
        """Raises what the checkpoint and the avatar cannot do."""
        from personal_avatar.studio.sitters import usable_with

        base = self._studio.host.checkpoint()
        if avatar is None:
            return
        usable_with(avatar, base, self._studio.host.folders())
        if not avatar.reference:
            raise stated(WrongState, "failure.faceless", "remedy.somebody", who=avatar.name)
        self._studio.analyser(avatar.recogniser)

    # -- what came of it

    def kept(self, job_id: str) -> tuple[Path, ...]:
        """The pictures that show one character, the most typical first; their captions lie beside them.

        Raises `NotFound`, `WrongState` for another kind of job or one that has found nothing yet.
        """
        view = self._studio.jobs.view(job_id)
        if view.job.kind != INVENT or not view.result:
            raise WrongState("This job has found no character.", "Wait for its end, or start another one.")
        return tuple(path for image in view.result["images"] if (path := Path(image["path"])).is_file())

    def photos(self, job_id: str) -> tuple[Path, ...]:
        """What a training should learn from: the avatar's own photos first where there is one, then those kept."""
        view, kept = self._studio.jobs.view(job_id), self.kept(job_id)
        if not view.job.avatar_id:
            return kept
        return (*self._studio.avatars.photos(view.job.avatar_id), *kept)

    def statement(self, photos: Iterable[Path]) -> str:
        """What stands in place of a person's consent; see `statement_of`."""
        return statement_of(photos)

    def runs(self, avatar_id: str | None = None) -> list[JobView]:
        """Inventions that found somebody, newest first."""
        views = self._studio.jobs.views(kind=INVENT, avatar_id=avatar_id)
        return [view for view in views if view.result]


def statement_of(photos: Iterable[Path]) -> str:
    """What stands in place of a person's consent when nobody is in any of these pictures: "invented, made by ...".

    Empty as soon as one of them was not made by an invention here.
    """
    checkpoints = []
    for photo in photos:
        if not (checkpoint := _invented_with(photo)):
            return ""
        checkpoints.append(checkpoint)
    made_by = ", ".join(sorted(set(checkpoints)))
    return f"{NOBODY}: the character was invented, made by {made_by}." if checkpoints else ""


def _invented_with(photo: Path) -> str:
    """The checkpoint that a candidate names; empty for any other picture."""
    try:
        found = _MARKED.search(infotext_of(photo)) if source_of(photo) == GENERATED else None
    except (OSError, ValueError, SyntaxError, UnreadablePhoto):
        return ""
    return (found.group(1) or found.group(2) or "").strip() if found else ""


def marked(infotext: str, title: str) -> str:
    """An infotext that names the checkpoint that invented the picture."""
    if _MARKED.search(infotext):
        return infotext
    said = f'{MARK}: "{title.replace(chr(34), "")}"' if set(title) & set(',:\n"') else f"{MARK}: {title}"
    return f"{infotext}, {said}" if infotext else said


def _described(description: str, needed: bool) -> str:
    words = " ".join(description.split())
    if needed and not words:
        raise stated(InvalidSettings, "refusal.nodescription", "refusal.nodescription.hint")
    if len(words) > LONGEST:
        said = f"The description has {len(words)} characters; at most {LONGEST} are possible."
        raise InvalidSettings(said, "Shorten it.")
    return words


def _title(description: str, most: int = 60) -> str:
    return description if len(description) <= most else f"{description[: most - 1].rstrip()}…"
