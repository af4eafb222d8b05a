"""What several commands need: a studio on this machine, settings from words, waiting for a job with a bar."""
from __future__ import annotations

import getpass
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from personal_avatar import commandline
from personal_avatar.errors import BadInput, WrongState
from personal_avatar.jobs.events import Log, Progress, Record, Score, Stage
from personal_avatar.jobs.states import RESTING, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.rules import rules_from
from personal_avatar.studio import Studio, pictures_in
from personal_avatar.terminal import Bar, Terminal
from personal_avatar.wording import has, score, text

DOOR = "command line"
DONE, FAILED, INTERRUPTED = 0, 1, 130
LOOK_S = 0.3
PATIENCE_S = 90.0


def whoever_runs_this() -> str:
    """The name at this machine of who states something by running a command."""
    return getpass.getuser()


def local_studio(data: Path | None, checkpoint: str = "") -> Studio:
    """A studio without a WebUI on the data folder; `checkpoint`, when given, is used here, and from now on once a job
    with it was accepted. It runs the jobs that it is given to `follow`, and no others: they may be those of a WebUI on
    the same folder."""
    from personal_avatar.standalone.host import StandaloneHost

    host = StandaloneHost(data, rules=rules_from({}, os.environ))
    if checkpoint:
        host.try_checkpoint(checkpoint)
    return Studio(host, serves=False)


def keep_checkpoint(studio: Studio) -> None:
    """What was asked for was accepted: the checkpoint that was named for it is used from now on."""
    from personal_avatar.standalone.host import StandaloneHost

    if isinstance(studio.host, StandaloneHost):
        studio.host.keep_checkpoint()


def pictures(args_paths: list[Path]) -> list[Path]:
    """The files named, and those in the folders named, each once; raises `BadInput` when something is not there."""
    missing = [str(path) for path in args_paths if not path.exists()]
    if missing:
        raise BadInput(f"There is no {', '.join(missing)}.", "Check the path.")
    found = pictures_in(args_paths)
    if not found:
        raise BadInput(f"There are no files in {', '.join(str(path) for path in args_paths)}.", "Name another folder.")
    return list({path.parent.resolve() / path.name: path for path in found}.values())


def settle(studio: Studio) -> None:
    """Collect what programs left that are gone; nothing where the data folder cannot be written to."""
    with suppress(OSError):
        studio.queue.settle()


def follow(
    studio: Studio, job: Job, terminal: Terminal, before_it_stops: Callable[[], None] = lambda: None
) -> tuple[JobView, bool]:
    """Run a job, which was accepted, and show it until it has ended or rests; (the job, whether Ctrl-C or SIGTERM
    interrupted it). Another program on the same data folder may be the first to run it.

    A job that can be paused is then paused, another one cancelled: what it has is kept. A second Ctrl-C cancels.
    `before_it_stops`: done first where it is interrupted."""
    keep_checkpoint(studio)
    shown = Shown(terminal, studio.host.folders().data)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    _begun(studio, job)
    try:
        return _until_it_rests(studio, job, shown), False
    except KeyboardInterrupt:
        shown.close()
        return _interrupted(studio, job, terminal, before_it_stops), True
    finally:
        shown.close()
        signal.signal(signal.SIGTERM, before)


def _begun(studio: Studio, job: Job) -> None:
    threading.Thread(target=studio.queue.run_here, args=(job,), name="avatar-command", daemon=True).start()


def _interrupted(studio: Studio, job: Job, terminal: Terminal, before_it_stops: Callable[[], None]) -> JobView:
    try:
        before_it_stops()
        view = _paused(studio, job, terminal)
    except KeyboardInterrupt:
        view = _cancelled(studio, job, terminal)
    if view.status.state is State.PAUSED:
        terminal.complain(f"It can go on from step {view.step}: {command_for(studio, 'resume', view)}")
    elif view.status.state not in RESTING:
        terminal.complain(
            "Its present step takes long; it stops after that. To see whether it has:"
            f" {command_for(studio, 'show', view)}. If it was not cancelled, it goes on then:"
            f" {command_for(studio, 'resume', view)}"
        )
    return view


def _paused(studio: Studio, job: Job, terminal: Terminal) -> JobView:
    """The job at rest; one that cannot be paused ends."""
    try:
        studio.queue.pause(job.id)
    except WrongState:
        rests = studio.jobs.status(job.id).state in RESTING  # it came to that meanwhile
        return studio.jobs.view(job.id) if rests else _cancelled(studio, job, terminal)
    terminal.complain("Interrupted: the job stops after its present step. Ctrl-C again cancels it.")
    return studio.queue.wait(job.id, PATIENCE_S)


def command_for(studio: Studio, action: str, view: JobView) -> str:
    """What to write to resume or cancel a job, or do something else with it."""
    return commandline.of("jobs", action, view.job.id[:8], data=studio.host.folders().data)


def _cancelled(studio: Studio, job: Job, terminal: Terminal) -> JobView:
    terminal.complain("Interrupted: the job ends after its present step and keeps what it has.")
    with suppress(WrongState):  # it has ended meanwhile
        studio.queue.cancel(job.id)
    return ended(studio, job)


def ended(studio: Studio, job: Job) -> JobView:
    """Wait for the end of a job that was cancelled; one that rested and has something to keep does that here."""
    _begun(studio, job)
    return studio.queue.wait(job.id, PATIENCE_S)


def _until_it_rests(studio: Studio, job: Job, shown: Shown) -> JobView:
    seen = 0
    while True:
        rests = studio.jobs.status(job.id).state in RESTING
        for record in studio.events(job.id, seen):
            seen = record.id
            shown(record)
        if rests:
            return studio.jobs.view(job.id)
        time.sleep(LOOK_S)


class Shown:
    """Events of a job as bars and sentences. `data`: the folder that commands in them are for."""

    def __init__(self, terminal: Terminal, data: Path) -> None:
        self._terminal, self._data = terminal, data
        self._bar: Bar | None = None

    def __call__(self, record: Record) -> None:
        event = record.event
        if isinstance(event, Stage):
            self.close()
            key = f"stage.{event.name}"
            self._terminal.say(f"  {text(key) if has(key) else event.name}")
            self._bar = self._bar if event.within else self._terminal.bar(event.name)
        elif isinstance(event, Progress) and self._bar is not None:
            self._bar(event.step, event.total, f"  loss {event.loss:.3f}" if event.loss is not None else "")
        elif isinstance(event, Score):
            self.close()
            self._terminal.say(f"    likeness {score(event.likeness)} at step {event.step}")
        elif isinstance(event, Log):
            self.close()
            self._terminal.say(f"    {commandline.named_here(event.message, self._data)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def exit_status(studio: Studio, view: JobView, interrupted: bool, terminal: Terminal) -> int:
    """The exit status for how a job of the studio ended; a failure is told on stderr."""
    if interrupted:
        return INTERRUPTED
    if view.status.state is State.SUCCEEDED:
        return DONE
    if view.status.state is State.PAUSED:
        terminal.complain(f"The job was paused. To go on: {command_for(studio, 'resume', view)}")
        return INTERRUPTED
    error = view.status.error or {}
    terminal.complain(f"{error.get('message', 'The job failed.')} {error.get('hint', '')}")
    return FAILED
