"""A job that is done elsewhere, followed from here: its events, its log, its files, its end."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from personal_avatar import caveats
from personal_avatar.errors import JobDamaged, from_json
from personal_avatar.jobs.control import PAUSE, PauseTaken
from personal_avatar.jobs.events import Done, Event, Failed, Log, Paused, Started, parse, read_events
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER, STATE_COMPLETE, STATE_FOLDER
from personal_avatar.jobs.places import Places
from personal_avatar.naming import described
from personal_avatar.photos import dataset as datasets
from personal_avatar.problems import stated
from personal_avatar.training.files import free_stem
from personal_avatar.wording import text
from personal_avatar.worker.cluster.carrying import names
from personal_avatar.worker.cluster.node import AVATAR, JOB, PUBLISHED, News
from personal_avatar.worker.cluster.parcels import Inbox, Ledger, Note, batches, inside
from personal_avatar.worker.cluster.ray_cluster import NodeLost, Place
from personal_avatar.worker.cluster.sending import Trip

POLL_S = 0.5
STATE = f"{JOB}/{STATE_FOLDER}"
COMPLETE = f"{STATE}/{STATE_COMPLETE}"
SIGNALLED = 128  # plus the signal's number: how shells tell that one ended a process


class Wordless(Exception):
    """The worker over there ended without a last word. `status`: as a shell tells it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the worker ended with exit code {exit_code}")
        self.status = exit_code if exit_code >= 0 else SIGNALLED - exit_code


class Following:
    """One stay of a job on one machine."""

    def __init__(self, place: Place, trip: Trip) -> None:
        self._place, self._trip, self._folder = place, trip, trip.folder
        self._emit = trip.heeding.emit
        self._ledger = Ledger()
        self._known = {_line(record.at, record.event) for record in read_events(trip.folder)}
        self._events_read, self._log_read = 0, trip.log_bytes
        self._last: Done | Failed | Paused | None = None
        self._passed_on: list[str] = []

    def to_the_end(self) -> dict[str, Any]:
        """The result, mapped to the folders here. Raises `NodeLost`, and what ended the job."""
        while True:
            self._passed_on = self._trip.heeding.wishes()
            news: News = self._place.ask("news", self._events_read, self._log_read, self._passed_on)
            if news.looked:
                self._fetch_job(news)
            self._tell(news)
            if not news.running:
                return self._end(news)
            self._trip.heeding.look()
            time.sleep(POLL_S)

    # -- events and log

    def _tell(self, news: News) -> None:
        """Pass on what is new, but for last words, which are the answer: they come when all files are here."""
        sys.stderr.write(news.log.decode("utf-8", errors="replace"))
        sys.stderr.flush()
        self._log_read += len(news.log)
        self._events_read += len(news.events)
        for line in news.events.decode("utf-8", errors="replace").splitlines():
            parsed = parse(line)
            if parsed is None or isinstance(parsed[1], Started):
                continue
            at, event = parsed
            if isinstance(event, Done | Failed | Paused):
                self._last = event
            elif _line(at, event) not in self._known:
                self._emit.tell(event, at)

    # -- files

    def _fetch_job(self, news: News) -> None:
        """Artefacts, then the state: `complete.json` comes last and makes it the valid one."""
        here = {f"{JOB}/{part}": self._folder / part for part in (ARTIFACTS_FOLDER, STATE_FOLDER)}
        notes = [note for note in news.notes if note.path.startswith(tuple(here))]
        self._fetch(notes, lambda name: inside(self._folder, name.partition("/")[2]))
        for prefix, folder in here.items():
            kept = {note.path for note in notes}
            if prefix != STATE or COMPLETE in kept and self._all_here(notes):
                _remove_others(folder, prefix, kept)

    def _fetch(self, notes: list[Note], place: Callable[[str], Path]) -> None:
        """What is not here already. Files that are replaced there meanwhile come with the next news."""
        wanted = [note for note in notes if not self._is_here(place(note.path), note)]
        inbox = Inbox(place, wanted)
        try:
            for spans in batches(wanted):
                inbox.take(self._place.ask("read", spans))
                self._heed()
        except (FileNotFoundError, JobDamaged):
            return
        finally:
            inbox.drop()

    def _heed(self) -> None:
        """While large files are fetched, for minutes: the work there need not go on for as long."""
        self._trip.heeding.look()
        wishes = self._trip.heeding.wishes()
        if wishes != self._passed_on:
            self._place.ask("heed", wishes)
            self._passed_on = wishes

    def _all_here(self, notes: list[Note]) -> bool:
        return all(self._is_here(inside(self._folder, note.path.partition("/")[2]), note) for note in notes)

    def _is_here(self, path: Path, note: Note) -> bool:
        return path.is_file() and path.stat().st_size == note.size and self._ledger.note(path, "").sha256 == note.sha256

    # -- the end

    def _end(self, news: News) -> dict[str, Any]:
        last = self._last
        if last is None:
            raise Wordless(1 if news.exit_code is None else news.exit_code)
        if isinstance(last, Paused):
            self._paused(last.step)
        if isinstance(last, Done):
            return self._published(last.result, news)
        error = from_json(last.error)
        if kept := last.error.get("result"):
            error.result = self._published(kept, news)
        raise error

    def _paused(self, step: int) -> NoReturn:
        """A pause that was withdrawn while nobody looked is none: the job is sent again."""
        if self._trip.heeding.control.asked(PAUSE):
            raise PauseTaken(step)
        raise NodeLost("it had paused, and is wanted again")

    def _published(self, result: dict[str, Any], news: News) -> dict[str, Any]:
        """Bring the finished files into the host's folder, and the dataset into the avatar's; paths become ours."""
        self._take_dataset(names(list(news.notes), f"{AVATAR}/dataset"))
        there = str(self._trip.places.there(str(self._trip.task.publish_to)))
        files = [note for note in names(list(news.notes), PUBLISHED) if note.size or note.path in _told(result, there)]
        new_names = self._free_names([note.path for note in files], files)
        fetched = [Note(f"{PUBLISHED}/{note.path}", note.size, note.sha256) for note in files]
        target = self._trip.task.publish_to
        self._fetch(fetched, lambda name: inside(target, new_names[name[len(PUBLISHED) + 1 :]]))
        missing = [note for note in files if not self._is_here(target / new_names[note.path], note)]
        if missing:
            raise stated(JobDamaged, "failure.not_brought", file=missing[0].path)
        moved = tuple((str(target / new), f"{there}/{old}") for old, new in new_names.items())
        document: dict[str, Any] = Places((*self._trip.places.pairs, *moved)).here(result)
        self._mend_report()
        return document

    def _free_names(self, wanted: list[str], notes: list[Note]) -> dict[str, str]:
        """Name there -> name here. They were free when the job was sent; what took one since then keeps it."""
        task, target = self._trip.task, self._trip.task.publish_to
        if all(not (target / note.path).exists() or self._is_here(target / note.path, note) for note in notes):
            return {name: name for name in wanted}
        stem = min((name.split(".")[0] for name in wanted), key=len)
        free = free_stem(target, stem, *task.beside, of_lora=task.method.is_lora)
        self._emit(Log(text("log.renamed", word=stem, free_word=free)))
        return {name: free + name[len(stem) :] for name in wanted}

    def _take_dataset(self, notes: list[Note]) -> None:
        """The manifest is removed first and comes last, as everywhere."""
        folder = self._trip.task.avatar_folder / "dataset"
        manifest = next((note for note in notes if note.path == datasets.MANIFEST), None)
        if manifest is None or self._is_here(folder / datasets.MANIFEST, manifest):
            return
        folder.mkdir(parents=True, exist_ok=True)
        datasets.clear(folder)
        ordered = sorted(notes, key=lambda note: note.path == datasets.MANIFEST)
        self._fetch(
            [Note(f"{AVATAR}/dataset/{note.path}", note.size, note.sha256) for note in ordered],
            lambda name: inside(folder, name[len(AVATAR) + len("/dataset/") :]),
        )

    def _mend_report(self) -> None:
        """The report names files as they were called there, and goes on to do so where it cannot be written anew."""
        path = self._folder / ARTIFACTS_FOLDER / "report.json"
        if path.is_file():
            from personal_avatar.training.results.report import write_report

            try:
                write_report(path.parent, self._trip.places.here(json.loads(path.read_text(encoding="utf-8"))))
            except Exception as error:  # noqa: BLE001  what was trained is here
                why = described(error)
                self._emit(Log(caveats.said("NO_REPORT", why=why).text))


def _told(result: dict[str, Any], folder: str) -> set[str]:
    """Names of the files that a result says it has published."""
    return {str(file)[len(folder) + 1 :] for file in result.get("files", []) if str(file).startswith(folder)}


def _line(at: float, event: Event) -> str:
    """One and the same for the same event."""
    return json.dumps([at, event.kind, asdict(event)], sort_keys=True)


def _remove_others(folder: Path, prefix: str, kept: set[str]) -> None:
    """What is not there any more goes here, too: checkpoints that were not the best, states that were replaced."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = f"{prefix}/{path.relative_to(folder).as_posix()}"
        if path.is_dir() and not any(one.startswith(f"{name}/") for one in kept):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and name not in kept:
            path.unlink(missing_ok=True)
