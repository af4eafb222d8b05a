"""Memory that ran out is named with a plan that needs less; other failures pass as they are."""

from __future__ import annotations

from pathlib import Path

import personal_avatar
import pytest
from personal_avatar.domain import Avatar, BaseModelFile, Family, Method
from personal_avatar.environment import free
from personal_avatar.environment.free import MACHINE, Free
from personal_avatar.errors import AvatarError, DiskFull, OutOfMemory, OutOfVram, from_json
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import Event, Stage
from personal_avatar.params import validated
from personal_avatar.training.planning import fitting
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.training.planning.shortage import advised, of_main_memory
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.planning.ways import RAM, Wish
from personal_avatar.training.run import run

TINY = Path(personal_avatar.__file__).parent / "assets" / "avatar-tiny" / "avatar-tiny.safetensors"
PLAN = {"batch_size": 8, "ema_decay": 0.9}


def task(folder: Path, checkpoint: Path = TINY) -> TrainTask:
    avatar = Avatar("anna", "Anna", "u", "woman", "sks woman", "2026-01-01T00:00:00+00:00")
    base = BaseModelFile(checkpoint, "avatar-tiny", Family.SD1, native_px=192)
    return TrainTask(avatar, folder, (), base, Method.LORA, PLAN, folder, folder / "weights")


def failing(error: Exception, folder: Path, checkpoint: Path = TINY) -> AvatarError:
    with pytest.raises(AvatarError) as raised, advised(task(folder, checkpoint)):
        raise error
    return raised.value


@pytest.mark.parametrize(("error", "kind"), [
    (MemoryError(), OutOfMemory),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), OutOfMemory),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfVram),
    (OutOfVram("sd-scripts ran out of memory"), OutOfVram),
])
def test_the_failure_names_a_plan_that_needs_less(error: Exception, kind: type[AvatarError], tmp_path: Path) -> None:
    found = failing(error, tmp_path)
    assert type(found) is kind and found.message
    assert fitting.in_words(found.details["changes"]) in found.hint and kind.default_hint in found.hint
    method, plan = Method(found.details["method"]), found.details["plan"]
    validated(PLANS[method], plan)
    before, after = Wish(task(tmp_path).base, Method.LORA, PLAN, RAM), Wish(task(tmp_path).base, method, plan, RAM)
    assert fitting.predicted_gb(after) < fitting.predicted_gb(before)
    assert from_json(found.to_json()).details == found.details


def test_a_checkpoint_that_is_gone_leaves_the_usual_hint(tmp_path: Path) -> None:
    found = failing(MemoryError(), tmp_path, tmp_path / "gone.safetensors")
    assert (found.hint, found.details) == (OutOfMemory.default_hint, {})


def test_other_failures_pass_as_they_are(tmp_path: Path) -> None:
    for error in (DiskFull("full"), RuntimeError("shapes do not fit"), KeyError("x")):
        with pytest.raises(type(error)) as raised, advised(task(tmp_path)):
            raise error
        assert raised.value is error


@pytest.mark.parametrize(("card", "free_gb", "told"), [
    (True, 1.0, "needs about 2.0 GB of main memory, and 1.0 GB are free"), (True, 64.0, ""), (False, 1.0, ""),
])
def test_a_training_on_a_card_tells_where_main_memory_may_not_suffice(
    card: bool, free_gb: float, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free, "has_card", lambda: card)
    monkeypatch.setattr(free, "machine", lambda: Free(MACHINE, free_gb, 64.0))
    asked = task(tmp_path)
    found = of_main_memory(asked, asked.settings())
    assert told in found and bool(found) == bool(told)


def test_the_warning_is_in_the_log_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "has_card", lambda: True)
    monkeypatch.setattr(free, "machine", lambda: Free(MACHINE, 1.0, 64.0))
    told: list[Event] = []

    def emit(event: Event) -> None:
        told.append(event)
        if "main memory" in getattr(event, "message", ""):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(task(tmp_path), tmp_path, emit, Control(tmp_path))  # type: ignore[arg-type]
    assert {event.name for event in told if isinstance(event, Stage)} == {"check"}
