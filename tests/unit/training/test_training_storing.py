"""What lies on the disk is old or new, and never half of either."""
from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.errors import DiskFull
from personal_avatar.jobs.kept import STATE_COMPLETE as COMPLETE
from personal_avatar.training import storing
from personal_avatar.training.storing import Damaged

numbers = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.integers() | st.text()
trees = st.recursive(numbers, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner))
Usage = namedtuple("Usage", "total used free")


def tree(step: int) -> dict[str, Any]:
    shared = torch.full((3,), float(step))
    return {"done": step, "state": {0: {"step": torch.tensor(float(step)), "mean": shared, "same": shared}}}


def step_of(folder: Path) -> int:
    """Of what lies there, when numbers, facts and tensors are of one piece."""
    facts, found = storing.read(folder)
    kept = found["state"][0]
    assert facts["step"] == found["done"] == float(kept["step"]) == float(kept["mean"][2]) == float(kept["same"][0])
    return int(facts["step"])


def put(folder: Path, step: int) -> None:
    storing.write(folder, {"step": step}, tree(step))


@settings(max_examples=50)
@given(trees)
def test_what_is_packed_is_what_is_unpacked(whatever: Any) -> None:
    shape = storing.packed(whatever, [], {})
    assert storing.unpacked(json.loads(json.dumps(shape)), []) == whatever


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float64, torch.int64])
def test_tensors_keep_their_numbers_and_formats(dtype: torch.dtype, tmp_path: Path) -> None:
    sent = torch.arange(6).to(dtype).reshape(2, 3).T
    storing.write(tmp_path, {}, [sent, torch.empty(0), sent])
    first, empty, last = storing.read(tmp_path)[1]
    assert first.dtype is dtype and torch.equal(first, sent) and first is last and empty.shape == (0,)


def test_large_states_lie_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "SHARD_BYTES", 12)
    put(tmp_path, 7)
    assert len(list(tmp_path.rglob("*.safetensors"))) > 1
    assert step_of(tmp_path) == 7


def test_of_two_generations_the_newer_one_stays(tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    assert step_of(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_process_killed_at_any_moment_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    put(tmp_path / "old", 1)
    seen = []
    for moment in itertools.count(1):
        folder = Path(shutil.copytree(tmp_path / "old", tmp_path / str(moment)))
        if not killed_at(moment, lambda folder=folder: put(folder, 2)):  # type: ignore[misc]
            break
        seen.append(step_of(folder))
        put(folder, 3)
        assert step_of(folder) == 3 and len(list(folder.iterdir())) == 2
    assert seen == sorted(seen) and set(seen) == {1, 2} and len(seen) > 10


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Whether `work`, in a process of its own, came as far as its `moment`th call to the system, and died there."""
    child = os.fork()
    if child == 0:
        calls, flush = itertools.count(1), os.fsync

        def count(event: str) -> None:
            if event.startswith(("os.", "open", "shutil.")) and next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        def flushed(handle: int) -> None:
            flush(handle)
            count("os.fsync")

        os.fsync = flushed
        sys.addaudithook(lambda event, arguments: count(event))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def cut_short(folder: Path) -> None:
    path = next(folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-3])


def turn_a_bit(folder: Path) -> None:
    path = next(folder.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_a_number(folder: Path) -> None:
    path = folder / COMPLETE
    path.write_text(path.read_text().replace('"step": 1', '"step": 9'))


HARM: dict[str, Callable[[Path], object]] = {
    "cannot be read": lambda folder: (folder / COMPLETE).write_text((folder / COMPLETE).read_text()[:-9]),
    "cannot be read$": lambda folder: (folder / COMPLETE).write_text("[]"),
    "was changed": change_a_number,
    "there is none": lambda folder: (folder / COMPLETE).unlink(),
    "is missing": lambda folder: next(folder.rglob("*.safetensors")).unlink(),
    "is damaged": cut_short,
    "safetensors is damaged": turn_a_bit,
}


@pytest.mark.parametrize("why", HARM)
def test_damage_is_seen(why: str, tmp_path: Path) -> None:
    put(tmp_path, 1)
    HARM[why](tmp_path)
    with pytest.raises(Damaged, match=why):
        storing.read(tmp_path)
    put(tmp_path, 2)
    assert step_of(tmp_path) == 2


def test_other_facts_leave_the_tensors_alone(tmp_path: Path) -> None:
    put(tmp_path, 1)
    storing.amend(tmp_path, {"step": 1, "points": [3]})
    assert storing.facts_of(tmp_path) == {"step": 1, "points": [3]}
    assert step_of(tmp_path) == 1
    with pytest.raises(Damaged):
        storing.amend(tmp_path / "elsewhere", {})
    assert storing.facts_of(tmp_path / "elsewhere") is None


def test_without_room_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 1)
    monkeypatch.setattr(storing.shutil, "disk_usage", lambda path: Usage(10, 10, 10**6))
    with pytest.raises(DiskFull, match=r"needs < 0.1 MB in .* where 1\.0 MB are free"):
        put(tmp_path, 2)
    assert step_of(tmp_path) == 1


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_state_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What safetensors raises then is no OSError."""
    from safetensors import SafetensorError

    def full(path: Path, tensors: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    put(tmp_path, 1)
    monkeypatch.setattr(storing, "write_tensors", full)
    with pytest.raises(DiskFull):
        put(tmp_path, 2)
    assert step_of(tmp_path) == 1 and len(list(tmp_path.iterdir())) == 2


def test_what_no_state_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="set"):
        storing.write(tmp_path, {}, {"what": {1, 2}})
