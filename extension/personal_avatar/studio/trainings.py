"""Photos become an avatar: trainings are asked for here, and refused when they cannot work."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.captions.files import refuse_unusable
from personal_avatar.domain import Avatar, BaseModelFile, Engine, Goal, Method
from personal_avatar.errors import ConsentMissing, WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.names import checked_name, checked_noun
from personal_avatar.params import refuse_together, validated
from personal_avatar.photos import kohya
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import all_refused, stated
from personal_avatar.storage import sha256_of
from personal_avatar.studio.compared import newest_first, views_of
from personal_avatar.studio.inventing import statement_of
from personal_avatar.studio.lacking import refuse_lacking
from personal_avatar.studio.requests import (
    STYLE_NOUN,
    TrainRequest,
    labels,
    means_style,
    meant,
    refuse_count,
    refuse_language,
)
from personal_avatar.studio.results import drop_unneeded
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.planning.fitness import refuse_unfit
from personal_avatar.training.planning.plan import (
    ORIGINS,
    PLANS,
    TrainPlan,
    plan_for,
    refuse_endless_warmup,
    refuse_taken,
)
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

TURN = (State.RUNNING, State.QUEUED, State.PAUSED)  # of jobs that stand in the way of another: which is named first


@dataclass(frozen=True)
class Ground:
    """What a training stands on: its checkpoint, its plan, and a sentence for all that its engine does otherwise than
    said."""

    base: BaseModelFile
    plan: TrainPlan
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """An avatar as it will be when it was trained on these photos, which lie in its folder, and what is kept there of
    the kohya dataset that they came from."""

    avatar: Avatar
    photos: tuple[Path, ...]
    origins: str


class Trainings:
    """Of one studio."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def engines(self) -> tuple[Engine, ...]:
        """The programs that can train here."""
        from personal_avatar.environment import kohya

        folders = self._studio.host.folders()
        has_kohya = kohya.is_ready(folders.data, folders.sd_scripts)
        return (Engine.DIFFUSERS, Engine.KOHYA) if has_kohya else (Engine.DIFFUSERS,)

    def differences(
        self, engine: Engine, method: Method, plan: Mapping[str, Any], class_noun: str = TrainRequest.class_noun
    ) -> list[str]:
        """What the engine will do otherwise than preset and defaults say, on the checkpoint that is loaded; a sentence
        each. Raises what `start` does of all but name and photos, and of memory."""
        validated(PLANS[method], dict(plan))
        request = TrainRequest("", (), class_noun, method=method, engine=engine, plan=meant(class_noun, plan))
        return list(self._ground(request, self._studio.host.checkpoint(), at_once=True).otherwise)

    def start(self, request: TrainRequest) -> Job:
        """Put a training into the queue; its payload is a `TrainTask`. Raises when the base, the plan or the photos
        cannot work. Photos that the user left out are not kept."""
        refuse_values(request, [request])
        request = request.taken()
        grounds = self.possible([request])
        self._studio.sizing.refuse_too_large(request, grounds[0].base)
        with self._studio.starting:
            (task,) = self.tasks([request], grounds)
            return self._studio.queue.submit(TRAIN, task, **labels(task.avatar, request.user_id))

    def possible(self, requests: Sequence[TrainRequest]) -> list[Ground]:
        """Of each. Raises what speaks against any. That takes its time, for which nobody else has to wait who starts
        one."""
        self._studio.queue.refuse_when_full(len(requests), requests[0].user_id)
        return [self._refused(request) for request in requests]

    def tasks(self, requests: Sequence[TrainRequest], grounds: Sequence[Ground]) -> list[TrainTask]:
        """Trainings of one avatar, which are not yet in the queue; raises when they have no place in it. The avatar is
        kept with the photos."""
        self._studio.queue.refuse_when_full(len(requests), requests[0].user_id)
        given = self._admit(requests[0], grounds[0].base)
        return [self._task(one, given, ground) for one, ground in zip(requests, grounds, strict=True)]

    def _refused(self, request: TrainRequest) -> Ground:
        """What to train on. Raises when the base, the plan or the photos cannot work."""
        if not request.consent.strip() and not statement_of(request.photos):
            raise stated(ConsentMissing, "failure.no_consent")
        refuse_count(len(request.photos))
        wanted = validated(PhotoSettings, request.photo_settings)
        self._studio.datasets.refuse_upscaler(wanted)
        if wanted.caption_files:
            refuse_unusable(request.photos)
        return self._ground(request, self.base_of(request))

    def _ground(self, request: TrainRequest, base: BaseModelFile, at_once: bool = False) -> Ground:
        """Raises when the base, the plan or the engine cannot work. `at_once`: see `_differences`."""
        refuse_unfit(base)
        plan = plan_for(base, request.method, dict(request.plan))
        all_refused(
            lambda: refuse_taken(plan.trigger_word, base, _noun(request)),
            lambda: refuse_endless_warmup(plan, request.plan),
            lambda: refuse_lacking(self._studio.host, plan),
        )
        self._studio.host.trainer()
        different = self._differences(request.engine, request.method, request.plan, base, at_once)
        return Ground(base, plan, tuple(different))

    def base_of(self, request: TrainRequest) -> BaseModelFile:
        host = self._studio.host
        return host.find_checkpoint(request.checkpoint) if request.checkpoint else host.checkpoint()

    def _admit(self, request: TrainRequest, base: BaseModelFile) -> Given:
        """The avatar, new or known, with its photos in its folder."""
        avatar = self.avatar_of(request)
        with self._studio.avatars.begun(avatar):
            return self._with_photos(avatar, request.photos, base)

    def avatar_of(self, request: TrainRequest) -> Avatar:
        """New or known, not yet kept. Raises `WrongState` while something of it is under way."""
        avatar = self._studio.avatars.open(
            request.name, user_id=request.user_id, class_noun=_noun(request),
            statement=statement_of(request.photos) or request.consent, stated_by=request.stated_by, door=request.door,
        )
        self._refuse_second_start(avatar)
        return avatar

    def _with_photos(self, avatar: Avatar, given: Sequence[Path], base: BaseModelFile) -> Given:
        """The avatar as it will be when it was trained on these. Of one that was trained before, what is kept stays as
        it is until then."""
        store = self._studio.avatars
        known = store.load(avatar.id)
        if known.checkpoints and not known.photos:
            known = replace(known, photos=tuple(photo.name for photo in store.photos(avatar.id)))
            store.save(known)
        photos = store.add_photos(avatar, given)
        consent = replace(avatar.consent, photo_sha256=tuple(map(sha256_of, photos))) if avatar.consent else None
        names = tuple(photo.name for photo in photos)
        avatar = replace(avatar, consent=consent, base_title=base.title, photos=names)
        if not known.checkpoints:
            store.save(avatar)
        origins = kohya.keep(kohya.origins(given), store.folder(avatar.id) / ORIGINS)
        drop_unneeded(self._studio, avatar.id, names, origins)
        return Given(avatar, photos, origins)

    def _task(self, request: TrainRequest, given: Given, ground: Ground) -> TrainTask:
        from personal_avatar.environment.kohya import named_folder

        plan = validated(PLANS[request.method], request.plan)
        return TrainTask(
            avatar=given.avatar, avatar_folder=self._studio.avatars.folder(given.avatar.id), photos=given.photos,
            origins=given.origins, base=ground.base,
            method=request.method, plan=plan.dict(exclude_unset=True), weights_folder=self._studio.weights_folder,
            publish_to=self._studio.host.folders().results_of(request.method), photo_settings=request.photo_settings,
            engine=request.engine, cache=self._studio.host.folders().data / "cache",
            sd_scripts=named_folder(self._studio.host.folders().sd_scripts), choices=dict(request.choices),
            otherwise=ground.otherwise, beside=self._studio.host.folders().looked_in(request.method)[1:],
            language=request.language,
        )

    def _differences(
        self, engine: Engine, method: Method, plan: Mapping[str, Any], base: BaseModelFile, at_once: bool
    ) -> list[str]:
        """See `differences`; of the engine alone. `at_once`: without asking whether the engine has all its
        modules, which takes a while."""
        if engine is not Engine.KOHYA:
            return []
        from personal_avatar.environment import kohya
        from personal_avatar.training.engines.kohya.limits import fitted

        folders, look = self._studio.host.folders(), kohya.find if at_once else kohya.ready
        version = look(folders.data, folders.sd_scripts).version
        return fitted(plan_for(base, method, dict(plan)), base, method, plan, version)[1]

    def _refuse_second_start(self, avatar: Avatar) -> None:
        """What is measured beside trainings reads the avatar's photos, too."""
        if views := self.unfinished(avatar.id):
            first = min(views, key=lambda view: TURN.index(view.status.state))
            raise second_start(first, self._studio.queue.waits_in_vain(first))

    def unfinished(self, avatar_id: str) -> list[JobView]:
        """Trainings of an avatar, and what is measured beside them, that have not ended, in the order in which they
        were asked for."""
        return newest_first(views_of(self._studio.jobs, avatar_id, ACTIVE))[::-1]

def second_start(view: JobView, in_vain: bool = False) -> WrongState:
    """Why no other training of the same person can begin beside one that has not ended; `details`: which. `in_vain`:
    it waits, and no program takes it."""
    job, rests = view.job, view.status.state is State.PAUSED or in_vain
    resuming = f"Resume it (`personal-avatar jobs resume {job.id[:8]}`), or cancel it."
    said = text(_standing(view, in_vain), name=job.title, job=job.id)
    error = WrongState(said, resuming if rests else text("error.WRONG_STATE.training.hint"))
    error.details = {"job_id": job.id}
    return error


def _standing(view: JobView, in_vain: bool) -> str:
    """The key of what is said of a training that has not ended."""
    if view.status.state is State.PAUSED:
        return "error.WRONG_STATE.paused"
    return "error.WRONG_STATE.waiting" if in_vain else "error.WRONG_STATE.training"


def refuse_values(request: TrainRequest, each: Sequence[TrainRequest], unknown: Sequence[str] = ()) -> None:
    """Raise `InvalidSettings` with all that is wrong with what was written: name, noun, settings. `each`: what becomes
    of the request; `unknown`: settings that none of them has."""
    all_refused(
        lambda: checked_name(request.name), lambda: checked_noun(request.class_noun),
        lambda: refuse_together([(PLANS[one.method], one.plan) for one in each], unknown),
        lambda: validated(PhotoSettings, request.photo_settings), lambda: meant(request.class_noun, request.plan),
        lambda: refuse_language(request.language),
    )


def _noun(request: TrainRequest) -> str:
    """The class that is trained; of a style it ends with that word."""
    is_style = request.plan.get("goal") == Goal.STYLE.value
    return STYLE_NOUN if is_style and not means_style(request.class_noun) else request.class_noun
