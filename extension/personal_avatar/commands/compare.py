"""`personal-avatar compare`."""
from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar import commandline, documents
from personal_avatar.commands.common import (
    DONE,
    DOOR,
    FAILED,
    exit_status,
    follow,
    local_studio,
    pictures,
    settle,
    whoever_runs_this,
)
from personal_avatar.commands.train import STATED_HERE, show_training
from personal_avatar.errors import (
    AvatarError,
    Crashed,
    InvalidSettings,
    NotWritable,
    TooFewPhotos,
    WrongState,
    first_line,
    named,
)
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.params import pairs
from personal_avatar.reports.comparison import Row, notes, to_document, write_comparison_sheet
from personal_avatar.reports.comparison import table as words_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.trainings import WAYS, way_of
from personal_avatar.studio.works import TRAIN, manner
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import method_name

WITH_ROW = frozenset({State.SUCCEEDED, State.FAILED})  # states of jobs that have a row
SHEET = "comparison.png"


@dataclass(frozen=True)
class Comparison:
    """Jobs of one avatar, in their order; `left_out`: ways that are not among them, and why."""

    avatar_id: str
    name: str
    jobs: Sequence[Job]
    left_out: Mapping[str, AvatarError] = field(default_factory=dict)


def compare(args: Namespace, terminal: Terminal) -> int:
    """One method after the other, then the table and the sheet; a method that failed, or lacks something, is told and
    left out. Without photos: what was compared before, with --resume what was interrupted of it first."""
    _refuse_odd(args)
    studio = local_studio(args.data, args.checkpoint)
    settle(studio)
    begun = _started(studio, args) if args.photos else _found(studio, args.name)
    for way, error in begun.left_out.items():
        terminal.complain(f"{method_name(way)}: left out. {error.message} {error.hint}")
    status = _run(studio, begun.jobs, args.resume, terminal) if args.photos or args.resume else DONE
    return max(status, _tell(studio, begun, _rows(studio, begun, bool(args.photos)), args.out, terminal))


def _refuse_odd(args: Namespace) -> None:
    if args.photos and args.resume:
        raise InvalidSettings("--resume goes on with photos that are known.", "Leave out --photos, or --resume.")
    if not args.photos and (args.methods or args.pairs or args.consent is not None):
        said = "Without --photos nothing new is compared: --methods, --set and --consent say nothing."
        raise InvalidSettings(said, "Name the photos, or leave these out.")


def _started(studio: Studio, args: Namespace) -> Comparison:
    request = TrainRequest(
        name=args.name, photos=tuple(pictures(args.photos)), class_noun=args.class_noun, plan=pairs(args.pairs),
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    started = studio.trainings.compare(request, args.methods or WAYS)
    return Comparison(started.jobs[0].avatar_id, args.name, started.jobs, started.left_out)


def _found(studio: Studio, name: str) -> Comparison:
    """What has not ended of the avatar of this name. Raises `NotFound`."""
    avatar = studio.avatars.find(name)
    return Comparison(avatar.id, avatar.name, [view.job for view in studio.trainings.unfinished(avatar.id)])


def _run(studio: Studio, jobs: Sequence[Job], resumes: bool, terminal: Terminal) -> int:
    """One after the other; returns the exit status. Where one is interrupted the later ones rest as it does.
    `resumes`: those that rest go on."""
    status = DONE
    for number, job in enumerate(jobs):
        if (view := studio.jobs.view(job.id)).status.state not in ACTIVE:
            continue  # ended by somebody else meanwhile
        terminal.say(f"\n{manner(job)}")
        if resumes and view.status.state is State.PAUSED:
            studio.queue.resume(job.id, here=False)
        view, interrupted = follow(studio, job, terminal)
        if job.kind == TRAIN:
            show_training(documents.training(view), terminal)
        status = max(status, exit_status(studio, view, interrupted, terminal))
        if interrupted or _is_vain(view):
            _stop(studio, view, jobs[number + 1 :], terminal)
            break
    return status


def _is_vain(view: JobView) -> bool:
    """Whether every other method would fail as this one did, on the same photos."""
    return (view.status.error or {}).get("code") == TooFewPhotos.code


def _stop(studio: Studio, last: JobView, later: Sequence[Job], terminal: Terminal) -> None:
    """What waits behind a job that was interrupted rests until it is resumed; behind one that was cancelled, or that
    failed for all of them, it is cancelled."""
    waiting = [job for job in later if studio.jobs.status(job.id).state is State.QUEUED]
    ends = last.status.state is State.CANCELLED or _is_vain(last)
    for job in waiting:
        (studio.queue.cancel if ends else studio.queue.hold)(job.id)
    if waiting and ends:
        terminal.complain(f"Cancelled with it: {', '.join(map(manner, waiting))}.")


def _rows(studio: Studio, begun: Comparison, fresh: bool) -> list[Row]:
    """The table; without rows as long as nothing of a `fresh` comparison has one: what there is then is of another."""
    if fresh and not any(studio.jobs.status(job.id).state in WITH_ROW for job in begun.jobs):
        return []
    return studio.trainings.comparison(begun.avatar_id)


def _tell(studio: Studio, begun: Comparison, rows: Sequence[Row], out: Path, terminal: Terminal) -> int:
    """Table, sheet, what is not finished, and the document; returns the exit status."""
    unfinished = studio.trainings.unfinished(begun.avatar_id)
    _say(rows, terminal)
    error = _sheet(begun.name, rows, out) if rows else _nothing(begun.name, unfinished)
    if error is not None:
        terminal.complain(str(error))
    if unfinished:
        terminal.complain(_going_on(studio, begun.name, unfinished, out))
    terminal.document({
        "methods": to_document(rows), "notes": notes(rows),
        "files": [str(out / SHEET)] if rows and error is None else [], "left_out": _left_out(studio, begun),
        "unfinished": [
            {"method": way_of(view.job), "job": view.job.id, "state": view.status.state.value} for view in unfinished
        ],
        "error": error.to_json() if error else None,
    })
    return FAILED if error else DONE


def _say(rows: Sequence[Row], terminal: Terminal) -> None:
    if rows:
        terminal.say("\n" + table(words_of(rows)))
    for note in notes(rows):
        terminal.say(note)


def _sheet(name: str, rows: Sequence[Row], out: Path) -> AvatarError | None:
    """Write the sheet; why that failed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_comparison_sheet(name, rows, out / SHEET)
    except OSError as error:
        said = f"The sheet could not be written: {first_line(error)}."
        hint = "Name another folder, without --photos: nothing is trained again."
        return NotWritable(said, hint) if isinstance(named(error), Crashed) else named(error)
    return None


def _nothing(name: str, unfinished: Sequence[JobView]) -> AvatarError | None:
    """That there is no table, and what gives one; None where that is yet to come."""
    if unfinished:
        return None
    return WrongState(f"No method was compared for {name} yet.", "Name the photos: --photos DIR.")


def _left_out(studio: Studio, begun: Comparison) -> dict[str, Any]:
    """By method: why it has no row and will have none."""
    status = {way_of(job): studio.jobs.status(job.id) for job in begun.jobs}
    cancelled = {way: one.error for way, one in status.items() if one.state is State.CANCELLED}
    return {**{way: error.to_json() for way, error in begun.left_out.items()}, **cancelled}


def _going_on(studio: Studio, name: str, unfinished: Sequence[JobView], out: Path) -> str:
    data = studio.host.folders().data
    command = commandline.of("compare", "--name", name, "--resume", "--out", str(out), data=data)
    told = ", ".join(f"{manner(view.job)} ({view.status.state.value})" for view in unfinished)
    return f"Not finished: {told}. To go on: {command}"
