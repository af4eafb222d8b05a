"""The use cases. Page, API and command line call only this; it knows the host by its protocol alone."""
from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from personal_avatar.avatars import AvatarStore
from personal_avatar.captions.files import without_captions
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import (
    Avatar,
    BaseModelFile,
    Checkpoint,
    Dataset,
    Engine,
    Goal,
    Method,
    PhotoChoice,
    PhotoReport,
    Style,
    from_json,
)
from personal_avatar.errors import (
    ConsentMissing,
    InvalidSettings,
    TooFewPhotos,
    TrainerMissing,
    WrongState,
)
from personal_avatar.host import Host
from personal_avatar.jobs.events import Record, read_events
from personal_avatar.jobs.executors import executor_for
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobStore, JobView, named_in
from personal_avatar.params import validated
from personal_avatar.photos import kohya
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import sha256_of
from personal_avatar.studio import drafts, oneshot
from personal_avatar.studio.captioning import Captioning
from personal_avatar.studio.datasets import Datasets
from personal_avatar.studio.efforts import effort
from personal_avatar.studio.gallery import Gallery
from personal_avatar.studio.inventing import Invention, statement_of
from personal_avatar.studio.rankings import Rankings
from personal_avatar.studio.restoring import Restoring
from personal_avatar.studio.sizing import Sizing
from personal_avatar.studio.webhooks import Webhooks
from personal_avatar.studio.works import CREATE, RANK, TRAIN, WORKS, can_pause
from personal_avatar.styles import library
from personal_avatar.styles.filling import fill
from personal_avatar.styles.wildcards import refuse_unknown
from personal_avatar.training.plan import ORIGINS, PLANS, TrainTask, plan_for

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser
    from personal_avatar.photos.memory import Memory
    from personal_avatar.reports.comparison import Row
    from personal_avatar.studio.oneshot import Box, IdentityStatus, Neighbour
    from personal_avatar.studio.portraits import CreateSettings

MAX_PHOTOS = 100
STYLE_NOUN = "style"


@dataclass(frozen=True)
class TrainRequest:
    """What a user asks for. `plan` and `photo_settings` hold only what differs from the defaults.

    `choices`: what the user decided about photos, by the SHA-256 of their files. `consent`: what was stated about the
    person's agreement, `stated_by`: by whom ("" the user), at which `door` ("page", "api", "command line").
    `even_if_too_large`: start although the memory model says that it will not fit.
    """

    name: str
    photos: tuple[Path, ...]
    class_noun: str = "person"
    user_id: str = "local"
    method: Method = Method.LORA
    engine: Engine = Engine.DIFFUSERS
    plan: dict[str, Any] = field(default_factory=dict)
    photo_settings: dict[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    consent: str = ""
    choices: Mapping[str, PhotoChoice] = field(default_factory=dict)
    stated_by: str = ""
    door: str = ""
    even_if_too_large: bool = False


@dataclass(frozen=True)
class CreateRequest:
    """Portraits in styles (ids) or after a prompt of the user's own, which may hold `{subject}`.

    Of an avatar, or, with `avatar_id` empty, of whoever is in `references`, without training; with both, the avatar's
    training and these photos. `identity`: settings of one-shot identity without pictures; None without references: the
    training alone; with an avatar and no references its own photos are used. `image`: the picture of which `strength`
    (0..1) is painted anew, without an avatar and references also the one that shows who it is; `pose`: a picture whose
    faces give pose and expression. `consent`: who stated that the person in the photos agreed; `class_noun`: what the
    person is called where no training is used. `neighbours`: others in the same picture, `box`: where the person is.
    `stated_by`, `door`: see `TrainRequest`.
    """

    avatar_id: str = ""
    styles: tuple[str, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    user_id: str = "local"
    settings: dict[str, Any] = field(default_factory=dict)
    references: tuple[Path, ...] = ()
    identity: dict[str, Any] | None = None
    image: Path | None = None
    strength: float = 0.6
    pose: Path | None = None
    consent: str = ""
    class_noun: str = "person"
    neighbours: tuple[Neighbour, ...] = ()
    box: Box | None = None
    stated_by: str = ""
    door: str = ""


class Labels(TypedDict):
    """What a job says of itself in lists."""

    title: str
    user_id: str
    avatar_id: str


class Studio:
    """One studio per host. Creating it does no work; `open()` takes up the jobs that wait. `serves`: see JobQueue."""

    def __init__(self, host: Host, *, serves: bool = True) -> None:
        self.host = host
        data = host.folders().data
        self.avatars = AvatarStore(data / "avatars")
        self.jobs = JobStore(data / "jobs", brief={CAPTION}, effort=effort)
        works = {kind: partial(work, self) for kind, work in WORKS.items()}
        self.datasets = Datasets(self)
        self.queue = JobQueue(
            self.jobs, works, host.trainer, self._on_end, before=self.datasets.before_training, rules=host.rules,
            pausable=can_pause, executor=lambda: executor_for(host.rules(), host.folders().data),
            advise=lambda job, error: self.sizing.advised(job, error), before_each=self.datasets.before_each_start,
            host=host.name, serves=serves,
        )
        self.rankings = Rankings(self)
        self.restoring = Restoring(self)
        self.gallery = Gallery(self)
        self.invention = Invention(self)
        self.sizing = Sizing(self)
        self.captions = Captioning(self)
        self.webhooks = Webhooks(self)
        self.queue.listen(self.webhooks.ended)
        self._analyser: FaceAnalyser | None = None
        self._starting = threading.Lock()

    def open(self) -> None:
        """Go on with jobs of an earlier start."""
        self.queue.recover()
        self.webhooks.resume()

    # -- photos

    @property
    def weights_folder(self) -> Path:
        return self.host.folders().data / "weights"

    def analyser(self, name: str = "") -> FaceAnalyser:
        """Detector and recogniser, fetched at first use: the usual ones, or those whose vectors carry `name`.

        Raises `WeightsMissing`; `WrongState` when a recogniser of that name is not here any more.
        """
        from personal_avatar.faces.registry import analyser_named, default_analyser

        if self._analyser is None:
            self._analyser = default_analyser(self.weights_folder)
        return self._analyser if name in ("", self._analyser.name) else analyser_named(name, self.weights_folder)

    def analyser_of(self, photos: Sequence[Path], settings: PhotoSettings | None = None) -> FaceAnalyser:
        """Whoever recognises the person in these pictures: drawn characters may have a recogniser of their own."""
        from personal_avatar.photos.looks import analyser_of

        return analyser_of(photos, settings or PhotoSettings(), self.weights_folder)

    def check_photos(
        self, photos: Sequence[Path], settings: dict[str, Any] | None = None,
        on_progress: Callable[[int, int], None] | None = None, choices: Mapping[str, PhotoChoice] | None = None,
        *, remember: bool = False,
    ) -> PhotoReport:
        """The report before training, one verdict a photo. `choices`: what the user decided, by SHA-256; `remember`:
        the same files will be checked again, see `seen`."""
        from personal_avatar.photos.report import check

        if not photos:
            raise TooFewPhotos("No photos were given.")
        if len(photos) > MAX_PHOTOS:
            raise InvalidSettings(f"{len(photos)} photos are more than {MAX_PHOTOS}.", "Choose the best 10 to 20.")
        wanted = validated(PhotoSettings, settings or {})
        seen = self.seen if remember else None
        return check(photos, self.analyser_of(photos, wanted), wanted, on_progress, choices, seen)

    @cached_property
    def seen(self) -> Memory:
        """What was seen in laid-out photos, until they are erased."""
        from personal_avatar.photos.memory import Memory

        return Memory()

    def prepare_photos(
        self, report: PhotoReport, out: Path, resolution_px: int, class_noun: str,
        settings: dict[str, Any] | None = None,
    ) -> Dataset:
        """Cut and caption the accepted photos into `out`; see `Datasets.prepare`."""
        return self.datasets.prepare(report, out, resolution_px, class_noun, settings)

    # -- training

    def engines(self) -> tuple[Engine, ...]:
        """The programs that can train here."""
        from personal_avatar.environment import kohya

        folders = self.host.folders()
        has_kohya = kohya.is_ready(folders.data, folders.sd_scripts)
        return (Engine.DIFFUSERS, Engine.KOHYA) if has_kohya else (Engine.DIFFUSERS,)

    def train(self, request: TrainRequest) -> Job:
        """Put a training into the queue. Raises when the base, the plan or the photos cannot work."""
        with self._starting:
            return self._submit([request])[0]

    def compare(self, request: TrainRequest, methods: Sequence[Method] = tuple(Method)) -> list[Job]:
        """The same photos through several methods, one training after the other; see `comparison`.

        Of `request.plan` each method takes what it has. Raises what `train` raises, before anything starts.
        """
        if not methods:
            raise InvalidSettings("No method was chosen.")
        unknown = set(request.plan) - {name for method in methods for name in PLANS[method].__fields__}
        if unknown:
            raise InvalidSettings(f"None of these methods has the setting {', '.join(sorted(unknown))}.")
        with self._starting:
            return self._submit([
                replace(request, method=method, plan=_of_method(request.plan, method))
                for method in dict.fromkeys(methods)
            ])

    def comparison(self, avatar_id: str) -> list[Row]:
        """What each method made of the photos and the checkpoint of the avatar's last training, best first."""
        from personal_avatar.reports.comparison import comparable

        ended = self.jobs.views(states=[State.SUCCEEDED], kind=TRAIN, avatar_id=avatar_id)
        return comparable([view.result for view in ended if view.result])

    def _submit(self, requests: Sequence[TrainRequest]) -> list[Job]:
        """Trainings of one avatar, all or none."""
        self.queue.refuse_when_full(len(requests), requests[0].user_id)
        bases = [self._refused(request) for request in requests]
        for request, base in zip(requests, bases, strict=True):
            self.sizing.refuse_too_large(request, base)
        avatar, photos = self._admit(requests[0], bases[0])
        tasks = [self._task(one, avatar, photos, base) for one, base in zip(requests, bases, strict=True)]
        return [self.queue.submit(TRAIN, task, **_labels(avatar, requests[0].user_id)) for task in tasks]

    def _refused(self, request: TrainRequest) -> BaseModelFile:
        """The checkpoint to train on. Raises when the base, the plan or the photos cannot work."""
        if not request.consent.strip() and not statement_of(request.photos):
            raise ConsentMissing("Nobody stated that the person in the photos agreed.")
        if not 1 <= len(request.photos) <= MAX_PHOTOS:
            raise TooFewPhotos(f"{len(request.photos)} photos were given; 1 to {MAX_PHOTOS} are possible.")
        validated(PLANS[request.method], request.plan)
        self.datasets.refuse_upscaler(validated(PhotoSettings, request.photo_settings))
        base = self.host.find_checkpoint(request.checkpoint) if request.checkpoint else self.host.checkpoint()
        self.host.trainer()
        self._refuse_engine(request, base)
        return base

    def _admit(self, request: TrainRequest, base: BaseModelFile) -> tuple[Avatar, tuple[Path, ...]]:
        """The avatar, new or known, with its photos in its folder."""
        avatar = self.avatars.open(
            request.name, user_id=request.user_id, class_noun=_noun(request),
            statement=statement_of(request.photos) or request.consent, stated_by=request.stated_by, door=request.door,
        )
        self._refuse_second_start(avatar)
        photos = self.avatars.add_photos(avatar, request.photos)
        consent = replace(avatar.consent, photo_sha256=tuple(map(sha256_of, photos))) if avatar.consent else None
        avatar = replace(avatar, consent=consent, base_title=base.title)
        self.avatars.save(avatar)
        kohya.keep(kohya.origins(request.photos), self.avatars.folder(avatar.id) / ORIGINS)
        return avatar, photos

    def _task(
        self, request: TrainRequest, avatar: Avatar, photos: tuple[Path, ...], base: BaseModelFile
    ) -> TrainTask:
        plan = validated(PLANS[request.method], request.plan)
        return TrainTask(
            avatar=avatar, avatar_folder=self.avatars.folder(avatar.id), photos=photos, base=base,
            method=request.method, plan=plan.dict(exclude_unset=True), weights_folder=self.weights_folder,
            publish_to=self.host.folders().results_of(request.method), photo_settings=request.photo_settings,
            engine=request.engine, cache=self.host.folders().data / "cache",
            sd_scripts=self.host.folders().sd_scripts, choices=dict(request.choices),
        )

    def _refuse_engine(self, request: TrainRequest, base: BaseModelFile) -> None:
        """Raises when the engine is not there (`WrongState`), or cannot do what is asked (`InvalidSettings`)."""
        if request.engine is Engine.KOHYA:
            from personal_avatar.environment import kohya
            from personal_avatar.training.engines.kohya.limits import fitted

            try:
                folders = self.host.folders()
                version = kohya.ready(folders.data, folders.sd_scripts).version
            except TrainerMissing as error:
                raise WrongState(error.message, error.hint) from None
            fitted(plan_for(base, request.method, request.plan), base, request.method, request.plan, version)

    def _refuse_second_start(self, avatar: Avatar) -> None:
        for view in self.jobs.views(states=ACTIVE, kind=TRAIN, avatar_id=avatar.id):
            raise WrongState(f"{avatar.name} is being trained already (job {view.job.id}).", "Wait, or cancel it.")

    # -- portraits

    def create(self, request: CreateRequest) -> Job:
        """Put the making of portraits into the queue. Raises, before anything starts, when the person, the photos, the
        settings or the checkpoint cannot work."""
        from personal_avatar.studio.portraits import CreateSettings, CreateTask
        from personal_avatar.studio.sitters import planned, seated

        self.queue.refuse_when_full()
        avatar = self.avatars.find(request.avatar_id, request.user_id) if request.avatar_id else None
        one_shot, files = planned(request, avatar is not None)
        settings: CreateSettings = validated(CreateSettings, request.settings)
        styles = self._wanted_styles(request)
        for style in styles:
            for text in fill(style, "person", settings.dict()):
                refuse_unknown(text, self.host.folders().wildcards)
        seated(self, avatar, one_shot, files, settings.lora_weight)
        task = CreateTask(avatar.id if avatar else "", styles, settings.dict(), one_shot)
        return self.queue.submit(CREATE, task, files=files, **_labels(avatar, request.user_id, one_shot.title))

    def _wanted_styles(self, request: CreateRequest) -> tuple[Style, ...]:
        own = self.host.styles()
        styles = tuple(library.find(style, own) for style in dict.fromkeys(request.styles))
        if request.prompt.strip():
            prompt = request.prompt if "{subject}" in request.prompt else "{subject}, " + request.prompt
            styles += (Style("prompt", "Prompt", prompt, request.negative_prompt, origin="own"),)
        if not styles:
            raise InvalidSettings("Neither a style nor a prompt was given.", "Choose a style or write a prompt.")
        return styles

    def styles(self) -> tuple[Style, ...]:
        """Shipped styles and the user's own."""
        return library.shipped() + self.host.styles()

    def identity_status(self) -> IdentityStatus:
        """What can be done without training now: methods that work, adapters found, what is missing and where from."""
        return oneshot.status(self.host)

    # -- avatars

    def delete_avatar(self, avatar_id: str) -> dict[str, Any]:
        """Erase a person: photos, embeddings, trained files, portraits, jobs; says what was erased and what is left.

        Portraits that the host saved into its own folders are only listed.
        """
        avatar = self.avatars.find(avatar_id)
        with self._starting:
            views = self._about(avatar)
            if any(view.status.state in ACTIVE for view in views):
                raise WrongState(f"A job of {avatar.name} has not ended.", "Cancel it first.")
            files = sorted({point.path for point in avatar.checkpoints} | named_in(views, "files"))
            made = [view for view in views if view.job.kind != RANK]  # what was ranked is somebody's own
            pictures = named_in(made, "images") | {path for view in views for path in self.gallery.told_by(view)}
            left = self.avatars.delete(avatar.id, files)
            left += self._erase_copies(avatar)
            for view in views:
                self.jobs.delete(view.job.id)
            self.host.forget()
            self.seen.forget()
        left += [str(path) for path in sorted(pictures) if path.exists()]
        return {"id": avatar.id, "erased": [str(path) for path in files] + [f"{len(views)} jobs"], "left": left}

    def _erase_copies(self, avatar: Avatar) -> list[str]:
        """Archives for download, and laid-out photos of this person; returns the folders of those that are left.

        Photos are laid out on the page, which acts for one user: under the name of another user's avatar they are
        somebody else's.
        """
        self.gallery.drop_archives()
        found = self._laid_out(avatar)
        if avatar.user_id == TrainRequest.user_id:
            for draft in found:
                shutil.rmtree(draft, ignore_errors=True)
        drafts.sweep(self.host.folders().data / "drafts")
        return [str(draft) for draft in found if draft.exists()]

    def _laid_out(self, avatar: Avatar) -> list[Path]:
        """Folders of photos under the avatar's name."""
        return drafts.drafts_of(self.host.folders().data / "drafts", avatar.name)

    def _described(self, avatar: Avatar) -> set[str]:
        """Jobs that described such photos, maybe before they had a name; see `_erase_copies` about other users."""
        mine = self._laid_out(avatar) if avatar.user_id == TrainRequest.user_id else []
        return {job_id for draft in mine for job_id in drafts.caption_jobs(draft)}

    def _about(self, avatar: Avatar) -> list[JobView]:
        """Jobs of an avatar; photos are described before there is one, under the name that it gets."""
        described = self._described(avatar)
        captions = self.jobs.views(kind=CAPTION)
        named = [view for view in captions if (view.job.title, view.job.user_id) == (avatar.name, avatar.user_id)]
        found = [*self.jobs.views(avatar_id=avatar.id), *named, *(one for one in captions if one.job.id in described)]
        return list({view.job.id: view for view in found}.values())

    def _on_end(self, job: Job, result: dict[str, Any]) -> None:
        """Take what a training made into the avatar; runs once, before the job counts as succeeded."""
        if job.kind != TRAIN:
            return
        avatar = self.avatars.load(job.avatar_id)
        points = tuple(from_json(Checkpoint, data) for data in result["checkpoints"])
        for point in points:
            self.host.published(point.path)
        measured = result.get("resemblance") or any(point.likeness is not None for point in points)
        if avatar.best is not None and not measured:
            return  # cut short before it was measured: the earlier file stays in use
        if measured:
            self.sizing.learn(job, result)
        self.avatars.save(replace(
            avatar.with_checkpoints(points), reference=tuple(result["reference"]), recogniser=result["recogniser"],
            dataset_fingerprint=result["dataset_fingerprint"], job_id=job.id,
        ))

    # -- jobs

    def events(self, job_id: str, after: int = 0) -> Iterator[Record]:
        return read_events(self.jobs.folder(job_id), after)

    # -- the shipped checkpoint, health

    def install_tiny(self) -> BaseModelFile:
        """Put avatar-tiny where the host finds checkpoints."""
        return self.host.install_checkpoint(Path(__file__).parents[1] / "assets" / "avatar-tiny")

    def estimate(self, photos: int, method: Method, plan: dict[str, Any]) -> dict[str, Any]:
        """Seconds, memory and file size that a training will need on this machine."""
        from personal_avatar.training.estimate import estimate

        base = self.host.checkpoint()
        return estimate(plan_for(base, method, plan), base, photos)

    def health(self) -> dict[str, Any]:
        """Short answer for `GET /health`."""
        from personal_avatar import __version__
        from personal_avatar.errors import AvatarError

        try:
            checkpoint: str | None = self.host.checkpoint().title
        except AvatarError:
            checkpoint = None
        return {"status": "ok", "version": __version__, "host": self.host.name, "checkpoint": checkpoint,
                "active_jobs": self.jobs.count(states=ACTIVE)}


def _noun(request: TrainRequest) -> str:
    """The class that is trained; of a style it ends with that word."""
    is_style = request.plan.get("goal") == Goal.STYLE.value
    return STYLE_NOUN if is_style and not request.class_noun.endswith(STYLE_NOUN) else request.class_noun


def _of_method(plan: dict[str, Any], method: Method) -> dict[str, Any]:
    """Those settings that a method has."""
    return {name: value for name, value in plan.items() if name in PLANS[method].__fields__}


def _labels(avatar: Avatar | None, user_id: str, title: str = "") -> Labels:
    """What a job says of itself in lists; `title`: where it has no avatar."""
    named = (avatar.name, avatar.id) if avatar else (title, "")
    return {"title": named[0], "user_id": user_id, "avatar_id": named[1]}


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given; of folders, the files directly inside but captions, in the order of their names, and of
    datasets of kohya's trainers the pictures of their folders."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and (inside := kohya.folders_in(path)):
            found += pictures_in(inside)
        elif path.is_dir():
            files = (child for child in path.iterdir() if child.is_file() and not child.name.startswith("."))
            found += sorted(without_captions(files))
        else:
            found.append(path)
    return found
