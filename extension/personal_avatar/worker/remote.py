"""`python -m personal_avatar.worker.remote <job folder>`: the work of one job, done on a machine of a Ray cluster.

This process stands for the job on this machine: it sends what the work needs, tells what happens there in the job's own
events and log, passes wishes on, and brings back what was made. A machine that is lost costs what was done since the
last state: the job goes on elsewhere from there.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personal_avatar.errors import ClusterUnreachable, Killed
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.executors import RaySettings
from personal_avatar.jobs.homing import described
from personal_avatar.problems import stated
from personal_avatar.training.heeding import telling_what_was_kept
from personal_avatar.wording import text
from personal_avatar.worker.cluster import sending
from personal_avatar.worker.cluster.carrying import task_of
from personal_avatar.worker.cluster.following import Following, Wordless
from personal_avatar.worker.cluster.heeding import Heeding
from personal_avatar.worker.cluster.ray_cluster import Cluster, NodeLost, Place
from personal_avatar.worker.kinds import KINDS, Kind, Work
from personal_avatar.worker.main import main as work_here

AGAIN_S = 3.0  # before the next machine, or the cluster, is asked again
MOST_VAIN = 10  # places in a row on machines that were gone before the work began: Ray notices them late
PATIENCE_S = 120.0  # with a connection that broke


def carried(payload: dict[str, Any]) -> Work:
    """`payload` is a `training.task.TrainTask` as JSON."""
    task = task_of(payload)

    def start(folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
        settings = RaySettings.of()
        heeding = Heeding(folder, emit, control)
        job: dict[str, Any] = described(folder)
        try:
            with telling_what_was_kept(control):
                return _connected(settings, sending.Trip(job, task, folder, heeding), emit)
        except Wordless as end:  # whoever looks after jobs decides what that means
            logging.shutdown()
            os._exit(end.status)

    return start


def _connected(settings: RaySettings, trip: sending.Trip, emit: EventWriter) -> dict[str, Any]:
    """Over one connection after the other: when one breaks the job works on there, and is found again."""
    broken_at = 0.0
    while True:
        try:
            cluster = Cluster(settings)
        except ClusterUnreachable:
            if time.monotonic() > broken_at + PATIENCE_S:
                raise
            time.sleep(AGAIN_S)
            continue
        try:
            return _until_done(cluster, trip, emit, settings.restarts)
        except ClusterUnreachable as error:
            emit(Log(text("log.again", cause=error.message)))
            broken_at = time.monotonic()
        finally:
            cluster.leave()


def _until_done(cluster: Cluster, trip: sending.Trip, emit: EventWriter, restarts: int) -> dict[str, Any]:
    """Follow the job wherever it is. Raises what ended it, `Killed` when too many machines were lost."""
    place = cluster.find(trip.job_id)
    lost = vain = 0
    while lost <= restarts and vain <= MOST_VAIN:
        try:
            return _once(cluster, trip, place)
        except NodeLost as error:
            place = None
            lost, vain = (lost + 1, 0) if trip.begun else (lost, vain + 1)
            emit(Log(text("log.no_machine", cause=error, kept=trip.what_is_kept())))
            time.sleep(AGAIN_S)
    raise stated(Killed, "failure.nodes_lost", "remedy.cluster", count=lost + vain)


def _once(cluster: Cluster, trip: sending.Trip, place: Place | None) -> dict[str, Any]:
    """On one machine: the one that has the job already, else one that is asked for it."""
    sent = place is not None and trip.found_again(place)
    place = place if place is not None and sent else cluster.place(trip.job_id, trip.task.settings().gpus)
    try:
        if not sent:
            trip.send(place)
        result = Following(place, trip).to_the_end()
    except ClusterUnreachable:
        raise
    except NodeLost:
        place.drop()
        raise
    except BaseException:
        place.end()
        raise
    place.end()
    return result


REMOTE: dict[str, Kind] = {**KINDS, "train": carried}  # small kinds stay here


def main(arguments: Sequence[str]) -> int:
    """As worker.main does."""
    return work_here(arguments, REMOTE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
