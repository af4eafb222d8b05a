"""A few of the faults of `make chaos`, and that its checks see what must not be."""
from __future__ import annotations

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from personal_avatar.jobs.events import Done, EventWriter
from personal_avatar.jobs.states import State

from tests.chaos import __main__ as chaos
from tests.chaos import checks
from tests.chaos.faults import FAULTS, SUCCEEDS
from tests.chaos.learner import STEPS, answer_of, published
from tests.chaos.running import Verdict, tried
from tests.chaos.scene import Broken, Scene

FEW = ("kill_both", "corrupt_status", "delete_index", "pause_and_kill", "disk_full")


@pytest.mark.slow
def test_after_a_fault_every_job_ends_once_and_as_it_should() -> None:
    with ThreadPoolExecutor(3) as pool:
        verdicts = list(pool.map(lambda name: tried(name, 7), FEW))
    assert [str(verdict) for verdict in verdicts if verdict.broken] == []
    assert [verdict.name for verdict in verdicts if not verdict.skipped][:4] == list(FEW[:4])


def test_the_same_seed_draws_the_same_faults_each_as_often_as_the_others() -> None:
    first = list(chaos.drawn(100, 3, list(FAULTS)))
    assert first == list(chaos.drawn(100, 3, list(FAULTS))) != list(chaos.drawn(100, 4, list(FAULTS)))
    counts = [[name for name, _ in first].count(name) for name in FAULTS]
    assert sum(counts) == 100 and max(counts) - min(counts) <= 1


def test_the_summary_counts_what_broke() -> None:
    told = chaos.summary([Verdict("a", 1, broken="x"), Verdict("a", 2, skipped="no disk"), Verdict("b", 3, restarts=2)])
    rows = [line.split() for line in told.splitlines()]
    assert [row[:4] + row[-1:] for row in rows[1:]] == [
        ["a", "1", "1", "0", "1"], ["b", "1", "0", "2", "0"], ["all", "2", "1", "2", "1"],
    ]


@pytest.fixture()
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, random.Random(1))


def succeeded(scene: Scene) -> str:
    """A job that ended as an undisturbed one does."""
    job = scene.submit("first")
    folder = scene.folder(job)
    result = published(folder, STEPS, answer_of("first"))
    scene.store.move(job.id, State.RUNNING)
    EventWriter(folder)(Done(result))
    scene.store.move(job.id, State.SUCCEEDED)
    (scene.data / "ends.txt").write_text(job.id + "\n")
    checks.ended(scene, job, SUCCEEDS)
    checks.swept(scene)
    return job.id


@pytest.mark.parametrize("damage, said", [
    (lambda folder: (folder / "artifacts" / "result.json").write_text('{"answer": "'), "Unterminated"),
    (lambda folder: published(folder, STEPS, answer_of("second")), "made something else"),
    (lambda folder: published(folder, STEPS - 1, answer_of("first")), "left steps out"),
    (lambda folder: (folder.parents[1] / "ends.txt").write_text(2 * f"{folder.name}\n"), "taken 2 times"),
    (lambda folder: (folder / "state").mkdir(), "its state lies there"),
])
def test_what_must_not_be_is_seen(scene: Scene, damage: object, said: str) -> None:
    job_id = succeeded(scene)
    damage(scene.store.folder(job_id))  # type: ignore[operator]
    with pytest.raises((Broken, ValueError), match=said):
        checks.ended(scene, scene.store.job(job_id), SUCCEEDS)


def test_a_claim_and_a_process_that_stay_are_seen(scene: Scene) -> None:
    job_id = succeeded(scene)
    claim = scene.store.folder(job_id) / "claim"
    claim.touch()
    with pytest.raises(Broken, match="claims stay"):
        checks.swept(scene)
    claim.unlink()
    scene.start()
    with pytest.raises(Broken, match="processes stay"):
        checks.swept(scene)
    scene.clear()
    checks.swept(scene)


def test_a_state_that_is_not_whole_is_not_gone_on_from(tmp_path: Path) -> None:
    """The light job is a fair stand-in for a training: it keeps its state, and knows a damaged one."""
    from tests.chaos.learner import keep, taken_up

    keep(tmp_path, 6, "six")
    keep(tmp_path, 9, "nine")
    assert taken_up(tmp_path, "start") == (9, "nine")
    assert sorted(os.listdir(tmp_path / "state")) == ["complete.json", "weights-9.json"]
    (tmp_path / "state" / "weights-9.json").write_text('{"value": "ten"}')
    assert taken_up(tmp_path, "start") == (0, "start")
    shutil.rmtree(tmp_path / "state")
    assert taken_up(tmp_path, "start") == (0, "start")
