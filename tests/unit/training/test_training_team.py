"""One training by several processes: the same result as by one, but for rounding."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
from personal_avatar.domain import Avatar, BaseModelFile, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter
from personal_avatar.training import team
from personal_avatar.training.plan import LoraPlan, TrainTask
from personal_avatar.training.run import run
from safetensors.torch import load_file

SAMPLES = Path(personal_avatar.__file__).parent / "assets" / "samples"
QUICK = {
    "steps": 3, "save_count": 1, "score_pictures": 1, "sample_steps": 1, "rank": 2, "resolution_px": 64,
    "batch_size": 2, "must_rise": False, "prior_from": "prediction", "caption_dropout": 0.2,
}


def trained(folder: Path, base: BaseModelFile, weights: Path, **plan: object) -> tuple[dict[str, Any], list[float]]:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    task = TrainTask(
        avatar, folder / "avatar", tuple(SAMPLES / f"{number:02d}.jpg" for number in range(1, 7)), base, Method.LORA,
        {**QUICK, **plan}, folder / "Lora", weights,
    )
    job = folder / "job"
    job.mkdir(parents=True)
    result = run(task, job, EventWriter(job), Control(job))
    assert not (job / "team").exists()
    return load_file(result["files"][0]), json.loads((job / "artifacts" / "report.json").read_text())["losses"]


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_both_batches(
    tmp_path: Path, miniature: BaseModelFile, face_weights: Path
) -> None:
    alone, losses = trained(tmp_path / "alone", miniature, face_weights, accumulate=2)
    both, their_losses = trained(tmp_path / "both", miniature, face_weights, accumulate=2, gpus=2)
    assert their_losses == pytest.approx(losses, rel=1e-4)
    assert set(both) == set(alone)
    moved = [name for name in alone if "lora_up" in name]
    furthest = max(float((both[name].float() - alone[name].float()).abs().max()) for name in moved)
    assert furthest < 0.02 * max(float(alone[name].float().abs().max()) for name in moved)


def test_batches_that_cannot_be_shared_out_evenly_are_refused() -> None:
    team.refuse_impossible(LoraPlan(gpus=2, accumulate=4))
    with pytest.raises(InvalidSettings, match="evenly"):
        team.refuse_impossible(LoraPlan(gpus=2, accumulate=3))


def test_each_batch_is_done_by_one() -> None:
    for size in (1, 2, 3):
        doers = [[rank for rank in range(size) if team.Team(rank, size).does(batch)] for batch in range(6)]
        assert all(len(found) == 1 for found in doers)
