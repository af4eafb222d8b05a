"""What one refresh of the page sees: read once, shown in all panels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Avatar, BaseModelFile
from personal_avatar.errors import AvatarError, NotFound, NotReadable
from personal_avatar.jobs.states import ACTIVE, ENDED, State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio import Studio
from personal_avatar.studio.oneshot import IdentityStatus
from personal_avatar.studio.works import CREATE, INVENT, RANK, RESTORE, TRAIN, manner
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.refusal import failed_here
from personal_avatar.ui.story import Told, told
from personal_avatar.ui.texts import text
from personal_avatar.ui.working import Working

NOBODYS = {RANK: "tab.rank", RESTORE: "restored.pictures"}
LISTED = 50  # jobs in the list
OF_A_KIND = 500  # jobs of a kind that the other panels choose from, the newest


class JobWatch:
    """Keeps what jobs told that have ended: they tell nothing more, unless they are taken up again."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._told: dict[tuple[str, float | None], Told] = {}

    def told(self, view: JobView) -> Told:
        """What a job has told until now."""
        known = view.job.id, view.status.ended_at
        if known in self._told:
            return self._told[known]
        found = told(self._studio.jobs.folder(view.job.id))
        if view.status.state in ENDED:
            self._told[known] = found
        return found


class Scene:
    """`values` are what the components that steer the display hold, by the names under which they were registered;
    `own`: names of those that the user changed himself, of what was only proposed."""

    def __init__(
        self, studio: Studio, desk: Desk, watch: JobWatch, language: str, key: str, values: dict[str, Any]
    ) -> None:
        self.studio, self.desk, self.language, self.key, self.values = studio, desk, language, key, values
        self.own: frozenset[str] = frozenset()
        self._watch = watch
        self._stories: dict[str, Told] = {}
        self._kinds: dict[str, list[JobView]] = {}

    def say(self, key: str, **values: object) -> str:
        return text(key, self.language, **values)

    def title(self, view: JobView) -> str:
        """Whose job it is, and how a training is done; of pictures of nobody who has a name, what makes such."""
        if view.job.avatar_id or view.job.kind in (INVENT, CAPTION):
            return " · ".join(part for part in (view.job.title, manner(view.job, self.language)) if part)
        return self.say(NOBODYS.get(view.job.kind, "tab.one_photo"))

    @cached_property
    def draft(self) -> Draft:
        return self.desk.draft(self.key)

    @property
    def checking(self) -> Working | None:
        return self.desk.checking(self.key)

    @cached_property
    def views(self) -> list[JobView]:
        """The newest jobs, and older ones that have not ended."""
        newest = self.studio.jobs.views(limit=LISTED)
        known = {view.job.id for view in newest}
        return newest + [view for view in self.active if view.job.id not in known]

    def of_kind(self, kind: str) -> list[JobView]:
        """The newest jobs of a kind, newest first."""
        if kind not in self._kinds:
            self._kinds[kind] = self.studio.jobs.views(kind=kind, limit=OF_A_KIND)
        return self._kinds[kind]

    def view(self, job_id: str) -> JobView | None:
        """Any job; None when it is gone."""
        try:
            return self.studio.jobs.view(job_id) if job_id else None
        except NotFound:
            return None

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
    def damaged_avatars(self) -> list[str]:
        """Ids of those whose file is no avatar's, so that they are in no list; none where that cannot be read now."""
        try:
            return self.studio.avatars.damaged()
        except NotReadable:
            return []

    @cached_property
    def checkpoint(self) -> BaseModelFile | AvatarError:
        try:
            return self.studio.host.checkpoint()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return failed_here(error)

    @cached_property
    def active(self) -> list[JobView]:
        """Jobs that have not ended, newest first."""
        return self.studio.jobs.views(states=ACTIVE)

    @property
    def foremost(self) -> list[JobView]:
        """The same: those that run, those that wait in the order of their turns, those that rest."""
        return _in_order(self.active)

    @cached_property
    def possible(self) -> IdentityStatus | AvatarError:
        """What can be done without training."""
        try:
            return self.studio.identity_status()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return failed_here(error)

    @cached_property
    def pose_problem(self) -> str:
        """Why no pose can be taken from a picture; "" when it can."""
        try:
            return self.studio.host.pose_problem()
        except Exception as error:  # noqa: BLE001  the border: a host in trouble is shown, not raised
            return str(failed_here(error))

    @property
    def busy(self) -> bool:
        """Whether the page should look again soon; a paused job waits for the user."""
        goes_on = any(view.status.state is not State.PAUSED for view in self.active)
        return goes_on or self.desk.work.busy(self.key)

    @property
    def training(self) -> JobView | None:
        """The training to show: the one that runs, else the next to run, else a paused one, else the last."""
        return _foremost(self.of_kind(TRAIN))

    @property
    def creating(self) -> JobView | None:
        """The same of portraits of trained people."""
        return _foremost([view for view in self.of_kind(CREATE) if not untrained(view)])

    @property
    def restyling(self) -> JobView | None:
        """The same of portraits for which nobody was trained."""
        return _foremost([view for view in self.of_kind(CREATE) if untrained(view)])

    @property
    def inventing(self) -> JobView | None:
        """The same of characters that do not exist."""
        return _foremost(self.of_kind(INVENT))

    @property
    def ranking(self) -> JobView | None:
        """The same of existing pictures that are put in order."""
        return _foremost(self.of_kind(RANK))

    @property
    def results(self) -> list[JobView]:
        """Portrait jobs with pictures, newest first."""
        return [view for view in self.of_kind(CREATE) if has_pictures(view)]


def has_pictures(view: JobView) -> bool:
    """Whether a job's pictures are among the results."""
    return view.job.kind == CREATE and bool((view.result or {}).get("images"))


def untrained(view: JobView) -> bool:
    """Whether a job makes portraits of whoever is in some photos."""
    return (view.job.payload.get("one_shot") or {}).get("identity") is not None


def _foremost(mine: list[JobView]) -> JobView | None:
    return next(iter(_in_order(mine) or mine), None)


def _in_order(views: list[JobView]) -> list[JobView]:
    """Without those that have ended."""
    running, waiting, paused = (
        [view for view in views if view.status.state is state] for state in (State.RUNNING, State.QUEUED, State.PAUSED)
    )
    return [*running, *sorted(waiting, key=lambda view: view.position), *paused]
