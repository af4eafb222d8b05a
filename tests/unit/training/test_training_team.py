"""One training by several processes: the same result as by one, but for rounding."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from personal_avatar.domain import Avatar, BaseModelFile, Family, Method
from personal_avatar.errors import Crashed, InvalidSettings
from personal_avatar.jobs.events import EventWriter, Failed, read_events
from personal_avatar.training import helping, team
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.helping import helped, missed
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.planning.plan import LoraPlan, plan_for
from personal_avatar.training.planning.task import TrainTask

CAPTIONS = ["a portrait of sks man", "sks man smiling", "a portrait of sks man"]
PLAN = {
    "rank": 2, "conv_rank": 0, "batch_size": 2, "accumulate": 2, "learning_rate": 1e-3, "resolution_px": 64,
    "caption_dropout": 0.2, "prior_from": "prediction", "save_count": 1, "vary_captions": False, "precision": "fp32",
}


def trained(folder: Path, base: BaseModelFile, model: DiffusionModel, gpus: int) -> Trainer:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    task = TrainTask(avatar, folder, (), base, Method.LORA, {**PLAN, "gpus": gpus}, folder, folder)
    plan = task.settings()
    assert isinstance(plan, LoraPlan)
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    classes = [caption.replace("sks man", "man") for caption in CAPTIONS]
    text = reading.text_states(model, ["", *CAPTIONS, *classes])
    data = TrainingSet(cache.encode_all(model, pictures), CAPTIONS, classes, text)
    trainer = Trainer(model, Lora(model, plan), data, plan, 3)
    with helped(trainer, task, folder, EventWriter(folder)):
        trainer.run(Hooks(lambda *_: None, lambda step: None, lambda sentence: None))
    assert not (folder / "team").exists()
    return trainer


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_both_batches(
    tmp_path: Path, miniature: BaseModelFile, load_miniature: Callable[[], DiffusionModel]
) -> None:
    folder = tmp_path / "what #1? 100%"
    folder.mkdir()
    one, two = (trained(folder, miniature, load_miniature(), gpus) for gpus in (1, 2))
    assert two.losses == pytest.approx(one.losses, rel=1e-4)
    alone, both = one.method.state(), two.method.state()
    moved = [name for name in alone if "lora_B" in name or "lora_up" in name] or list(alone)
    furthest = max(float((both[name] - alone[name]).abs().max()) for name in moved)
    assert furthest < 0.02 * max(float(alone[name].abs().max()) for name in moved)


@pytest.mark.parametrize("accumulate, gpus, said", [(3, 2, "accumulate is 3"), (1, 4, "accumulate is 1")])
def test_batches_that_cannot_be_shared_out_evenly_are_refused(
    tmp_path: Path, accumulate: int, gpus: int, said: str
) -> None:
    base = BaseModelFile(tmp_path / "base.safetensors", "base", Family.SD1)
    assert plan_for(base, Method.LORA, {"gpus": 2, "accumulate": 4}).gpus == 2
    with pytest.raises(InvalidSettings, match=f"^{said}, which cannot be shared out evenly to {gpus} graphics cards"):
        plan_for(base, Method.LORA, {"gpus": gpus, "accumulate": accumulate})


def test_each_batch_is_done_by_one() -> None:
    for size in (1, 2, 3):
        doers = [[rank for rank in range(size) if team.Team(rank, size).does(batch)] for batch in range(6)]
        assert all(len(found) == 1 for found in doers)


# One of two processes: its own loss and gradients, then what it has of both.
MEMBER = """
import json, pathlib, sys
import torch
from personal_avatar.training import team
rank = int(sys.argv[1])
weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(4)]
weights[0].grad = torch.full((2,), 1.0 + rank)
weights[1 + rank].grad = torch.full((2,), 5.0)
loss = team.meet(rank, 2, pathlib.Path(sys.argv[2])).together(torch.tensor(0.5 + rank), weights)
team.part()
print(json.dumps([loss.item(), *(None if weight.grad is None else weight.grad.tolist() for weight in weights)]))
"""


@pytest.mark.slow
def test_gradients_that_none_of_the_processes_has_stay_none(tmp_path: Path) -> None:
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-c", MEMBER]
    members = [
        subprocess.Popen([*words, str(rank), str(tmp_path / "place")], env=variables, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    told = [json.loads(member.communicate(timeout=120)[0]) for member in members]
    assert told == [[2.0, [3.0, 3.0], [5.0, 5.0], [5.0, 5.0], None]] * 2


def ending(code: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])


@pytest.fixture()
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helping, "LOOK_S", 0.05)
    monkeypatch.setattr(helping, "GRACE_S", 0.5)


@pytest.mark.usefixtures("impatient")
def test_a_training_that_waits_for_a_process_which_is_gone_ends_with_a_word(tmp_path: Path) -> None:
    ended, codes = threading.Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    with missed([ending(0), ending(7)], EventWriter(tmp_path), end):
        assert ended.wait(20), "it would have waited for a day"
    (last,) = [record.event for record in read_events(tmp_path)]
    assert isinstance(last, Failed) and last.error["code"] == Crashed.code
    assert "graphics card 2 ended with exit code 7" in last.error["message"] and codes == [1]


@pytest.mark.usefixtures("impatient")
def test_what_the_end_of_a_process_leads_to_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(Crashed, match="exit code 3"), missed([ending(3)], EventWriter(tmp_path), pytest.fail):
        raise RuntimeError("Connection closed by peer")
    assert list(read_events(tmp_path)) == []


@pytest.mark.usefixtures("impatient")
def test_processes_that_are_done_first_and_failures_of_ones_own_stay_what_they_are(tmp_path: Path) -> None:
    done = ending(0)
    done.wait()
    with missed([done], EventWriter(tmp_path), pytest.fail):
        threading.Event().wait(0.8)
    with pytest.raises(ZeroDivisionError), missed([done], EventWriter(tmp_path), pytest.fail):
        raise ZeroDivisionError
    assert list(read_events(tmp_path)) == []


def test_gradients_are_put_together_a_few_at_a_time_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "PIECE", 10)
    weights = [torch.nn.Parameter(torch.zeros(size)) for size in (4, 6, 1, 30, 2)]
    pieces = list(team._pieces(weights))
    assert [[len(one) for one in some] for some in pieces] == [[4, 6], [1], [30], [2]]
    assert [one for some in pieces for one in some] == weights and list(team._pieces([])) == []
