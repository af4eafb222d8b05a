"""`personal-avatar compare`."""
from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from personal_avatar import commandline, documents
from personal_avatar.commands.common import (
    DONE,
    DOOR,
    FAILED,
    PATIENCE_S,
    ended,
    exit_status,
    follow,
    local_studio,
    pictures,
    settle,
    whoever_runs_this,
)
from personal_avatar.commands.people import avatar_named, tell_nearly, word_for
from personal_avatar.commands.train import STATED_HERE, show_training
from personal_avatar.errors import (
    AvatarError,
    Cancelled,
    Crashed,
    InvalidSettings,
    NotWritable,
    TooFewPhotos,
    WrongState,
)
from personal_avatar.jobs.states import ACTIVE, RESTING, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.naming import first_line, named
from personal_avatar.params import pairs
from personal_avatar.reports.comparison import Row, notes, to_document
from personal_avatar.reports.comparison import table as words_of
from personal_avatar.reports.comparison_sheet import write_comparison_sheet
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.comparing import way_of
from personal_avatar.studio.picking import free
from personal_avatar.studio.plans import WAYS, Share, told
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
    shares: Mapping[str, Share] = field(default_factory=dict)


def compare(args: Namespace, terminal: Terminal) -> int:
    """One method after the other, then the table and the sheet; a method that failed, or lacks something, is told and
    left out. Without photos: what was compared before, with --resume what was interrupted of it first."""
    _refuse_odd(args)
    studio = local_studio(args.data, args.checkpoint)
    settle(studio)
    begun = _started(studio, args, terminal) if args.photos else _found(studio, args.name)
    for way, error in begun.left_out.items():
        terminal.complain(f"{method_name(way)}: left out. {error.message} {error.hint}")
    for line in told(begun.shares):
        terminal.say(line)
    status = _run(studio, begun.jobs, args.resume, terminal) if args.photos or args.resume else DONE
    return max(status, _tell(studio, begun, _rows(studio, begun, bool(args.photos)), args.out, terminal))


def _refuse_odd(args: Namespace) -> None:
    if args.photos and args.resume:
        raise InvalidSettings("--resume goes on with photos that are known.", "Leave out --photos, or --resume.")
    if not args.photos and (args.methods or args.pairs or args.consent is not None):
        said = "Without --photos nothing new is compared: --methods, --set and --consent say nothing."
        raise InvalidSettings(said, "Name the photos, or leave these out.")


def _started(studio: Studio, args: Namespace, terminal: Terminal) -> Comparison:
    request = TrainRequest(
        name=args.name, photos=tuple(pictures(args.photos)), class_noun=args.class_noun, plan=pairs(args.pairs),
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    tell_nearly(studio, request.name, terminal)
    started = studio.comparing.start(request, args.methods or WAYS)
    first = started.jobs[0]
    return Comparison(first.avatar_id, first.title, started.jobs, started.left_out, started.shares)


def _found(studio: Studio, name: str) -> Comparison:
    """What has not ended of the avatar with this name or id: that of whoever runs this, where there is one. Raises
    `NotFound`, `BadInput`."""
    avatar = avatar_named(studio, name.strip())
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
        later = jobs[number + 1 :]
        view, interrupted = follow(studio, job, terminal, partial(_hold, studio, later))
        if job.kind == TRAIN:
            show_training(documents.training(view), terminal)
        status = max(status, exit_status(studio, view, interrupted, terminal))
        if _is_vain(view) or (interrupted and view.status.state is State.CANCELLED):
            _cancel(studio, later, terminal)
            break
        if interrupted:
            _rest(studio, later)
            break
    return status


def _is_vain(view: JobView) -> bool:
    """Whether every other method would fail as this one did, on the same photos."""
    return (view.status.error or {}).get("code") == TooFewPhotos.code


def _hold(studio: Studio, later: Sequence[Job]) -> None:
    """Let what waits behind a job rest until it is resumed, the last one first: a program that serves the data folder
    takes the next one as soon as there is room. What runs by now is paused, or cancelled where it cannot be."""
    for job in reversed(later):
        for wish in (studio.queue.hold, studio.queue.pause, studio.queue.cancel):
            if studio.jobs.status(job.id).state in RESTING:
                break
            with suppress(WrongState):
                wish(job.id)
                break


def _rest(studio: Studio, later: Sequence[Job]) -> None:
    """Until all of them do."""
    _hold(studio, later)
    for job in later:
        studio.queue.wait(job.id, PATIENCE_S)


def _cancel(studio: Studio, later: Sequence[Job], terminal: Terminal) -> None:
    """What waits or rests behind a job that was cancelled, or that failed for all of them, the last one first."""
    going = [job for job in later if studio.jobs.status(job.id).state in ACTIVE]
    for job in reversed(going):
        with suppress(WrongState):  # it has ended meanwhile
            studio.queue.cancel(job.id)
    cancelled = [job for job in going if ended(studio, job).status.state is State.CANCELLED]
    if cancelled:
        terminal.complain(f"Cancelled with it: {', '.join(map(manner, cancelled))}.")


def _rows(studio: Studio, begun: Comparison, fresh: bool) -> list[Row]:
    """The table; without rows as long as nothing of a `fresh` comparison has one: what there is then is of another."""
    if fresh and not any(studio.jobs.status(job.id).state in WITH_ROW for job in begun.jobs):
        return []
    return studio.comparing.rows(begun.avatar_id)


def _tell(studio: Studio, begun: Comparison, rows: Sequence[Row], out: Path, terminal: Terminal) -> int:
    """Table, sheet, what is not finished, and the document; returns the exit status."""
    unfinished = studio.trainings.unfinished(begun.avatar_id)
    _say(rows, terminal)
    sheet = free(out / SHEET)
    error = _sheet(begun.name, rows, sheet) if rows else _nothing(studio, begun, unfinished, out)
    if error is not None:
        terminal.complain(str(error))
    elif rows:
        terminal.say(str(sheet))
    if unfinished:
        terminal.complain(_going_on(studio, begun, unfinished, out))
    terminal.document({
        "methods": to_document(rows), "notes": notes(rows),
        "files": [str(sheet)] if rows and error is None else [], "left_out": _left_out(studio, begun, rows),
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


def _sheet(name: str, rows: Sequence[Row], sheet: Path) -> AvatarError | None:
    """Write the sheet; why that failed."""
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_comparison_sheet(name, rows, sheet)
    except OSError as error:
        said = f"The sheet could not be written: {first_line(error)}."
        hint = "Name another folder, without --photos: nothing is trained again."
        return NotWritable(said, hint) if isinstance(named(error), Crashed) else named(error)
    return None


def _nothing(studio: Studio, begun: Comparison, unfinished: Sequence[JobView], out: Path) -> AvatarError | None:
    """That there is no table, and what gives one; None where that is yet to come."""
    if unfinished:
        return None
    if not begun.jobs:
        return WrongState(f"No method was compared for {begun.name} yet.", "Name the photos: --photos DIR.")
    earlier = studio.comparing.rows(begun.avatar_id)
    hint = f"What was compared before: {_command(studio, begun, out)}" if earlier else "To begin anew: --photos DIR."
    return Cancelled("All methods that were begun were cancelled, so there is no table of them.", hint)


def _left_out(studio: Studio, begun: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """By method: why it has no row and will have none."""
    status = {way_of(job): studio.jobs.status(job.id) for job in begun.jobs}
    cancelled = {way: one.error for way, one in status.items() if one.state is State.CANCELLED}
    lacking = {**{way: error.to_json() for way, error in begun.left_out.items()}, **cancelled}
    shown = {row.method for row in rows}
    return {way: error for way, error in lacking.items() if way not in shown}


def _going_on(studio: Studio, begun: Comparison, unfinished: Sequence[JobView], out: Path) -> str:
    told = ", ".join(f"{manner(view.job)} ({view.status.state.value})" for view in unfinished)
    return f"Not finished: {told}. To go on: {_command(studio, begun, out, '--resume')}"


def _command(studio: Studio, begun: Comparison, out: Path, *more: str) -> str:
    """The command that shows the comparison; by its id, as others may have given an avatar the same name."""
    data = studio.host.folders().data
    return commandline.of("compare", "--name", word_for(studio, begun.avatar_id), *more, "--out", str(out), data=data)
