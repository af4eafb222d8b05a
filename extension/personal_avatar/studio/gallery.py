"""Use cases: the pictures that were made."""
from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.albums import favourites
from personal_avatar.albums.entries import Entry
from personal_avatar.albums.sizes import ORIGINAL
from personal_avatar.erasure import erased
from personal_avatar.errors import NotFound, NotReadable, WrongState
from personal_avatar.jobs.events import SampleMade
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.jobs.states import ENDED
from personal_avatar.jobs.store import Job, JobView, named_in
from personal_avatar.storage import locked
from personal_avatar.studio import keeping
from personal_avatar.studio.again import request_like
from personal_avatar.studio.picking import VARIATION
from personal_avatar.studio.works import CREATE, INVENT, RANK, TRAIN
from personal_avatar.wording import DEFAULT

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

Stamp = tuple[int, ...]
log = logging.getLogger(__name__)


class Gallery:
    """What the doors may ask about finished pictures.

    A picture is named by its run and its number there: its place by rank when the run ended, 0 the best. The number is
    the picture's own for good; when others are deleted, theirs are not given away.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._changing = threading.Lock()
        self._known: dict[str, tuple[Stamp, tuple[Entry, ...]]] = {}

    # -- looking

    def runs(self, avatar_id: str | None = None, limit: int | None = None) -> list[JobView]:
        """Portrait jobs that left pictures, newest first: finished ones, and others that ended with what they had.
        `limit`: of so many of the newest."""
        views = self._studio.jobs.views(states=ENDED, kind=CREATE, avatar_id=avatar_id, limit=limit)
        return [view for view in views if view.result]

    def of(self, job_id: str) -> tuple[Entry, ...]:
        """Pictures of a run in the order of their numbers; read anew only when something of the run has changed. All
        without hearts while those cannot be read.

        Raises `NotFound`, also for a training.
        """
        folder = self._studio.jobs.folder(job_id)
        stamp = tuple(_stamp(folder / name) for name in (EVENTS_FILE, favourites.FILE))
        known = self._known.get(job_id)
        if known is None or known[0] != stamp:
            view = self._studio.jobs.view(job_id)
            if view.job.kind == TRAIN:
                raise NotFound(f"Job {job_id} makes no pictures.", "Look at the list of jobs.")
            try:
                liked = favourites.read(folder)
            except NotReadable as error:
                log.warning("%s No picture of run %s is shown as a favourite.", error.message, job_id)
                return tuple(_entries(view, folder, frozenset()))  # not remembered: they come back with the file
            known = self._known[job_id] = (stamp, tuple(_entries(view, folder, liked)))
        return known[1]

    def entry(self, job_id: str, number: int) -> Entry:
        """One picture. Raises `NotFound`."""
        entries = self.of(job_id)
        found = next((entry for entry in entries if entry.number == number), None)
        if found is None:
            raise NotFound(f"Job {job_id} has {len(entries)} pictures; there is no number {number}.")
        return found

    def picture(self, job_id: str, number: int) -> Path:
        """The file of a picture, the restored one when there is one. Raises `NotFound`."""
        return self.entry(job_id, number).shown

    def told_by(self, view: JobView) -> Iterator[Path]:
        """Pictures that a job told about, whether it came to its end or not."""
        for record in self._studio.events(view.job.id):
            if isinstance(record.event, SampleMade):
                yield self._studio.jobs.folder(view.job.id) / record.event.path

    def thumbnail(self, entry: Entry) -> Path:
        """A small WebP of a picture, kept with its run. Raises `UnreadablePhoto` when the picture is gone."""
        return keeping.thumbnail(self._studio.jobs.folder(entry.job_id), entry)

    def estimate(self, count: int) -> float | None:
        """Seconds that `count` portraits took of late on this machine; None while none were made."""
        results = [view.result for view in self.runs(limit=20)[:5] if view.result and view.result.get("images")]
        pictures = sum(len(result["images"]) for result in results)
        return round(count * sum(result["seconds"] for result in results) / pictures, 1) if pictures else None

    def more_like(self, entry: Entry, count: int = 4) -> Job:
        """Make more pictures as this one was made: painting over it as it was before restoration, with new seeds.

        Raises what `Studio.create` raises.
        """
        job, folder = self._studio.jobs.job(entry.job_id), self._studio.jobs.folder(entry.job_id)
        if job.kind != CREATE:
            raise WrongState("This picture was not painted here.", "Choose a portrait.")
        wish = request_like(job, entry.portrait.style, folder, count)
        return self._studio.create(replace(wish, image=entry.portrait.path, strength=VARIATION))

    # -- liking, deleting

    def favourite(self, job_id: str, number: int, liked: bool = True) -> Entry:
        """Mark a picture as one that somebody likes, or take the mark away. Raises `NotFound`,
        `NotReadable`."""
        with self._alone():
            self.entry(job_id, number)
            folder = self._studio.jobs.folder(job_id)
            favourites.write(folder, favourites.read(folder) - {number} | ({number} if liked else set()))
            return self.entry(job_id, number)

    def delete(self, job_id: str, number: int, host_files: bool = False) -> dict[str, Any]:
        """Delete a picture: its file, its restored twin, its record. The other pictures keep their numbers.

        A file that the host saved among its own pictures is deleted only with `host_files`, else it is listed under
        `left`. Raises `NotFound`, `WrongState` while the job has not ended, and where pictures were only ranked, and
        `NotReadable`; nothing is deleted then.
        """
        if self._studio.jobs.job(job_id).kind == RANK:
            raise WrongState("These pictures were only ranked here.", "Delete the files where they are.")
        with self._alone():
            files = self._delete(job_id, number, host_files)
        left = [str(path) for path in (*files, *self.drop_archives()) if path.exists()]
        return {"id": job_id, "number": number, "erased": [str(path) for path in files if str(path) not in left],
                "left": left}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes what is noted of pictures meanwhile, neither here nor in another program."""
        with self._changing, locked(self._studio.host.folders().data / ".gallery.lock"):
            yield

    def _delete(self, job_id: str, number: int, host_files: bool) -> list[Path]:
        """Files of the picture, whether they are gone now or not."""
        entry, folder = self.entry(job_id, number), self._studio.jobs.folder(job_id)
        if self._studio.jobs.status(job_id).state not in ENDED:
            raise WrongState("The run has not ended.", "Wait, or cancel it.")
        files = keeping.files_of(folder, entry)
        favourites.write(folder, favourites.read(folder) - {number})  # before a file goes, as it may be refused
        for path in files:
            if host_files or path.is_relative_to(folder):
                path.unlink(missing_ok=True)
        self._studio.jobs.amend(job_id, lambda event: keeping.without(event, folder, number, entry.portrait))
        keeping.forget_record(folder, number)
        return files

    def erase(self, job_id: str) -> dict[str, Any]:
        """Erase a job that has ended: its pictures, the photos that were given to it, its record.

        Pictures that the host saved into its own folders are only listed, and those that were only ranked where they
        are not even that. Raises `NotFound`, `WrongState`.
        """
        studio = self._studio
        view = studio.jobs.view(job_id)
        if view.job.kind == TRAIN:
            hint = f"Erase that: under Create on the page, or by `personal-avatar avatars erase {view.job.avatar_id}`."
            raise WrongState("A training belongs to its avatar.", hint)
        pictures = set(self.told_by(view)) | (named_in([view], "images") if view.job.kind != RANK else set())
        really = {path: os.path.realpath(path) for path in pictures}
        linked = studio.jobs.delete(job_id)
        studio.forget()
        left = [*keeping.left_of(pictures), *([linked] if linked else []), *self.drop_archives()]
        gone = [str(path) for path in sorted(pictures) if not os.path.exists(really[path])]
        return {"id": job_id, "erased": gone, "left": [*map(str, left)]}

    # -- taking along

    def taken(self, entry: Entry, size: str = ORIGINAL, kind: str = "", restored: bool = True) -> keeping.Taken:
        """A picture cut to a size around its face, in a format ("" its own where it can be kept), with infotext and
        the mark of generated pictures. `restored` False: as it was before. See `keeping.take`."""
        return keeping.take(self._studio, entry, size, kind, restored)

    def pack(
        self, entries: Sequence[Entry], target: Path, size: str = ORIGINAL, kind: str = "",
        on_progress: Callable[[int, int], None] | None = None, language: str = DEFAULT,
    ) -> Path:
        """Pictures as a zip at `target`, with contact sheets and a table of scores. See `keeping.pack`."""
        return keeping.pack(self._studio, entries, target, size, kind, on_progress, language)

    @property
    def archives(self) -> Path:
        """Where zips for download lie; they can be made again at any time."""
        return self._studio.host.folders().data / "cache" / "archives"

    def drop_archives(self) -> list[Path]:
        """Nothing that was deleted shall be left in a zip, nor in what a program that was killed had packed of one.
        Returns what is left."""
        return [archive for archive in self.archives.glob("*") if not erased(archive)]

    def forget(self) -> None:
        """Nothing of any run stays in memory."""
        self._known.clear()


def _entries(view: JobView, folder: Path, liked: frozenset[int]) -> Iterable[Entry]:
    for place, data in enumerate((view.result or {}).get("images", [])):
        number, portrait = keeping.number_of(data, place), keeping.portrait_of(data)
        yield Entry(
            view.job.id, number, portrait, view.job.avatar_id, view.job.title, view.job.created_at,
            number in liked, portrait.path.is_relative_to(folder), data.get("title") or "",
            view.job.kind in (CREATE, INVENT),
        )


def _stamp(path: Path) -> int:
    """When a file was written (ns); 0 while it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
