"""Somebody else has the graphics card for a while; the training's result does not know."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import CANCEL, PAUSE, YIELD, Control, PauseTaken
from personal_avatar.jobs.events import EventWriter, Log, Parked, read_events
from personal_avatar.training import parking as module
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.heeding import Wishes
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods.lora import Lora
from personal_avatar.training.parking import Parking
from personal_avatar.training.planning.plan import LoraPlan
from personal_avatar.wording import text

Load = Callable[[], DiffusionModel]
SHARED = {"rank": 2, "alpha": 2.0, "batch_size": 2, "learning_rate": 1e-3, "save_count": 1}
PLANS = [LoraPlan(**SHARED, dora=True, ema_decay=0.5), LoraPlan(**SHARED, optimiser="prodigy")]


@pytest.fixture
def parking(tmp_path: Path) -> Parking:
    """Of a card that is main memory: everything is copied there and back."""
    return Parking(Control(tmp_path), EventWriter(tmp_path), gives=("cpu",))


def told(folder: Path) -> list[bool]:
    return [record.event.parked for record in read_events(folder) if isinstance(record.event, Parked)]


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def trainer(load: Load, plan: LoraPlan) -> Trainer:
    torch.manual_seed(0)
    model, captions = load(), ["sks man", "a portrait of sks man"]
    latents = cache.Latents(tuple(torch.randn(2, 4, 8, 8)), tuple(torch.ones(2, 4, 8, 8)))
    text = reading.text_states(model, ["", *captions, *(f"a photo of {caption}" for caption in captions)])
    data = TrainingSet(latents, captions, ["man", "a portrait of man"], text)
    return Trainer(model, Lora(model, plan), data, plan.copy(update={"vary_captions": False}), 4)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_a_training_that_was_parked_after_every_step_is_the_same(
    plan: LoraPlan, load_miniature: Load, parking: Parking, tmp_path: Path
) -> None:
    whole, parked = trainer(load_miniature, plan), trainer(load_miniature, plan)
    parking.covers(parked.model.tensors)
    parking.covers(parked.tensors)

    def step(done: int, *_: object) -> None:
        parking.control.ask(YIELD)
        parking.heed(lambda: parking.control.withdraw(YIELD))

    whole.run(Hooks(lambda *_: None, lambda at: None, lambda sentence: None))
    parked.run(Hooks(step, lambda at: None, lambda sentence: None))
    assert told(tmp_path) == [True, False] * 4
    assert parked.losses == whole.losses
    first, second = whole.method.state(), parked.method.state()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_every_tensor_leaves_and_comes_back_as_the_same_object(parking: Parking) -> None:
    layer = torch.nn.Linear(3, 3)
    other = torch.ones(2)
    optimiser = torch.optim.AdamW(layer.parameters(), fused=None)
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    kept = [*layer.parameters(), other, *(one for state in optimiser.state.values() for one in state.values())]
    values = [one.detach().clone() for one in kept]
    parking.covers(lambda: kept)
    parking.covers(layer.parameters)  # named twice, moved once
    before = [one.data_ptr() for one in kept]
    moved = parking._away()
    away = [one.data_ptr() for one in kept]
    assert [id(one) for one, _ in moved] == [id(one) for one in kept]
    assert all(here != there for here, there in zip(before, away, strict=True))
    parking._back(moved, lambda: None)
    assert all(here != there for here, there in zip(away, (one.data_ptr() for one in kept), strict=True))
    assert all(map(torch.equal, kept, values))
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    assert not torch.equal(layer.weight, values[0])


def test_nothing_is_moved_without_a_card_and_it_waits_all_the_same(tmp_path: Path) -> None:
    control, parking = Control(tmp_path), Parking(Control(tmp_path), EventWriter(tmp_path))
    tensor = torch.ones(3)
    parking.covers(lambda: [tensor])
    place = tensor.data_ptr()
    control.ask(YIELD)
    waits = in_background(lambda: parking.heed(lambda: None))
    wait_until(lambda: told(tmp_path) == [True])
    assert waits.is_alive() and tensor.data_ptr() == place
    control.withdraw(YIELD)
    waits.join(10)
    assert told(tmp_path) == [True, False]


def test_nobody_asks_and_nothing_happens(parking: Parking, tmp_path: Path) -> None:
    parking.heed(lambda: None)
    assert told(tmp_path) == []


@pytest.mark.parametrize(("wish", "error"), [(CANCEL, Cancelled), (PAUSE, PauseTaken)])
def test_other_wishes_are_heeded_while_parked(wish: str, error: type[Exception], tmp_path: Path) -> None:
    control = Control(tmp_path)
    wishes = Wishes(control, EventWriter(tmp_path), tmp_path / "state")
    wishes.take_over(lambda between_steps: 7 if between_steps else None, list)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            wishes.heed(between_steps=True)
        except error as found:
            raised.append(found)

    control.ask(YIELD)
    waits = in_background(work)
    wait_until(lambda: told(tmp_path) == [True])
    control.ask(wish)
    waits.join(10)
    assert [type(one) for one in raised] == [error]
    assert told(tmp_path) == [True]


class Full:
    """Has room at the last of so many attempts; says so now of one type, now of another."""

    def __init__(self, attempts: int) -> None:
        self.left = attempts

    def to(self, *_: object, **__: object) -> str:
        self.left -= 1
        if self.left:
            said = "CUDA error: out of memory"
            raise torch.cuda.OutOfMemoryError(said) if self.left % 2 else RuntimeError(said)
        return "there"


def sentences(folder: Path) -> list[str]:
    return [record.event.message for record in read_events(folder) if isinstance(record.event, Log)]


def test_room_that_is_not_there_yet_is_waited_for(
    parking: Parking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_release", lambda: None)  # which takes a tenth of a second each time
    looked: list[int] = []
    card = torch.device("cuda")
    assert parking._brought(Full(3000), card, lambda: looked.append(1)) == "there"  # type: ignore[arg-type,comparison-overlap]
    assert len(looked) == 2999 and now[0] > 2000, "an hour of somebody else's pictures ends no training"
    assert sentences(tmp_path) == [text("log.no_vram")]


@pytest.mark.slow
def test_a_cancel_is_heeded_while_it_waits_for_room(parking: Parking) -> None:
    parking.control.ask(CANCEL)
    with pytest.raises(Cancelled):
        parking._brought(Full(3), torch.device("cuda"), parking.control.check)  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_main_memory_cannot_take_stays_where_it_is_and_the_work_waits(tmp_path: Path) -> None:
    control = Control(tmp_path)
    parking = Parking(control, EventWriter(tmp_path), gives=("cpu",), reserve_gb=1e6)
    tensor = torch.ones(3)
    parking.covers(lambda: [tensor])
    place, data = tensor.data_ptr(), tensor.data
    for _ in range(2):
        control.ask(YIELD)
        parking.heed(lambda: control.withdraw(YIELD))
    assert told(tmp_path) == [True, False] * 2
    assert tensor.data_ptr() == place == data.data_ptr()
    assert len(sentences(tmp_path)) == 1 and "main memory has not the room" in sentences(tmp_path)[0]
