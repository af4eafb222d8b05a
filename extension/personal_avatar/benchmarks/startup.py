"""From the click to the first step: a real job is asked for as the page asks for it, and ended after one step."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from personal_avatar.benchmarks.passing import END_S, passing_name
from personal_avatar.errors import AvatarError, Crashed, WrongState, from_json
from personal_avatar.jobs.events import Progress, Record, Stage, Started
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import Job
from personal_avatar.studio import Studio, TrainRequest

LOOK_S = 0.02
RUNNER = "measured job"
CONSENT = "Pictures that a benchmark was given."
TRAIN_STAGE = "train"


def measure(
    studio: Studio, checkpoint: Path, photos: Sequence[Path], plan: dict[str, Any], load_seconds: float
) -> dict[str, Any]:
    """`startup_seconds`: from the click until the first step is told, without `load_seconds`, which is what reading
    the checkpoint takes; `startup_cpu_seconds`: of processor time, which others on the machine disturb less, of the
    job's process until then, reading included; `startup`: how long each stage took before. Raises what the job failed
    with."""
    with passing_name(studio) as name:
        request = TrainRequest(name, tuple(photos), plan=plan, checkpoint=str(checkpoint), consent=CONSENT)
        clicked = time.time()
        job = studio.trainings.start(request)
        with _running(studio, job):
            records = _until_first_step(studio, job.id)
            cpu_seconds = _cpu_seconds(records)
    seconds = records[-1].at - clicked - load_seconds
    return {
        "startup_seconds": round(max(0.0, seconds), 2),
        "startup_cpu_seconds": cpu_seconds,
        "startup": stages(clicked, records, load_seconds),
    }


@contextmanager
def _running(studio: Studio, job: Job) -> Iterator[None]:
    """The job runs in a thread of this program, and both have ended afterwards: nobody looks for an erased job."""
    runner = threading.Thread(target=studio.queue.run_here, args=(job,), name=RUNNER, daemon=True)
    runner.start()
    try:
        yield
    finally:
        with suppress(WrongState):
            studio.queue.cancel(job.id, keep_checkpoint=False)
        runner.join(END_S)


def _cpu_seconds(records: Sequence[Record]) -> float | None:
    """Of the process that told of its start; None when it is gone."""
    try:
        started = next(record.event.pid for record in records if isinstance(record.event, Started))
        spent = psutil.Process(started).cpu_times()
    except (StopIteration, psutil.Error):
        return None
    return round(spent.user + spent.system, 2)


def _until_first_step(studio: Studio, job_id: str) -> list[Record]:
    """All events up to the first step of the training itself."""
    while True:
        ended = studio.jobs.status(job_id).state not in ACTIVE
        records = list(studio.events(job_id))
        training = list(itertools.dropwhile(lambda record: record.event != Stage(TRAIN_STAGE), records))
        first = next((record for record in training if isinstance(record.event, Progress)), None)
        if first is not None:
            return [record for record in records if record.id <= first.id]
        if ended:
            raise _why(studio, job_id)
        time.sleep(LOOK_S)


def _why(studio: Studio, job_id: str) -> AvatarError:
    error = studio.jobs.status(job_id).error
    return from_json(error) if error else Crashed("The training ended before its first step.", "Look at its log.")


def stages(clicked: float, records: Sequence[Record], load_seconds: float) -> dict[str, float]:
    """Seconds of each part: `spawn` until the process tells of its first stage, then the stages by name."""
    marks = [("spawn", clicked)]
    marks += [(record.event.name, record.at) for record in records if isinstance(record.event, Stage)]
    marks.append(("end", records[-1].at))
    found = {name: round(after - at, 2) for (name, at), (_, after) in itertools.pairwise(marks)}
    return {**found, "load_checkpoint": round(load_seconds, 2)}
