"""A job, where it stands, and how page, API and command line show it."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import FORMAT_VERSION
from personal_avatar.jobs.states import State
from personal_avatar.jobs.whereabouts import is_here

SILENT, HALTED = "silent", "halted"  # why a running job stands still: nothing was heard for long; somebody halted it


@dataclass(frozen=True)
class Job:
    """What was asked for; never changes. Times are Unix seconds. `priority`: higher ones are taken first;
    `callback_url`: who is told when it has ended, "" for nobody; `request_key`: by which the caller names the
    request; `host`: the name of the host that accepted it, which alone runs what runs within a program."""

    id: str
    kind: str
    title: str
    user_id: str
    avatar_id: str
    created_at: float
    payload: dict[str, Any]
    version: int = FORMAT_VERSION
    priority: int = 0
    callback_url: str = ""
    request_key: str = ""
    host: str = ""


@dataclass(frozen=True)
class Status:
    """Where a job stands. `pid` and `pid_started_at` name the process that runs it, in its `place` (whereabouts.py),
    "" where an earlier version noted it; `restarts`: how often it was taken
    up again by itself after its process had died; `taken_at`: when it was last taken out of the queue; `heard`: the id
    of the last event that it had told by then; `priority`: what it was changed to, None for that of the job."""

    state: State = State.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    pid: int | None = None
    pid_started_at: float | None = None
    error: dict[str, Any] | None = None
    restarts: int = 0
    taken_at: float | None = None
    heard: int = 0
    priority: int | None = None
    place: str = ""

    @property
    def pid_here(self) -> int | None:
        """The number of the process where it means one of those that are seen here."""
        return self.pid if is_here(self.place) else None


def priority_of(job: Job, status: Status) -> int:
    """What the job was asked for with, unless it was changed since."""
    return job.priority if status.priority is None else status.priority


@dataclass(frozen=True)
class JobView:
    """A job as page, API and command line show it at this moment.

    `position`: 1 for the next to run, 0 for one that does not wait. `eta_s`: seconds until it has ended, as far as that
    is known; `starts_in_s`: seconds until a waiting one is taken. `parked`: it waits while a picture is made. `done`:
    its last word was that the work is done, whatever became of its end. `silent_s`: seconds since a running one was
    last heard of; `stalled`: why it makes no steps, "" while it does or that is not known. `step` and `total_steps` are
    of the last loop that it told of; `past_loop`: that is over, and a stage without one goes on; `within`: what is done
    while the loop rests.
    """

    job: Job
    status: Status
    stage: str = ""
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    eta_s: float | None = None
    likeness: float | None = None
    position: int = 0
    result: dict[str, Any] | None = None
    starts_in_s: float | None = None
    parked: bool = False
    done: bool = False
    silent_s: float | None = None
    stalled: str = ""
    past_loop: bool = False
    within: str = ""

    @property
    def priority(self) -> int:
        """Higher ones are taken first."""
        return priority_of(self.job, self.status)

    @property
    def progress(self) -> float:
        """0..1 of the last loop that the job told of; 1 when it succeeded."""
        if self.status.state is State.SUCCEEDED:
            return 1.0
        return self.step / self.total_steps if self.total_steps else 0.0

    def to_json(self) -> dict[str, Any]:
        """The document of `GET /jobs/{id}` and `personal-avatar jobs show`."""
        job, status = self.job, self.status
        return {
            "id": job.id, "kind": job.kind, "title": job.title, "user_id": job.user_id, "model_id": job.avatar_id,
            "state": status.state.value, "stage": self.stage, "within": self.within or None,
            "progress": round(self.progress, 4),
            "step": self.step, "total_steps": self.total_steps, "loss": self.loss, "likeness": self.likeness,
            "parked": self.parked, "stalled": self.stalled or None, "silent_s": self.silent_s,
            "eta_s": self.eta_s, "starts_in_s": self.starts_in_s, "position": self.position,
            "priority": self.priority, "restarts": status.restarts, "error": status.error, "result": self.result,
            "created_at": job.created_at, "started_at": status.started_at, "ended_at": status.ended_at,
        }
