"""Trainings on a real Ray cluster of two machines: side by side, paused, cancelled, and with a machine that is lost.

$PERSONAL_AVATAR_TEST_RAY names a Python that has `ray[default]`; it need not have anything of ours.
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
from personal_avatar.domain import Avatar, Method
from personal_avatar.host import TrainerPython
from personal_avatar.jobs import endings, process
from personal_avatar.jobs.events import Done, Log, Progress, Score, read_events
from personal_avatar.jobs.executors import Executor, RaySettings
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.registry import SFACE, YUNET

from tests.shipped import tiny

PACKAGE = Path(personal_avatar.__file__).parent
RAY_PYTHON = os.environ.get("PERSONAL_AVATAR_TEST_RAY", "")
PLAN = {
    "steps": 60, "save_count": 3, "score_pictures": 1, "sample_steps": 1, "rank": 2, "conv_rank": 0, "batch_size": 1,
    "must_rise": False, "resolution_px": 64, "prior_weight": 0.0,
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RAY_PYTHON, reason="Ray is not here: set PERSONAL_AVATAR_TEST_RAY to a Python that has it"),
]


@dataclass
class House:
    """A queue whose trainings go to the cluster."""

    folder: Path
    queue: JobQueue
    cluster: subprocess.Popen[str]

    def train(self, name: str, **plan: object) -> str:
        avatar = Avatar(name, name.title(), "local", "man", "sks man", "2026-01-01T00:00:00Z")
        photos = tuple(PACKAGE / "assets" / "samples" / f"{number:02d}.jpg" for number in (1, 2, 3, 4, 5))
        task = TrainTask(
            avatar, self.folder / name, photos, tiny(), Method.LORA, {**PLAN, **plan}, self.folder / "Lora",
            self.folder.parent / "weights",
        )
        return self.queue.submit("train", task, title=name, user_id="local", avatar_id=name).id

    def events(self, job_id: str) -> list[Any]:
        return [record.event for record in read_events(self.queue.store.folder(job_id))]

    def until(self, seen: Callable[[], object], seconds: float = 150) -> None:
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, [
                (view.job.title, view.status, self.queue.store.log_tail(view.job.id, 1500))
                for view in self.queue.store.views()
            ]
            time.sleep(0.1)

    def has(self, job_id: str, kind: type) -> bool:
        return any(isinstance(event, kind) for event in self.events(job_id))

    def told(self, job_id: str, words: str) -> bool:
        return any(words in event.message for event in self.events(job_id) if isinstance(event, Log))

    def machine_of(self, job_id: str) -> str:
        return next((name for name in "ab" if (self.folder.parent / name / "jobs" / job_id / "job").is_dir()), "")

    def kill(self, name: str) -> None:
        assert self.cluster.stdin is not None and self.cluster.stdout is not None
        self.cluster.stdin.write(f"kill {name}\n")
        self.cluster.stdin.flush()
        assert self.cluster.stdout.readline() == f"killed {name}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    for weight in (YUNET, SFACE):
        ensure(weight, folder / "weights")
    return folder


@pytest.fixture(scope="module")
def cluster(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [RAY_PYTHON, str(Path(__file__).with_name("two_machines.py")), str(root), sys.executable, str(port)]
    quiet = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    with (root / "cluster.log").open("w") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=quiet
        )
    assert child.stdout is not None and child.stdin is not None
    line = child.stdout.readline()
    assert line.startswith("up "), (root / "cluster.log").read_text()[-2000:]
    yield child, f"ray://{line.split()[1].rpartition(':')[0]}:{port}"
    child.stdin.write("end\n")
    child.stdin.close()
    child.wait(60)


@pytest.fixture
def house(root: Path, cluster: tuple[subprocess.Popen[str], str], request: pytest.FixtureRequest) -> House:
    folder = root / request.node.name
    asked = [RAY_PYTHON, "-c", "import ray, pathlib; print(pathlib.Path(ray.__file__).parents[1])"]
    packages = subprocess.check_output(asked, text=True).strip()
    settings = RaySettings(cluster[1], packages, restarts=2)
    there = Executor("ray", "personal_avatar.worker.remote", 2, settings.variables())
    queue = JobQueue(
        JobStore(folder / "jobs"), {}, lambda: TrainerPython(Path(sys.executable)), lambda job, result: None,
        pausable=lambda job: True, executor=lambda: there,
    )
    return House(folder, queue, cluster[0])


def test_pause_and_cancel_reach_the_cluster_and_a_killed_agent_finds_its_job_again(house: House) -> None:
    job_id = house.train("pia", steps=400, save_count=1)
    house.until(lambda: house.has(job_id, Progress))
    house.queue.pause(job_id)
    house.until(lambda: house.queue.store.status(job_id).state is State.PAUSED)
    assert endings.has_state(house.queue.store.folder(job_id))
    house.until(lambda: not house.machine_of(job_id))
    house.queue.resume(job_id)
    house.until(lambda: house.told(job_id, "Going on from step"))
    status = house.queue.store.status(job_id)
    process.kill(status.pid, status.pid_started_at)
    house.until(lambda: house.told(job_id, "found again"))
    house.queue.cancel(job_id, keep_checkpoint=False)
    assert house.queue.wait(job_id, 60).status.state is State.CANCELLED
    house.until(lambda: not house.machine_of(job_id))


def test_two_jobs_work_side_by_side_and_a_lost_machine_costs_what_came_after_the_last_state(house: House) -> None:
    first, second = house.train("anna"), house.train("ben")
    house.until(lambda: house.has(first, Progress) and house.has(second, Progress))
    assert {house.machine_of(first), house.machine_of(second)} == {"a", "b"}
    folder = house.queue.store.folder(first)
    house.until(lambda: house.has(first, Score) and endings.has_state(folder))
    house.kill(house.machine_of(first))
    for job_id in (first, second):
        view = house.queue.wait(job_id, 240)
        assert view.status.state is State.SUCCEEDED, (view, house.queue.store.log_tail(job_id, 3000))
        assert sum(isinstance(event, Done) for event in house.events(job_id)) == 1
        assert view.result is not None and all(Path(file).is_file() for file in view.result["files"])
    assert house.told(first, "Going on from step")
    assert weights_of(house, first) == weights_of(house, second)  # the same plan and photos, one interrupted


def weights_of(house: House, job_id: str) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    result = house.queue.store.view(job_id).result
    assert result is not None
    return {name: tensor.tobytes() for name, tensor in load_file(result["files"][0]).items()}
