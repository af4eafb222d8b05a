"""The use cases. Page, API and command line call only this; it knows the host by its protocol alone."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar import documents
from personal_avatar.avatars import AvatarStore
from personal_avatar.captions.files import without_captions
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Avatar, BaseModelFile, Dataset, Method, PhotoChoice, PhotoReport, Style
from personal_avatar.errors import BadInput, InvalidSettings
from personal_avatar.host import Host
from personal_avatar.jobs.events import Record, read_events
from personal_avatar.jobs.executors import executor_for
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import NO_FILES, Job, JobStore
from personal_avatar.params import validated
from personal_avatar.photos import kohya
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import stated
from personal_avatar.shipped import AVATAR_TINY
from personal_avatar.storage import is_special
from personal_avatar.studio import oneshot
from personal_avatar.studio.again import OWN_PROMPT
from personal_avatar.studio.captioning import Captioning
from personal_avatar.studio.comparing import Comparing
from personal_avatar.studio.datasets import Datasets
from personal_avatar.studio.efforts import effort
from personal_avatar.studio.erasing import Erasing
from personal_avatar.studio.gallery import Gallery
from personal_avatar.studio.inventing import Invention
from personal_avatar.studio.rankings import Rankings
from personal_avatar.studio.remains import cleared
from personal_avatar.studio.requests import CreateRequest, labels, photos_meant, refuse_count
from personal_avatar.studio.restoring import Restoring
from personal_avatar.studio.results import dropped, taken
from personal_avatar.studio.sizing import Sizing
from personal_avatar.studio.trained import here
from personal_avatar.studio.trainings import Trainings
from personal_avatar.studio.turns import in_turn
from personal_avatar.studio.webhooks import Webhooks
from personal_avatar.studio.works import COMPARED, CREATE, TRAIN, WORKS, can_pause
from personal_avatar.styles import library
from personal_avatar.styles.filling import fill
from personal_avatar.styles.wildcards import Wildcards, has_wildcards
from personal_avatar.training.planning.plan import plan_for

FILES_OF_WINDOWS = ("thumbs.db", "desktop.ini")  # in folders whose pictures its Explorer showed

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser
    from personal_avatar.photos.memory import Memory
    from personal_avatar.studio.creating import CreateSettings
    from personal_avatar.studio.oneshot import IdentityStatus



class Studio:
    """One studio per host. Creating it does no work; `open()` takes up the jobs that wait. `serves`: see JobQueue."""

    def __init__(self, host: Host, *, serves: bool = True) -> None:
        self.host = host
        data = host.folders().data
        self.avatars = AvatarStore(data / "avatars")
        self.jobs = JobStore(data / "jobs", brief={CAPTION}, effort=effort, together=COMPARED)
        works = {kind: partial(work, self) for kind, work in WORKS.items()}
        self.datasets = Datasets(self)
        self.trainings = Trainings(self)
        self.comparing = Comparing(self)
        self.queue = JobQueue(
            self.jobs, works, host.trainer, partial(taken, self),
            before=self.datasets.before_training, rules=host.rules,
            pausable=can_pause, executor=lambda: executor_for(host.rules(), host.folders().data),
            advise=lambda job, error: self.sizing.advised(job, cleared(self.jobs, job, error)),
            before_each=self.datasets.before_each_start, host=host.name, serves=serves,
        )
        self.rankings = Rankings(self)
        self.restoring = Restoring(self)
        self.gallery = Gallery(self)
        self._erasing = Erasing(self)
        self.invention = Invention(self)
        self.sizing = Sizing(self)
        self.captions = Captioning(self)
        self.webhooks = Webhooks(self)
        self.queue.listen(partial(dropped, self))
        self.queue.listen(self.webhooks.ended)
        self._analyser: FaceAnalyser | None = None
        self._starting = threading.Lock()
        self.checking = threading.Lock()  # photos of a request from elsewhere

    @property
    def starting(self) -> AbstractContextManager[None]:
        """Within, nobody else begins anything of somebody or erases anybody, neither here nor in another program on
        this data folder. Raises `WrongState` when another program takes too long, `NotWritable` without its file."""
        return in_turn(self._starting, self.host.folders().data / ".starting.lock")

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
        *, remember: bool = False, class_noun: str = "",
    ) -> PhotoReport:
        """The report before training, one verdict a photo. `choices`: what the user decided, by SHA-256; `remember`:
        the same files will be checked again, see `seen`; `class_noun`: see `photos_meant`."""
        from personal_avatar.photos.advice import with_animal
        from personal_avatar.photos.report import check
        from personal_avatar.photos.together import cores

        refuse_count(len(photos))
        wanted = validated(PhotoSettings, photos_meant(class_noun, settings or {}))
        seen = self.seen if remember else None
        found = check(photos, self.analyser_of(photos, wanted), wanted, on_progress, choices, seen, cores())
        return with_animal(found, class_noun, wanted)

    @cached_property
    def seen(self) -> Memory:
        """What was seen in laid-out photos, until they are erased."""
        from personal_avatar.photos.memory import Memory

        return Memory()

    def prepare_photos(
        self, report: PhotoReport, out: Path, resolution_px: int, class_noun: str,
        settings: dict[str, Any] | None = None, say: Callable[[str], None] = lambda sentence: None,
    ) -> Dataset:
        """Cut and caption the accepted photos into `out`; see `Datasets.prepare`."""
        return self.datasets.prepare(report, out, resolution_px, class_noun, settings, say)

    # -- portraits

    def create(self, request: CreateRequest) -> Job:
        """Put the making of portraits into the queue. Raises, before anything starts, when the person, the photos, the
        settings or the checkpoint cannot work."""
        from personal_avatar.studio.creating import CreateSettings, CreateTask, tags
        from personal_avatar.studio.sitters import planned, seated

        self.queue.refuse_when_full()
        avatar = self.avatars.find(request.avatar_id, request.user_id) if request.avatar_id else None
        one_shot, files = planned(request, avatar is not None)
        settings: CreateSettings = validated(CreateSettings, request.settings)
        styles = self._wanted_styles(request)
        if settings.count < request.kinds:
            said = f"{request.kinds} styles (a prompt is one) need as many pictures; asked for were {settings.count}."
            raise InvalidSettings(said, "Ask for more pictures, or choose fewer styles.")
        wildcards = Wildcards(self.host.folders().wildcards)
        filled = [fill(style, "person", settings.dict()) for style in styles]
        for text in (text for texts in filled for text in texts):
            wildcards.refuse_unknown(text)
        known = (prompt for prompt, *_ in filled if not has_wildcards(prompt))
        self.host.refuse_unknown(settings.sampler, " ".join((*known, *tags(settings.loras))))
        seated(self, avatar, one_shot, files, settings.lora_weight)
        task = CreateTask(avatar.id if avatar else "", styles, settings.dict(), one_shot, request.negative_prompt)
        return self.submit(CREATE, task, avatar, user_id=request.user_id, title=one_shot.title, files=files)

    def _wanted_styles(self, request: CreateRequest) -> tuple[Style, ...]:
        """With what the pictures shall not show, beside what each style says itself."""
        own, unwanted = self.host.styles(), request.negative_prompt.strip()
        found = (library.find(style, own) for style in dict.fromkeys(request.styles))
        styles = tuple(
            replace(style, negative_prompt=", ".join(filter(None, (style.negative_prompt, unwanted))))
            for style in found
        )
        if request.prompt.strip():
            prompt = request.prompt if "{subject}" in request.prompt else "{subject}, " + request.prompt
            styles += (Style(OWN_PROMPT, "Prompt", prompt, request.negative_prompt, origin="own"),)
        if not styles:
            raise stated(InvalidSettings, "refusal.nostyle", "refusal.nostyle.hint")
        return styles

    def styles(self) -> tuple[Style, ...]:
        """Shipped styles and the user's own."""
        return library.shipped() + self.host.styles()

    def identity_status(self) -> IdentityStatus:
        """What can be done without training now: methods that work, adapters found, what is missing and where from."""
        return oneshot.status(self.host)

    # -- avatars

    def told_of(self, avatars: Iterable[Avatar]) -> list[dict[str, Any]]:
        """The documents of avatars, with their numbers of photos and whether they can be used."""
        training = {view.job.avatar_id for view in self.jobs.views(states=ACTIVE, kind=TRAIN)}
        return [self._told_of(avatar, avatar.id in training) for avatar in avatars]

    def _told_of(self, avatar: Avatar, is_training: bool) -> dict[str, Any]:
        found = here(avatar.checkpoints, self.host.folders())
        usability = "ready" if found else "lost" if avatar.checkpoints else "untrained"
        state = "training" if is_training else usability
        return documents.avatar(avatar, len(self.avatars.photos(avatar.id)), state, found)

    def delete_avatar(self, avatar_id: str) -> dict[str, Any]:
        """Erase a person: photos, embeddings, trained files, portraits, jobs; says what was erased and what is left.

        Raises `NotFound`, and `WrongState`, after which it can be tried again; see `Erasing`.
        """
        return self._erasing(avatar_id)

    def forget(self) -> None:
        """Nothing that was read of anybody stays in memory, here and in the host."""
        self.gallery.forget()
        self.host.forget()
        self.seen.forget()

    # -- jobs

    def events(self, job_id: str, after: int = 0) -> Iterator[Record]:
        return read_events(self.jobs.folder(job_id), after)

    def submit(
        self, kind: str, task: object, avatar: Avatar | None, *, user_id: str, title: str,
        files: Mapping[str, Path] = NO_FILES,
    ) -> Job:
        """Put a job into the queue, about an avatar or somebody without one, who is called `title`.

        Nobody is erased meanwhile. Raises `NotFound` when the avatar was erased since it was looked up, such as while
        models were loaded; and `QueueFull`.
        """
        named = labels(avatar, user_id, title)
        if avatar is None:
            return self.queue.submit(kind, task, files=files, **named)
        with self.starting:
            self.avatars.load(avatar.id)
            return self.queue.submit(kind, task, files=files, **named)

    # -- the shipped checkpoint, health

    def install_tiny(self) -> BaseModelFile:
        """Put avatar-tiny where the host finds checkpoints."""
        return self.host.install_checkpoint(AVATAR_TINY)

    def estimate(self, photos: int, method: Method, plan: dict[str, Any]) -> dict[str, Any]:
        """Seconds, memory and file size that a training will need on this machine."""
        from personal_avatar.training.planning.estimate import estimate

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


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given; of folders, the files directly inside but captions and what the system put there, in the
    order of their names, and of datasets of kohya's trainers the pictures of their folders. Raises `BadInput` for a
    pipe, a device or a socket that was named."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and (inside := kohya.folders_in(path)):
            found += pictures_in(inside)
        elif path.is_dir():
            files = (child for child in path.iterdir() if child.is_file() and not _is_of_the_system(child.name))
            found += sorted(without_captions(files))
        elif is_special(path):
            raise stated(BadInput, "failure.special", "remedy.ordinary", file=path)
        else:
            found.append(path)
    return found


def _is_of_the_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in FILES_OF_WINDOWS
