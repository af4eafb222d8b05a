"""Seconds and memory of a step: what is measured, and what is made of it."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.benchmarks import process, speed
from personal_avatar.benchmarks.engines import BOUND, BOUND_FUSED, OURS, PLAIN
from personal_avatar.benchmarks.sd_scripts import NAME as SD_SCRIPTS
from personal_avatar.benchmarks.speed import Measured
from personal_avatar.benchmarks.work import SpeedWork, Timed
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import Crashed

WORK = SpeedWork(BaseModelFile(Path("a.safetensors"), "a", Family.SD1), 64)


def timed(engine: str, *seconds: float, memory: float = 1.0, losses: tuple[float, ...] = ()) -> Measured:
    return Measured(engine, (Timed(engine, seconds, memory, sum(seconds) / len(seconds), losses=losses),))


def measured(*others: Measured) -> list[Measured]:
    return [
        timed(OURS, 2.0, 2.0, memory=3.0, losses=(1.0, 2.0)), timed(PLAIN, 3.0, losses=(1.0, 2.002)),
        timed(BOUND, 1.8), timed(BOUND_FUSED, 1.9), *others,
    ]


def test_the_faster_attention_is_the_bound() -> None:
    document = speed.document(WORK, measured())
    assert document["bound_seconds_per_step"] == 1.8
    assert document["fraction_of_bound"] == document["fraction_of_bound_cpu"] == 0.9
    assert document["bound_attention"] == "as ours"
    assert [row["engine"] for row in document["results"]] == [OURS, PLAIN]


def test_ratios_above_one_mean_that_ours_is_faster() -> None:
    document = speed.document(WORK, measured(timed(SD_SCRIPTS, 4.0, memory=6.0)))
    assert (document["ratio_to_minimal"], document["ratio_to_sd_scripts"]) == (1.5, 2.0)
    assert document["memory_of_sd_scripts"] == 0.5
    assert speed.document(WORK, measured())["ratio_to_sd_scripts"] is None


def test_curves_that_part_are_seen() -> None:
    assert speed.document(WORK, measured())["largest_difference_to_minimal"] == pytest.approx(0.001, rel=0.01)


def test_spread_leaves_out_the_farthest_tenths() -> None:
    assert timed(OURS, *[1.0] * 9, 50.0).spread == 0.0
    assert timed(OURS, 0.5, 1.0, 1.5).spread == 1.0


def test_rounds_are_taken_together() -> None:
    runs = Measured(OURS, (Timed(OURS, (1.0, 1.0), 2.0, 1.0), Timed(OURS, (3.0, 2.0), 1.0, 0.5)))
    row = runs.to_document()
    assert (row["seconds_per_step"], row["peak_memory_gb"], row["cpu_seconds_per_step"]) == (1.5, 2.0, 0.5)
    assert row["runs"] == [1.0, 2.5]


@pytest.mark.slow
def test_an_engine_that_cannot_do_the_work_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(Crashed, match="ours ended with exit code 1: .*a.safetensors"):
        process.measure(OURS, SpeedWork(BaseModelFile(tmp_path / "a.safetensors", "a", Family.SD1), 64), tmp_path)


def test_a_tiny_checkpoint_gets_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    small = SpeedWork(BaseModelFile(Path("a"), "a", Family.SD1, native_px=128), 64)
    assert process.environment(small)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in process.environment(WORK)
