"""A job's way to a machine of the cluster: what it lacks is sent, then the work begins there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from personal_avatar.environment.free import GB
from personal_avatar.errors import DiskFull
from personal_avatar.jobs.events import Log
from personal_avatar.jobs.places import Places
from personal_avatar.problems import stated
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.wording import text
from personal_avatar.worker.cluster.carrying import Luggage, job_there, pack
from personal_avatar.worker.cluster.heeding import Heeding
from personal_avatar.worker.cluster.node import Arrival
from personal_avatar.worker.cluster.parcels import Ledger, Note, batches, cut
from personal_avatar.worker.cluster.ray_cluster import Place

SPARE_BYTES = 10**9


class Trip:
    """One job, wherever it is done. `job`: its document; `task`: its payload; `folder`: here."""

    def __init__(self, job: dict[str, Any], task: TrainTask, folder: Path, heeding: Heeding) -> None:
        self.job, self.task, self.folder, self.heeding = job, task, folder, heeding
        self.job_id = str(job["id"])
        self.places = Places(())
        self.begun = False  # the work, on the machine that has the job now
        self.log_bytes = 0  # of the log there, that have been told already
        self._ledger = Ledger()

    def send(self, place: Place) -> None:
        """Raises `NodeLost`, `Cancelled`, `PauseTaken`, `DiskFull`, and what the machine says against the job."""
        self.heeding.emit(Log(text("log.place")))
        self.log_bytes, self.begun = 0, False
        arrival: Arrival = place.ask("arrive", look=self.heeding.stop_before_start)
        began = time.monotonic()
        luggage = self._packed(arrival.home)
        missing: list[Note] = place.ask("lacking", luggage.shared)
        self._refuse_full(arrival, [*luggage.own, *missing])
        place.ask("expect", luggage.own, missing)
        self._put(place, luggage.own, luggage.sources.__getitem__)
        by_hash = {note.sha256: luggage.sources[note.path] for note in missing}
        named = [Note(f"shared/{note.sha256}", note.size, note.sha256) for note in missing]
        self._put(place, named, lambda name: by_hash[name.partition("/")[2]])
        job = job_there(self.job, self.task, luggage.places, arrival.cache)
        place.ask("begin", job, luggage.shared, luggage.taken)
        self.begun = True
        self._tell(arrival, luggage, missing, time.monotonic() - began)

    def _put(self, place: Place, notes: Iterable[Note], source: Callable[[str], Path]) -> None:
        for spans in batches(notes):
            self.heeding.stop_before_start()
            place.hand(cut(spans, source))

    def _packed(self, home: str) -> Luggage:
        luggage = pack(self.task, self.folder, home, self._ledger)
        self.places = luggage.places
        return luggage

    def _refuse_full(self, arrival: Arrival, notes: Iterable[Note]) -> None:
        wanted = sum(note.size for note in notes) + SPARE_BYTES
        if arrival.free_bytes < wanted:
            raise stated(
                DiskFull, "failure.node_full", "remedy.free_cluster", needed=f"{wanted / GB:.1f}",
                machine=arrival.machine, free=f"{arrival.free_bytes / GB:.1f}",
            )  # fmt: skip

    def _tell(self, arrival: Arrival, luggage: Luggage, missing: list[Note], seconds: float) -> None:
        own, common = (sum(note.size for note in notes) / 1e6 for notes in (luggage.own, missing))
        self.heeding.emit(Log(text(
            "log.working", machine=arrival.machine, own=f"{own:.1f}", common=f"{common:.1f}", seconds=f"{seconds:.1f}",
        )))

    def found_again(self, place: Place) -> bool:
        """Whether an earlier process has sent the job there, and it can be followed from here; one that was paused
        there meanwhile, or never begun, starts anew from its state."""
        home, self.log_bytes = place.ask("begun")
        self.begun = bool(home)
        if home:
            self._packed(home)
            self.heeding.emit(Log(text("log.found_again")))
        else:
            place.end()
        return bool(home)

    def what_is_kept(self) -> str:
        step = self.heeding.kept_step()
        return text("log.elsewhere", step=step) if step else text("log.anew")
