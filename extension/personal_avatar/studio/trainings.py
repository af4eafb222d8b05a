"""Photos become an avatar: trainings are asked for here, refused when they cannot work, and their results taken."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Avatar, BaseModelFile, Checkpoint, Engine, Goal, Method, from_json
from personal_avatar.errors import ConsentMissing, InvalidSettings, TooFewPhotos, TrainerMissing, WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job
from personal_avatar.params import validated
from personal_avatar.photos import kohya
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import sha256_of
from personal_avatar.studio.inventing import statement_of
from personal_avatar.studio.requests import MAX_PHOTOS, TrainRequest, labels
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.plan import ORIGINS, PLANS, TrainTask, plan_for

if TYPE_CHECKING:
    from personal_avatar.reports.comparison import Row
    from personal_avatar.studio.studio import Studio

STYLE_NOUN = "style"


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

    def start(self, request: TrainRequest) -> Job:
        """Put a training into the queue. Raises when the base, the plan or the photos cannot work."""
        with self._studio.starting:
            return self._submit([request])[0]

    def compare(self, request: TrainRequest, methods: Sequence[Method] = tuple(Method)) -> list[Job]:
        """The same photos through several methods, one training after the other; see `comparison`.

        Of `request.plan` each method takes what it has. Raises what `start` raises, before anything starts.
        """
        if not methods:
            raise InvalidSettings("No method was chosen.")
        unknown = set(request.plan) - {name for method in methods for name in PLANS[method].__fields__}
        if unknown:
            raise InvalidSettings(f"None of these methods has the setting {', '.join(sorted(unknown))}.")
        with self._studio.starting:
            return self._submit([
                replace(request, method=method, plan=_of_method(request.plan, method))
                for method in dict.fromkeys(methods)
            ])

    def comparison(self, avatar_id: str) -> list[Row]:
        """What each method made of the photos and the checkpoint of the avatar's last training, best first."""
        from personal_avatar.reports.comparison import comparable

        ended = self._studio.jobs.views(states=[State.SUCCEEDED], kind=TRAIN, avatar_id=avatar_id)
        return comparable([view.result for view in ended if view.result])

    def _submit(self, requests: Sequence[TrainRequest]) -> list[Job]:
        """Trainings of one avatar, all or none."""
        self._studio.queue.refuse_when_full(len(requests), requests[0].user_id)
        bases = [self._refused(request) for request in requests]
        for request, base in zip(requests, bases, strict=True):
            self._studio.sizing.refuse_too_large(request, base)
        avatar, photos = self._admit(requests[0], bases[0])
        tasks = [self._task(one, avatar, photos, base) for one, base in zip(requests, bases, strict=True)]
        return [self._studio.queue.submit(TRAIN, task, **labels(avatar, requests[0].user_id)) for task in tasks]

    def _refused(self, request: TrainRequest) -> BaseModelFile:
        """The checkpoint to train on. Raises when the base, the plan or the photos cannot work."""
        if not request.consent.strip() and not statement_of(request.photos):
            raise ConsentMissing("Nobody stated that the person in the photos agreed.")
        if not 1 <= len(request.photos) <= MAX_PHOTOS:
            raise TooFewPhotos(f"{len(request.photos)} photos were given; 1 to {MAX_PHOTOS} are possible.")
        validated(PLANS[request.method], request.plan)
        self._studio.datasets.refuse_upscaler(validated(PhotoSettings, request.photo_settings))
        host = self._studio.host
        base = host.find_checkpoint(request.checkpoint) if request.checkpoint else host.checkpoint()
        host.trainer()
        self._refuse_engine(request, base)
        return base

    def _admit(self, request: TrainRequest, base: BaseModelFile) -> tuple[Avatar, tuple[Path, ...]]:
        """The avatar, new or known, with its photos in its folder."""
        avatar = self._studio.avatars.open(
            request.name, user_id=request.user_id, class_noun=_noun(request),
            statement=statement_of(request.photos) or request.consent, stated_by=request.stated_by, door=request.door,
        )
        self._refuse_second_start(avatar)
        photos = self._studio.avatars.add_photos(avatar, request.photos)
        consent = replace(avatar.consent, photo_sha256=tuple(map(sha256_of, photos))) if avatar.consent else None
        avatar = replace(avatar, consent=consent, base_title=base.title)
        self._studio.avatars.save(avatar)
        kohya.keep(kohya.origins(request.photos), self._studio.avatars.folder(avatar.id) / ORIGINS)
        return avatar, photos

    def _task(
        self, request: TrainRequest, avatar: Avatar, photos: tuple[Path, ...], base: BaseModelFile
    ) -> TrainTask:
        plan = validated(PLANS[request.method], request.plan)
        return TrainTask(
            avatar=avatar, avatar_folder=self._studio.avatars.folder(avatar.id), photos=photos, base=base,
            method=request.method, plan=plan.dict(exclude_unset=True), weights_folder=self._studio.weights_folder,
            publish_to=self._studio.host.folders().results_of(request.method), photo_settings=request.photo_settings,
            engine=request.engine, cache=self._studio.host.folders().data / "cache",
            sd_scripts=self._studio.host.folders().sd_scripts, choices=dict(request.choices),
        )

    def _refuse_engine(self, request: TrainRequest, base: BaseModelFile) -> None:
        """Raises when the engine is not there (`WrongState`), or cannot do what is asked (`InvalidSettings`)."""
        if request.engine is Engine.KOHYA:
            from personal_avatar.environment import kohya
            from personal_avatar.training.engines.kohya.limits import fitted

            try:
                folders = self._studio.host.folders()
                version = kohya.ready(folders.data, folders.sd_scripts).version
            except TrainerMissing as error:
                raise WrongState(error.message, error.hint) from None
            fitted(plan_for(base, request.method, request.plan), base, request.method, request.plan, version)

    def _refuse_second_start(self, avatar: Avatar) -> None:
        for view in self._studio.jobs.views(states=ACTIVE, kind=TRAIN, avatar_id=avatar.id):
            raise WrongState(f"{avatar.name} is being trained already (job {view.job.id}).", "Wait, or cancel it.")

    def ended(self, job: Job, result: dict[str, Any]) -> None:
        """Take what a training made into the avatar; runs once, before the job counts as succeeded."""
        if job.kind != TRAIN:
            return
        avatar = self._studio.avatars.load(job.avatar_id)
        points = tuple(from_json(Checkpoint, data) for data in result["checkpoints"])
        for point in points:
            self._studio.host.published(point.path)
        measured = result.get("resemblance") or any(point.likeness is not None for point in points)
        if avatar.best is not None and not measured:
            return  # cut short before it was measured: the earlier file stays in use
        if measured:
            self._studio.sizing.learn(job, result)
        self._studio.avatars.save(replace(
            avatar.with_checkpoints(points), reference=tuple(result["reference"]), recogniser=result["recogniser"],
            dataset_fingerprint=result["dataset_fingerprint"], job_id=job.id,
        ))


def _noun(request: TrainRequest) -> str:
    """The class that is trained; of a style it ends with that word."""
    is_style = request.plan.get("goal") == Goal.STYLE.value
    return STYLE_NOUN if is_style and not request.class_noun.endswith(STYLE_NOUN) else request.class_noun


def _of_method(plan: dict[str, Any], method: Method) -> dict[str, Any]:
    """Those settings that a method has."""
    return {name: value for name, value in plan.items() if name in PLANS[method].__fields__}
