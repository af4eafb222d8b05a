"""What programs left behind that are gone: jobs that count as running, and of which no process runs any more."""
from __future__ import annotations

from personal_avatar.jobs import process
from personal_avatar.jobs.running import Runner
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore


def settle(store: JobStore, runner: Runner) -> None:
    """Bring each to its end, or back into the queue. Raises `OSError` when nothing can be written."""
    for view in store.views(states=[State.RUNNING]):
        if _is_left(store, view.job) and store.claim(view.job.id):
            _settle(store, runner, view.job)


def _settle(store: JobStore, runner: Runner, job: Job) -> None:
    """Of a job that was claimed just now; one that another program settled meanwhile is given back as it is."""
    if _is_left(store, job):
        runner.run(job)
    else:
        store.release(job.id)


def _is_left(store: JobStore, job: Job) -> bool:
    status = store.status(job.id)
    folder = store.folder(job.id)
    return status.state is State.RUNNING and not (process.works(folder, status) or process.child_of(folder))
