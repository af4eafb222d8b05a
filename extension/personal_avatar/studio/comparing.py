"""The same photos through several methods, and through none: what is begun, what is left out, what came of it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import ONE_PHOTO, Avatar, Engine, Goal, Method
from personal_avatar.errors import AvatarError, InvalidSettings, PlanTooLarge
from personal_avatar.identities import IdentitySettings
from personal_avatar.jobs.states import ENDED
from personal_avatar.jobs.store import Job
from personal_avatar.photos.enough import refuse_few
from personal_avatar.photos.settings import IGNORED
from personal_avatar.problems import refused
from personal_avatar.studio import oneshot
from personal_avatar.studio.compared import compared, language_of, views_of
from personal_avatar.studio.plans import WAYS, Share, shared_out, taken_by, unknown_to
from personal_avatar.studio.requests import PAGE, TrainRequest, labels, photos_meant
from personal_avatar.studio.trainings import Ground, refuse_values
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.planning.plan import TrainPlan, photos_as
from personal_avatar.training.planning.task import OnePhotoTask, TrainTask
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.reports.comparison import Row
    from personal_avatar.studio.studio import Studio


@dataclass(frozen=True)
class Compared:
    """`jobs` that were put into the queue, in their order. `left_out`: what was wanted besides, and why it is not among
    them. `shares`: which of the user's settings each way takes."""

    jobs: tuple[Job, ...]
    left_out: Mapping[str, AvatarError] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)


class Comparing:
    """Of one studio."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def start(self, request: TrainRequest, ways: Sequence[str] = WAYS) -> Compared:
        """The same photos through several methods, and through none (`ONE_PHOTO`), one after the other; see `rows`. A
        method that needs more memory than there is, is left out; so are the photos alone, where nothing can be made of
        them.

        Of `request.plan` each takes what it has and what suits it (`plans`). Raises what `Trainings.start` raises; why
        a way is left out when nothing else is wanted; then, as that takes a look at each photo, `TooFewPhotos` where
        too few can be used: all before anything starts.
        """
        wanted, trainings = _known(ways), self._studio.trainings
        each = [_by(way, request, taken_by(way, request.plan)) for way in wanted]
        refuse_values(request, each, unknown_to(wanted, request.plan))
        request = request.taken()
        shares = shared_out(request.plan, wanted, trainings.base_of(request))
        lacking = self.lacks_one_photo(request) if ONE_PHOTO in wanted else None
        left_out = {} if lacking is None else {ONE_PHOTO: lacking}
        requests = {way: _by(way, request, shares[way].plan) for way in wanted if way not in left_out}
        grounds = dict(zip(requests, trainings.possible(list(requests.values())), strict=True)) if requests else {}
        left_out |= self._too_large(requests, grounds)
        going = {way: one for way, one in requests.items() if way not in left_out}
        if not going:
            raise next(iter(left_out.values()))
        trainings.avatar_of(request)
        self._refuse_few(request, grounds[next(iter(going))].plan)
        with self._studio.starting:
            return Compared(self._submit(going, grounds), left_out, shares)

    def _submit(self, going: Mapping[str, TrainRequest], grounds: Mapping[str, Ground]) -> tuple[Job, ...]:
        """All or none; what the photos do alone comes last."""
        ways = sorted(going, key=lambda way: way == ONE_PHOTO)
        tasks = self._studio.trainings.tasks([going[way] for way in ways], [grounds[way] for way in ways])
        named = labels(tasks[0].avatar, going[ways[0]].user_id)
        payloads = [
            (ONE_PHOTO, self._untrained(task)) if way == ONE_PHOTO else (TRAIN, task)
            for way, task in zip(ways, tasks, strict=True)
        ]
        return tuple(self._studio.queue.submit(kind, payload, **named) for kind, payload in payloads)

    def _untrained(self, task: TrainTask) -> OnePhotoTask:
        folders = self._studio.host.folders()
        cache = oneshot.cache_of(folders)
        return OnePhotoTask(task, folders.identity_folders, cache, oneshot.MAX_REFERENCES)

    def _refuse_few(self, request: TrainRequest, plan: TrainPlan) -> None:
        """Raise `TooFewPhotos`, as each of the jobs would: they have the same photos and the same goal."""
        wanted = photos_as(plan, request.photo_settings).dict()
        found = self._studio.check_photos(
            request.photos, wanted, choices=request.choices, remember=request.door == PAGE
        )
        refuse_few(found, plan.min_photos, plan.is_style)

    def _too_large(self, requests: Mapping[str, TrainRequest], grounds: Mapping[str, Ground]) -> dict[str, AvatarError]:
        """Methods that need more memory than there is, and what they need."""
        found: dict[str, AvatarError] = {}
        for way, request in requests.items():
            if way == ONE_PHOTO:
                continue
            try:
                self._studio.sizing.refuse_too_large(request, grounds[way].base)
            except PlanTooLarge as error:
                found[way] = error
        return found

    def lacks_one_photo(self, request: TrainRequest) -> AvatarError | None:
        """Why nothing can be made of these photos without training, and what to do about it; None when it can."""
        chosen = photos_meant(request.class_noun, request.photo_settings)
        if request.plan.get("goal") == Goal.STYLE.value or chosen.get("faces") == IGNORED:
            return refused("problem.faceless", "remedy.faceless")
        base = self._studio.trainings.base_of(request)
        try:
            oneshot.parts_for(oneshot.shelf_of(self._studio.host.folders()), IdentitySettings(), base)
        except AvatarError as error:
            return error
        return None

    def rows(self, avatar_id: str) -> list[Row]:
        """What each method, and the photos alone, made of the photos and the checkpoint of the avatar's last training,
        best first; see `compared`."""
        return compared(views_of(self._studio.jobs, avatar_id, ENDED))

    def sheet(self, avatar: Avatar) -> bytes:
        """The same with pictures, as a PNG, in the language of the newest of these jobs."""
        from personal_avatar.pictures import EDITED, encoded, sealed
        from personal_avatar.reports.comparison_sheet import comparison_sheet

        views = list(views_of(self._studio.jobs, avatar.id, ENDED))
        sheet = comparison_sheet(avatar.name, compared(views), language_of(views))
        return sealed(encoded(sheet, "png", source=EDITED), "comparison.png", EDITED)


def way_of(job: Job) -> str:
    """Of a job that is compared: the code of its method, or that of photos alone."""
    return str(job.payload.get("method", job.kind))


def _known(ways: Sequence[str]) -> tuple[str, ...]:
    """Each once; raises `InvalidSettings` for none, and for one that there is not."""
    wanted = tuple(dict.fromkeys(way.value if isinstance(way, Method) else way for way in ways))
    if not wanted:
        raise InvalidSettings("No method was chosen.", f"Choose among {', '.join(WAYS)}.")
    if strangers := [way for way in wanted if way not in WAYS]:
        there = text("remedy.there_are", names=", ".join(WAYS))
        raise InvalidSettings(f"There is no method {strangers[0]!r}.", there)
    return wanted


def _by(way: str, request: TrainRequest, plan: Mapping[str, Any]) -> TrainRequest:
    """With those settings; photos alone are measured on the grid of a LoRA, ours."""
    if way == ONE_PHOTO:
        return replace(request, method=Method.LORA, engine=Engine.DIFFUSERS, plan=dict(plan))
    return replace(request, method=Method(way), plan=dict(plan))
