"""What a face costs a step: what is made of the times, and that everybody measured does the same."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from personal_avatar.benchmarks import identity, identity_child, process
from personal_avatar.benchmarks.identity import MeasuredIdentity
from personal_avatar.benchmarks.identity_work import (
    ENGINES,
    OURS,
    PIPELINE,
    PLAIN,
    REFERENCE,
    IdentityTimed,
    IdentityWork,
    Turn,
)
from personal_avatar.cli import main
from personal_avatar.errors import Crashed

WORK = IdentityWork(steps=1, turns=2)
APART = (OURS, PIPELINE)
LATENTS = {PLAIN: np.full(4, 2.0), OURS: np.ones(4), REFERENCE: np.ones(4), PIPELINE: np.full(4, 1.001)}


def measured(name: str, *steps: float, setup: float = 0.0) -> MeasuredIdentity:
    turns = tuple(Turn(setup, (second, second), (second / 2, second / 2)) for second in steps)
    return MeasuredIdentity(IdentityTimed(name, turns, 9.0, "", "float32", "cpu", 1, "2"), 1.0)


def all_measured(ours: tuple[float, ...] = (2.0, 3.0), setup: float = 0.0) -> dict[str, MeasuredIdentity]:
    return {
        PLAIN: measured(PLAIN, 1.0, 2.0), OURS: measured(OURS, *ours, setup=setup),
        REFERENCE: measured(REFERENCE, 3.0, 4.0), PIPELINE: measured(PIPELINE, 5.0, 6.0),
    }


def test_the_overhead_is_what_comes_on_top_of_plain_sampling() -> None:
    document = identity.document(WORK, all_measured(), LATENTS)
    assert document["overhead_seconds_per_step"] == {OURS: 1.0, REFERENCE: 2.0, PIPELINE: 4.0}
    assert (document["overhead_ratio"], document["overhead_ratio_to_pipeline"]) == (0.5, 0.25)
    assert document["overhead_ratio_cpu"] == 0.5
    json.dumps(document)


def test_a_turn_is_compared_with_plain_sampling_in_the_same_turn() -> None:
    """The machine was twice as slow in the second turn: for both alike."""
    found = {PLAIN: measured(PLAIN, 1.0, 10.0), OURS: measured(OURS, 2.0, 11.0)}
    assert identity.overhead(found, OURS) == 1.0


def test_what_is_computed_once_is_spread_over_a_usual_picture() -> None:
    document = identity.document(WORK, all_measured(setup=30.0), LATENTS)
    assert document["overhead_ratio_with_setup"] == 1.0
    assert document["overhead_ratio"] == 0.5


def test_what_the_first_step_takes_longer_is_computed_once() -> None:
    timed = IdentityTimed(OURS, (Turn(0.5, (4.0, 1.0, 1.0), (4.0, 1.0, 1.0)),), 9.0, "", "float32", "cpu", 1, "2")
    row = MeasuredIdentity(timed, 1.0).to_document()
    assert (row["seconds_per_step"], row["setup_seconds"]) == (1.0, 3.5)


def test_an_overhead_that_drowned_in_noise_has_no_ratio() -> None:
    assert identity.ratio(1.0, 0.0) is None
    assert identity.ratio(1.0, -1.0) is None


def test_differences_are_shares_of_the_length() -> None:
    document = identity.document(WORK, all_measured(), LATENTS)
    assert document["relative_difference"] == 0.0
    assert document["relative_difference_to_pipeline"] == pytest.approx(0.001, rel=0.01)
    assert document["relative_change_by_the_face"] == 0.5


def test_a_row_tells_spread_and_memory_alone() -> None:
    row = measured(OURS, 1.0, 1.5, 2.0, setup=0.25).to_document()
    assert (row["seconds_per_step"], row["cpu_seconds_per_step"], row["setup_seconds"]) == (1.5, 0.75, 0.25)
    assert row["spread"] == pytest.approx(0.667, abs=0.001)
    assert row["peak_memory_gb"] == 1.0


def test_a_checkpoint_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed", "--identity", "--checkpoint", "a", "--data", str(tmp_path)]) == 1
    assert "--size standard" in capsys.readouterr().err


@pytest.mark.slow
def test_all_engines_come_to_the_same_picture_and_only_the_plain_one_to_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours and one of diffusers' have the process of their own that all have, for the memory; the others run here."""
    asked, run = [], process.run

    def run_some(command: Sequence[str], name: str, variables: Mapping[str, str]) -> None:
        module, *arguments = command[2:]
        asked.append((module, arguments[0]))
        if name in APART:
            run(command, name, variables)
        else:
            with mock.patch.dict(os.environ, variables):
                assert identity_child.main(arguments) == 0

    monkeypatch.setattr(process, "run", run_some)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["--resolution", "64", "--steps", "2", "--rounds", "1", "--precision", "fp32", "--json"]
    assert main(["bench", "speed", "--identity", *words, "--data", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert asked == [(identity_child.__name__, names) for names in ("", *ENGINES, ",".join(ENGINES))]
    assert [row["engine"] for row in document["results"]] == list(ENGINES)
    assert document["relative_difference"] < 1e-4
    assert document["relative_difference_to_pipeline"] < 1e-4
    assert document["relative_change_by_the_face"] > 0.1
    assert document["work"]["precision"] == "float32"
    for row in document["results"]:
        assert row["seconds_per_step"] > 0
        assert row["peak_memory_gb"] > 0.3
    assert all(row["peak_memory_gb"] < 4 for row in document["results"] if row["engine"] in APART)


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Crashed, match="no-such-size"):
        identity.Bench(IdentityWork(size="no-such-size"), tmp_path).run(())
