"""A house for jobs, quick, and empty of processes afterwards."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.jobs import process, queue

from tests.unit.jobs.queue_house import House


@pytest.fixture()
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.1)
    house = House(tmp_path)
    yield house
    for job_id in house.store.ids():
        status = house.store.status(job_id)
        process.kill(status.pid, status.pid_started_at)
