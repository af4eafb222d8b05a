"""`personal-avatar jobs`: list, show, cancel, pause, resume, prioritise, erase, rebuild."""
from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypedDict

from personal_avatar import commandline, documents
from personal_avatar.commands.common import DONE, command_for, exit_status, follow, local_studio, settle
from personal_avatar.errors import InvalidSettings, NotFound, WrongState
from personal_avatar.jobs.job import HALTED
from personal_avatar.jobs.states import ACTIVE, ENDED, State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio import Studio
from personal_avatar.studio.works import manner, method_of
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import span

OF_ALL = ("list", "rebuild")  # actions that are not about one job


class Wanted(TypedDict):
    """Which jobs to list."""

    user_id: str | None
    states: list[State] | None
    kind: str | None


def run(args: Namespace, terminal: Terminal) -> int:
    if args.id and args.action in OF_ALL:
        raise InvalidSettings(f"jobs {args.action} is about all jobs: {args.id!r} says nothing.", "Leave it out.")
    studio = local_studio(args.data)
    if args.action == "list":
        return _list(studio, args, terminal)
    if args.action == "rebuild":
        return _rebuild(studio, terminal)
    if not args.id:
        raise InvalidSettings("No job was named.", f"Name the job: personal-avatar jobs {args.action} ID")
    view = studio.jobs.view(job_named(studio, args.id))
    if args.action == "prioritise":
        return _prioritise(studio, view, args.priority, terminal)
    actions = {"show": _show, "cancel": _cancel, "pause": _pause, "resume": _resume, "erase": _erase}
    return actions[args.action](studio, view, terminal)


def job_named(studio: Studio, beginning: str) -> str:
    """The one job whose id begins so."""
    found = [job_id for job_id in studio.jobs.ids() if job_id.startswith(beginning)]
    if len(found) != 1:
        listing = commandline.of("jobs", "list", data=studio.host.folders().data)
        raise NotFound(f"{len(found)} jobs begin with {beginning!r}.", f"Look at: {listing}")
    return found[0]


def _list(studio: Studio, args: Namespace, terminal: Terminal) -> int:
    """The newest of those that were asked for; `more` says how many were left out."""
    settle(studio)
    states = [State(name) for name in args.state] if args.state else None
    wanted: Wanted = {"user_id": args.user, "states": states, "kind": args.kind}
    views = studio.jobs.views(**wanted, limit=args.limit or None)
    more = studio.jobs.count(**wanted) - len(views)
    terminal.say(table([_row(studio, view) for view in views]) if views else "There are no jobs.")
    if more > 0:
        terminal.say(f"... and {more} older ones: --limit 0 shows all.")
    terminal.document({"jobs": [_document(view) for view in views], **({"more": more} if more > 0 else {})})
    return DONE


def _rebuild(studio: Studio, terminal: Terminal) -> int:
    count = studio.jobs.rebuild()
    terminal.say(f"The index was made anew: {count} jobs.")
    terminal.document({"jobs": count})
    return DONE


def _row(studio: Studio, view: JobView) -> tuple[str, ...]:
    job, began = view.job, time.strftime("%Y-%m-%d %H:%M", time.localtime(view.job.created_at))
    title = " · ".join(part for part in (job.title, manner(job)) if part)
    return job.id[:8], began, job.kind, title, view.status.state.value, ", ".join(_told(studio, view))


def _document(view: JobView) -> dict[str, Any]:
    return {**documents.job(view), "method": method_of(view.job)}


def _told(studio: Studio, view: JobView) -> Iterator[str]:
    """How far a job is; of one that nobody takes up, what does."""
    if not studio.queue.waits_in_vain(view):
        yield from _whereabouts(view)
    elif studio.queue.is_ours(view):
        yield f"no program takes it up: {command_for(studio, 'resume', view)}"
    else:
        yield f"begins when {_acceptor(view)} is open; to end it: {command_for(studio, 'cancel', view)}"


def _acceptor(view: JobView) -> str:
    """The program that alone begins a job, which works within it."""
    return f"the program that accepted it ({view.job.host})"


def _whereabouts(view: JobView) -> Iterator[str]:
    """How far a job is, when it begins or ends, and what is unusual about it."""
    if view.status.state in ACTIVE and view.total_steps:
        yield view.stage if view.past_loop else f"{view.within or view.stage} {view.step}/{view.total_steps}"
    if view.position:
        yield f"number {view.position}"
    if view.starts_in_s:
        yield f"starts in {span(view.starts_in_s)}"
    if view.eta_s and view.status.state is not State.PAUSED:
        yield f"done in {span(view.eta_s)}"
    if view.stalled == HALTED:
        yield "suspended by another program"
    elif view.stalled and view.silent_s is not None:
        yield f"no progress for {span(view.silent_s)}"
    if view.priority:
        yield f"priority {view.priority}"
    if view.status.restarts:
        yield f"restarted {view.status.restarts}x"


def _show(studio: Studio, view: JobView, terminal: Terminal) -> int:
    settle(studio)
    now = studio.jobs.view(view.job.id)
    _say(studio, now, terminal)
    if error := documents.plain_error(now):
        terminal.say(f"{error['code']}: {error['message']} {error['hint']}")
    terminal.document(_document(now))
    return DONE


def _say(studio: Studio, view: JobView, terminal: Terminal) -> None:
    """Where a job stands, and the files that it made."""
    terminal.say("  ".join(_row(studio, view)).rstrip())
    for file in (view.result or {}).get("files", []):
        terminal.say(f"  {file}")


def _cancel(studio: Studio, view: JobView, terminal: Terminal) -> int:
    """Ask, then wait; when the program that watched the job is gone, its end is settled here."""
    studio.queue.cancel(view.job.id, here=False)
    ended = studio.queue.run_here(view.job)
    studio.webhooks.first_try(view.job.id)
    terminal.say(f"{view.job.id[:8]} {ended.status.state.value}")
    terminal.document(_document(ended))
    return DONE


def _erase(studio: Studio, view: JobView, terminal: Terminal) -> int:
    erased = studio.gallery.erase(view.job.id)
    terminal.say(f"{view.job.id[:8]} erased")
    for path in erased["left"]:
        terminal.say(f"  left: {path}")
    terminal.document(erased)
    return DONE


def _pause(studio: Studio, view: JobView, terminal: Terminal) -> int:
    """Ask, then wait until it rests."""
    studio.queue.pause(view.job.id)
    resting = studio.queue.run_here(view.job)
    terminal.say(f"{view.job.id[:8]} {resting.status.state.value}")
    terminal.document(_document(resting))
    return DONE


def _prioritise(studio: Studio, view: JobView, priority: int | None, terminal: Terminal) -> int:
    """Without a number: before all others of its kind."""
    waiting = studio.queue.prioritise(view.job.id, priority)
    terminal.say(f"{view.job.id[:8]} number {waiting.position}, priority {waiting.priority}")
    terminal.document(_document(waiting))
    return DONE


def _resume(studio: Studio, view: JobView, terminal: Terminal) -> int:
    """Take it up and run it here, to its end or its next rest; also one that waits and that nobody else takes. One
    whose program is gone may have ended without it: then that is its end, unless it failed and can go on."""
    settle(studio)
    ended, interrupted = studio.jobs.view(view.job.id), False
    if view.status.state in ENDED or ended.status.state not in ENDED or studio.queue.can_go_on(ended):
        _take_up(studio, ended)
        ended, interrupted = follow(studio, view.job, terminal)
    _say(studio, ended, terminal)
    terminal.document(_document(ended))
    return exit_status(studio, ended, interrupted, terminal)


def _take_up(studio: Studio, view: JobView) -> None:
    """Let a job go on. Raises `WrongState` for one that cannot, that a program runs, or that another one has to begin;
    `QueueFull`."""
    if view.status.state is State.QUEUED:
        _refuse_others(studio, view)
        return
    nobody_watches = view.status.state is State.RUNNING and not studio.jobs.is_claimed(view.job.id)
    with suppress(*([WrongState] if nobody_watches else [])):  # it runs: at most a pause has to be taken back
        studio.queue.resume(view.job.id, here=False)


def _refuse_others(studio: Studio, view: JobView) -> None:
    if not studio.queue.is_ours(view):
        hint = f"It begins as soon as that is open. To end it: {command_for(studio, 'cancel', view)}"
        raise WrongState(f"Only {_acceptor(view)} can begin the job.", hint)
