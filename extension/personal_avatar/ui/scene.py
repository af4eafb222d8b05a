"""What one refresh of the page sees: read once, shown in all panels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Avatar, BaseModelFile
from personal_avatar.errors import AvatarError, named
from personal_avatar.jobs.states import ACTIVE, ENDED
from personal_avatar.jobs.store import JobView
from personal_avatar.studio import Studio
from personal_avatar.studio.oneshot import IdentityStatus
from personal_avatar.studio.works import CREATE, INVENT, RANK, RESTORE, TRAIN
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.story import Told, told
from personal_avatar.ui.texts import text
from personal_avatar.ui.working import Working

NOBODYS = {RANK: "tab.rank", RESTORE: "restored.pictures"}


class JobWatch:
    """Reads jobs; those that have ended do not change, so they are read once."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._ended: dict[str, JobView] = {}
        self._told: dict[str, Told] = {}

    def views(self) -> list[JobView]:
        """All jobs, newest first."""
        return [view for job_id in reversed(self._studio.jobs.ids()) if (view := self._view(job_id)) is not None]

    def _view(self, job_id: str) -> JobView | None:
        if job_id in self._ended:
            return self._ended[job_id]
        try:
            view = self._studio.jobs.view(job_id)
        except (AvatarError, OSError, ValueError):
            return None
        if view.status.state in ENDED:
            self._ended[job_id] = view
        return view

    def told(self, view: JobView) -> Told:
        """What a job has told until now; kept when it has ended, as it tells nothing more."""
        job_id = view.job.id
        if job_id in self._told:
            return self._told[job_id]
        found = told(self._studio.jobs.folder(job_id))
        if view.status.state in ENDED:
            self._told[job_id] = found
        return found


class Scene:
    """`values` are what the components that steer the display hold, by the names under which they were registered."""

    def __init__(
        self, studio: Studio, desk: Desk, watch: JobWatch, language: str, key: str, values: dict[str, Any]
    ) -> None:
        self.studio, self.desk, self.language, self.key, self.values = studio, desk, language, key, values
        self._watch = watch
        self._stories: dict[str, Told] = {}

    def say(self, key: str, **values: object) -> str:
        return text(key, self.language, **values)

    def title(self, view: JobView) -> str:
        """Whose job it is; of pictures of nobody who has a name, what makes such."""
        if view.job.avatar_id or view.job.kind in (INVENT, CAPTION):
            return view.job.title
        return self.say(NOBODYS.get(view.job.kind, "tab.one_photo"))

    @cached_property
    def draft(self) -> Draft:
        return self.desk.draft(self.key)

    @property
    def checking(self) -> Working | None:
        return self.desk.checking(self.key)

    @cached_property
    def views(self) -> list[JobView]:
        return self._watch.views()

    def told(self, view: JobView) -> Told:
        if view.job.id not in self._stories:
            self._stories[view.job.id] = self._watch.told(view)
        return self._stories[view.job.id]

    @cached_property
    def avatars(self) -> list[Avatar]:
        """Avatars that can be put into pictures."""
        return [avatar for avatar in self.studio.avatars.all() if avatar.best is not None]

    @cached_property
    def never_trained(self) -> set[str]:
        """Ids of the others: photos were given, but no training has come to anything."""
        return {avatar.id for avatar in self.studio.avatars.all() if avatar.best is None}

    @cached_property
    def checkpoint(self) -> BaseModelFile | AvatarError:
        try:
            return self.studio.host.checkpoint()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return named(error)

    @property
    def active(self) -> list[JobView]:
        return [view for view in self.views if view.status.state in ACTIVE]

    @cached_property
    def possible(self) -> IdentityStatus | AvatarError:
        """What can be done without training."""
        try:
            return self.studio.identity_status()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return named(error)

    @cached_property
    def pose_problem(self) -> str:
        """Why no pose can be taken from a picture; "" when it can."""
        try:
            return self.studio.host.pose_problem()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return str(named(error))

    @property
    def busy(self) -> bool:
        """Whether the page should look again soon."""
        return bool(self.active) or self.desk.work.busy(self.key)

    @property
    def training(self) -> JobView | None:
        """The training to show: the one that runs, else the next to run, else the last that ended."""
        return _foremost(self.views, TRAIN)

    @property
    def creating(self) -> JobView | None:
        """The same of portraits of trained people."""
        return _foremost([view for view in self.views if not untrained(view)], CREATE)

    @property
    def restyling(self) -> JobView | None:
        """The same of portraits for which nobody was trained."""
        return _foremost([view for view in self.views if untrained(view)], CREATE)

    @property
    def inventing(self) -> JobView | None:
        """The same of characters that do not exist."""
        return _foremost(self.views, INVENT)

    @property
    def ranking(self) -> JobView | None:
        """The same of existing pictures that are put in order."""
        return _foremost(self.views, RANK)

    @property
    def results(self) -> list[JobView]:
        """Portrait jobs with pictures, newest first."""
        return [view for view in self.views if view.job.kind == CREATE and (view.result or {}).get("images")]


def untrained(view: JobView) -> bool:
    """Whether a job makes portraits of whoever is in some photos."""
    return (view.job.payload.get("one_shot") or {}).get("identity") is not None


def _foremost(views: list[JobView], kind: str) -> JobView | None:
    mine = [view for view in views if view.job.kind == kind]
    running = [view for view in mine if view.status.started_at and view.status.state in ACTIVE]
    waiting = [view for view in mine if view.status.state in ACTIVE]
    return next(iter(running or waiting[::-1] or mine), None)
