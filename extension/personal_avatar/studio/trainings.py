"""Photos become an avatar: trainings are asked for here, refused when they cannot work, and their results taken."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.caveats import told_in
from personal_avatar.domain import (
    ONE_PHOTO,
    Avatar,
    BaseModelFile,
    Checkpoint,
    Consent,
    Engine,
    Goal,
    Method,
    from_json,
)
from personal_avatar.errors import AvatarError, ConsentMissing, InvalidSettings, PlanTooLarge, WrongState
from personal_avatar.identities import IdentitySettings
from personal_avatar.jobs.endings import retell
from personal_avatar.jobs.states import ACTIVE, ENDED, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.names import checked_name, checked_noun
from personal_avatar.params import refuse_together, validated
from personal_avatar.photos import kohya
from personal_avatar.photos.enough import refuse_few
from personal_avatar.photos.settings import IGNORED, PhotoSettings
from personal_avatar.problems import all_refused, refused, stated
from personal_avatar.storage import sha256_of
from personal_avatar.studio import oneshot
from personal_avatar.studio.comparing import compared, newest_first
from personal_avatar.studio.inventing import statement_of
from personal_avatar.studio.lacking import refuse_lacking
from personal_avatar.studio.plans import WAYS, Share, shared_out, taken_by, unknown_to
from personal_avatar.studio.requests import (
    PAGE,
    STYLE_NOUN,
    TrainRequest,
    labels,
    means_style,
    meant,
    photos_meant,
    refuse_count,
)
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.fitness import refuse_unfit
from personal_avatar.training.plan import (
    ORIGINS,
    PLANS,
    OnePhotoTask,
    TrainPlan,
    TrainTask,
    photos_as,
    plan_for,
    refuse_endless_warmup,
    refuse_taken,
)
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.reports.comparison import Row
    from personal_avatar.studio.studio import Studio

COMPARED = (TRAIN, ONE_PHOTO)  # kinds of jobs that stand in one table
TURN = (State.RUNNING, State.QUEUED, State.PAUSED)  # of jobs that stand in the way of another: which is named first


@dataclass(frozen=True)
class Compared:
    """`jobs` that were put into the queue, in their order. `left_out`: what was wanted besides, and why it is not among
    them. `shares`: which of the user's settings each way takes."""

    jobs: tuple[Job, ...]
    left_out: Mapping[str, AvatarError] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True)
class Ground:
    """What a training stands on: its checkpoint, its plan, and a sentence for all that its engine does otherwise than
    said."""

    base: BaseModelFile
    plan: TrainPlan
    otherwise: tuple[str, ...] = ()


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
        _refuse_values(request, [request])
        request = request.taken()
        grounds = self._possible([request])
        self._studio.sizing.refuse_too_large(request, grounds[0].base)
        with self._studio.starting:
            return self._submit([request], grounds)[0]

    def compare(self, request: TrainRequest, ways: Sequence[str] = WAYS) -> Compared:
        """The same photos through several methods, and through none (`ONE_PHOTO`), one after the other; see
        `comparison`. A method that needs more memory than there is, is left out; so are the photos alone, where nothing
        can be made of them.

        Of `request.plan` each takes what it has and what suits it (`plans`). Raises what `start` raises; why a way is
        left out when nothing else is wanted; then, as that takes a look at each photo, `TooFewPhotos` where too few can
        be used: all before anything starts.
        """
        wanted = _known(ways)
        each = [_by(way, request, taken_by(way, request.plan)) for way in wanted]
        _refuse_values(request, each, unknown_to(wanted, request.plan))
        request = request.taken()
        shares = shared_out(request.plan, wanted, self._base(request))
        lacking = self.lacks_one_photo(request) if ONE_PHOTO in wanted else None
        left_out = {} if lacking is None else {ONE_PHOTO: lacking}
        requests = {way: _by(way, request, shares[way].plan) for way in wanted if way not in left_out}
        grounds = dict(zip(requests, self._possible(list(requests.values())), strict=True)) if requests else {}
        left_out |= self._too_large(requests, grounds)
        going = {way: one for way, one in requests.items() if way not in left_out}
        if not going:
            raise next(iter(left_out.values()))
        self._avatar(request)
        self._refuse_few(request, grounds[next(iter(going))].plan)
        alone = going.pop(ONE_PHOTO, None)
        stands = [grounds[way] for way in (*going, *([ONE_PHOTO] if alone else []))]
        with self._studio.starting:
            return Compared(tuple(self._submit(list(going.values()), stands, alone)), left_out, shares)

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
        base = self._base(request)
        try:
            oneshot.parts_for(oneshot.shelf_of(self._studio.host.folders()), IdentitySettings(), base)
        except AvatarError as error:
            return error
        return None

    def comparison(self, avatar_id: str) -> list[Row]:
        """What each method, and the photos alone, made of the photos and the checkpoint of the avatar's last training,
        best first; see `compared`."""
        jobs = self._studio.jobs
        return compared(
            view for kind in COMPARED for view in jobs.views(states=ENDED, kind=kind, avatar_id=avatar_id)
        )

    def comparison_sheet(self, avatar: Avatar) -> bytes:
        """The same with pictures, as a PNG."""
        from personal_avatar.pictures import EDITED, encoded, sealed
        from personal_avatar.reports.comparison_sheet import comparison_sheet

        sheet = comparison_sheet(avatar.name, self.comparison(avatar.id))
        return sealed(encoded(sheet, "png", source=EDITED), "comparison.png", EDITED)

    def _possible(self, requests: Sequence[TrainRequest]) -> list[Ground]:
        """Of each. Raises what speaks against any. That takes its time, for which nobody else has to wait who starts
        one."""
        self._studio.queue.refuse_when_full(len(requests), requests[0].user_id)
        return [self._refused(request) for request in requests]

    def _submit(
        self, requests: Sequence[TrainRequest], grounds: Sequence[Ground], alone: TrainRequest | None = None
    ) -> list[Job]:
        """Trainings of one avatar, all or none. `alone`: for what its photos do without one, which comes last."""
        wanted = [*requests, *([alone] if alone else [])]
        self._studio.queue.refuse_when_full(len(wanted), wanted[0].user_id)
        avatar, photos = self._admit(wanted[0], grounds[0].base)
        tasks = [self._task(one, avatar, photos, ground) for one, ground in zip(wanted, grounds, strict=True)]
        payloads = [(TRAIN, task) for task in tasks[: len(requests)]]
        others = [(ONE_PHOTO, self._untrained(task)) for task in tasks[len(requests) :]]
        named = labels(avatar, wanted[0].user_id)
        return [self._studio.queue.submit(kind, payload, **named) for kind, payload in (*payloads, *others)]

    def _refused(self, request: TrainRequest) -> Ground:
        """What to train on. Raises when the base, the plan or the photos cannot work."""
        if not request.consent.strip() and not statement_of(request.photos):
            raise stated(ConsentMissing, "failure.no_consent")
        refuse_count(len(request.photos))
        self._studio.datasets.refuse_upscaler(validated(PhotoSettings, request.photo_settings))
        return self._ground(request, self._base(request))

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

    def _base(self, request: TrainRequest) -> BaseModelFile:
        host = self._studio.host
        return host.find_checkpoint(request.checkpoint) if request.checkpoint else host.checkpoint()

    def _admit(self, request: TrainRequest, base: BaseModelFile) -> tuple[Avatar, tuple[Path, ...]]:
        """The avatar, new or known, with its photos in its folder."""
        avatar = self._avatar(request)
        with self._studio.avatars.begun(avatar):
            return self._with_photos(avatar, request.photos, base)

    def _avatar(self, request: TrainRequest) -> Avatar:
        """New or known, not yet kept. Raises `WrongState` while something of it is under way."""
        avatar = self._studio.avatars.open(
            request.name, user_id=request.user_id, class_noun=_noun(request),
            statement=statement_of(request.photos) or request.consent, stated_by=request.stated_by, door=request.door,
        )
        self._refuse_second_start(avatar)
        return avatar

    def _with_photos(
        self, avatar: Avatar, given: Sequence[Path], base: BaseModelFile
    ) -> tuple[Avatar, tuple[Path, ...]]:
        photos = self._studio.avatars.add_photos(avatar, given)
        consent = replace(avatar.consent, photo_sha256=tuple(map(sha256_of, photos))) if avatar.consent else None
        avatar = replace(avatar, consent=consent, base_title=base.title)
        self._studio.avatars.save(avatar)
        kohya.keep(kohya.origins(given), self._studio.avatars.folder(avatar.id) / ORIGINS)
        return avatar, photos

    def _task(
        self, request: TrainRequest, avatar: Avatar, photos: tuple[Path, ...], ground: Ground
    ) -> TrainTask:
        from personal_avatar.environment.kohya import named_folder

        plan = validated(PLANS[request.method], request.plan)
        return TrainTask(
            avatar=avatar, avatar_folder=self._studio.avatars.folder(avatar.id), photos=photos, base=ground.base,
            method=request.method, plan=plan.dict(exclude_unset=True), weights_folder=self._studio.weights_folder,
            publish_to=self._studio.host.folders().results_of(request.method), photo_settings=request.photo_settings,
            engine=request.engine, cache=self._studio.host.folders().data / "cache",
            sd_scripts=named_folder(self._studio.host.folders().sd_scripts), choices=dict(request.choices),
            otherwise=ground.otherwise, beside=self._studio.host.folders().looked_in(request.method)[1:],
        )

    def _untrained(self, task: TrainTask) -> OnePhotoTask:
        folders = self._studio.host.folders()
        cache = oneshot.cache_of(folders)
        return OnePhotoTask(task, folders.identity_folders, cache, oneshot.MAX_REFERENCES)

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
        jobs = self._studio.jobs
        views = (view for kind in COMPARED for view in jobs.views(states=ACTIVE, kind=kind, avatar_id=avatar_id))
        return newest_first(views)[::-1]

    def ended(self, job: Job, result: dict[str, Any]) -> None:
        """Take what a training made into the avatar; runs once, before the job counts as succeeded. Photos that were
        refused are erased with the last job that needs them."""
        if job.kind == TRAIN:
            self._take(job, result)
        if job.kind in COMPARED:
            used = {photo.name for photo in self._studio.avatars.photos(job.avatar_id)}
            self._studio.avatars.keep_photos(job.avatar_id, used | self._awaited(job))

    def _take(self, job: Job, result: dict[str, Any]) -> None:
        avatar = self._studio.avatars.load(job.avatar_id)
        points = tuple(_measured(from_json(Checkpoint, data), result) for data in result["checkpoints"])
        found = [caveat for point in points for caveat in self._studio.host.published(point.path, point.method)]
        if found:
            retell(self._studio.jobs.folder(job.id), told_in(result, found))
        measured = result.get("resemblance") or any(point.likeness is not None for point in points)
        if avatar.best is not None and not measured:
            return  # cut short before it was measured: the earlier file stays in use
        if measured:
            self._studio.sizing.learn(job, result)
        self._studio.avatars.save(replace(
            avatar.with_checkpoints(points), reference=tuple(result["reference"]), recogniser=result["recogniser"],
            dataset_fingerprint=result["dataset_fingerprint"], job_id=job.id, consent=self._narrowed(avatar),
        ))

    def _narrowed(self, avatar: Avatar) -> Consent | None:
        """To the photos that are used."""
        used = tuple(map(sha256_of, self._studio.avatars.photos(avatar.id)))
        return replace(avatar.consent, photo_sha256=used) if avatar.consent else None

    def _awaited(self, job: Job) -> set[str]:
        """Names of the photos that other jobs of the avatar need yet, or again."""
        views = (view for kind in COMPARED for view in self._studio.jobs.views(kind=kind, avatar_id=job.avatar_id))
        others = (view for view in views if view.job.id != job.id)
        going = (one for one in others if one.status.state in ACTIVE or self._studio.queue.can_go_on(one))
        given = (one.job.payload.get("training", one.job.payload).get("photos", ()) for one in going)
        return {Path(photo).name for photos in given for photo in photos}


def _measured(point: Checkpoint, result: Mapping[str, Any]) -> Checkpoint:
    """With all by which it is compared with the person's other files, as a comparison compares them."""
    from personal_avatar.reports.comparison import place_of, scores_in

    return replace(point, scores=scores_in(result), place=json.dumps(place_of(result), sort_keys=True))


def second_start(view: JobView, in_vain: bool = False) -> WrongState:
    """Why no other training of the same person can begin beside one that has not ended; `details`: which. `in_vain`:
    it waits, and no program takes it."""
    job, rests = view.job, view.status.state is State.PAUSED or in_vain
    resuming = f"Resume it (`personal-avatar jobs resume {job.id[:8]}`), or cancel it."
    said = text(_standing(view, in_vain), name=job.title, job=job.id)
    error = WrongState(said, resuming if rests else "Wait, or cancel it.")
    error.details = {"job_id": job.id}
    return error


def _standing(view: JobView, in_vain: bool) -> str:
    """The key of what is said of a training that has not ended."""
    if view.status.state is State.PAUSED:
        return "error.WRONG_STATE.paused"
    return "error.WRONG_STATE.waiting" if in_vain else "error.WRONG_STATE.training"


def _refuse_values(request: TrainRequest, each: Sequence[TrainRequest], unknown: Sequence[str] = ()) -> None:
    """Raise `InvalidSettings` with all that is wrong with what was written: name, noun, settings. `each`: what becomes
    of the request; `unknown`: settings that none of them has."""
    all_refused(
        lambda: checked_name(request.name), lambda: checked_noun(request.class_noun),
        lambda: refuse_together([(PLANS[one.method], one.plan) for one in each], unknown),
        lambda: validated(PhotoSettings, request.photo_settings), lambda: meant(request.class_noun, request.plan),
    )


def _noun(request: TrainRequest) -> str:
    """The class that is trained; of a style it ends with that word."""
    is_style = request.plan.get("goal") == Goal.STYLE.value
    return STYLE_NOUN if is_style and not means_style(request.class_noun) else request.class_noun


def way_of(job: Job) -> str:
    """Of a job that is compared: the code of its method, or that of photos alone."""
    return str(job.payload.get("method", job.kind))


def _known(ways: Sequence[str]) -> tuple[str, ...]:
    """Each once; raises `InvalidSettings` for none, and for one that there is not."""
    wanted = tuple(dict.fromkeys(way.value if isinstance(way, Method) else way for way in ways))
    if not wanted:
        raise InvalidSettings("No method was chosen.", f"Choose among {', '.join(WAYS)}.")
    if strangers := [way for way in wanted if way not in WAYS]:
        raise InvalidSettings(f"There is no method {strangers[0]!r}.", f"There are: {', '.join(WAYS)}.")
    return wanted


def _by(way: str, request: TrainRequest, plan: Mapping[str, Any]) -> TrainRequest:
    """With those settings; photos alone are measured on the grid of a LoRA, ours."""
    if way == ONE_PHOTO:
        return replace(request, method=Method.LORA, engine=Engine.DIFFUSERS, plan=dict(plan))
    return replace(request, method=Method(way), plan=dict(plan))
