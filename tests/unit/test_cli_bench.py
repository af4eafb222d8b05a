"""`personal-avatar bench` as a shell sees it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from miniatures import make
from personal_avatar.benchmarks import process
from personal_avatar.benchmarks.engines import ENGINES
from personal_avatar.cli import main
from personal_avatar.domain import Family


@pytest.mark.parametrize("words", [
    ["bench"], ["bench", "beauty"], ["bench", "speed", "--steps", "0"], ["bench", "speed", "--family", "sd9"],
    ["bench", "speed", "--precision", "fp8"], ["bench", "likeness", "--methods", "magic"],
])
def test_wrong_usage_is_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("words, what", [
    (["speed", "--family", "sdxl"], "no small checkpoint of the sdxl family"),
    (["speed", "--checkpoint", "nowhere"], "no checkpoint 'nowhere'"),
    (["speed", "--sd-scripts", "nowhere"], "sd-scripts"),
    (["likeness", "--photos", "nowhere"], "There is no nowhere"),
    (["likeness", "--set", "rank"], "not of the form key=value"),
])
def test_a_failure_is_one_line(
    words: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONAL_AVATAR_SD_SCRIPTS", "")
    status = 2 if "--set" in words else 1  # what is written in another form is wrong usage
    assert main(["bench", *words, "--data", str(tmp_path)]) == status
    said = capsys.readouterr().err
    assert what in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_speed_is_one_document_of_engines_that_worked_each_in_a_process_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    measure = process.measure
    monkeypatch.setattr(process, "measure", lambda name, *rest: (ran.append(name), measure(name, *rest))[1])
    base = make(Family.SDXL, tmp_path)
    words = ["--checkpoint", str(base.path), "--steps", "3", "--rounds", "1", "--rank", "2", "--resolution", "64"]
    words += ["--precision", "fp32"]
    assert main(["bench", "speed", *words, "--no-startup", "--json", "--data", str(tmp_path / "data")]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert sorted(ran) == sorted(ENGINES)
    assert [row["engine"] for row in document["results"]] == ["ours", "minimal"]
    assert (document["work"]["steps"], document["work"]["family"]) == (3, "sdxl")
    for row in document["results"]:
        assert row["seconds_per_step"] > 0
        assert 0.1 < row["peak_memory_gb"] < 4
    assert document["bound_seconds_per_step"] > 0 and document["fraction_of_bound"] > 0
    assert document["largest_difference_to_minimal"] < 1e-3
    assert document["ratio_to_sd_scripts"] is None
