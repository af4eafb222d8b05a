"""Room on the disk: asked before a training begins, reckoned from what it will write."""
from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from personal_avatar.domain import Avatar, BaseModelFile, Engine, Method
from personal_avatar.errors import DiskFull, NotWritable
from personal_avatar.jobs.control import Control
from personal_avatar.training import storing
from personal_avatar.training.families.files import read_shapes, read_weights
from personal_avatar.training.files import write_tensors
from personal_avatar.training.planning.counts import file_bytes, trained_numbers
from personal_avatar.training.planning.estimate import before_and_after_s, estimate
from personal_avatar.training.planning.plan import DreamboothPlan, LoraPlan
from personal_avatar.training.planning.reckoning import Machine, memory_of
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.run import run
from personal_avatar.training.space import SPARE_BYTES, needs, refuse_closed, refuse_full
from safetensors import SafetensorError


@pytest.fixture
def task(tmp_path: Path, tiny: BaseModelFile, face_weights: Path) -> TrainTask:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    return TrainTask(
        avatar, tmp_path / "avatar", tuple(tmp_path / f"{number}.jpg" for number in range(8)), tiny,
        Method.DREAMBOOTH, {}, tmp_path / "not-there" / "models", face_weights,
    )


def with_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=10**13, used=0, free=free))


def wanted(task: TrainTask, plan: DreamboothPlan) -> int:
    found = needs(plan, task.base, len(task.photos))
    return found.saved + found.published + found.cached + found.shared + SPARE_BYTES


def test_one_byte_decides_and_the_refusal_names_both_sizes(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = DreamboothPlan(save_count=5)
    with_room(monkeypatch, wanted(task, plan))
    refuse_full(task, plan, tmp_path)
    with_room(monkeypatch, wanted(task, plan) - 1)
    told = r"needs about \d+\.\d MB .* \d+\.\d MB are free; up to 3 checkpoints of \d+\.\d MB"
    with pytest.raises(DiskFull, match=told) as caught:
        refuse_full(task, plan, tmp_path)
    assert "save_count" in caught.value.hint and str(tmp_path) in caught.value.message


def test_what_other_cards_begin_from_needs_room_and_they_save_time(task: TrainTask) -> None:
    one, two = (DreamboothPlan(accumulate=2, gpus=gpus, score_pictures=2, save_count=1) for gpus in (1, 2))
    alone = needs(one, task.base, 8)
    assert needs(two, task.base, 8).saved == alone.saved + alone.state
    alike = before_and_after_s(task.base, 8)
    seconds = [estimate(plan, task.base, 8, gpu=True)["seconds"] - alike for plan in (one, two)]
    assert 0.45 < seconds[1] / seconds[0] < 0.6


def test_nothing_is_done_when_the_disk_is_full(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_room(monkeypatch, 10**6)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DiskFull):
        run(task, tmp_path, lambda event: None, Control(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named_before_any_work(task: TrainTask, tmp_path: Path) -> None:
    (tmp_path / "not-there").touch()
    with pytest.raises(NotWritable, match=re.escape(f"{task.publish_to}: Not a directory.")) as caught:
        run(task, tmp_path, lambda event: None, Control(tmp_path))
    assert "choose another folder" in caught.value.hint


def test_a_link_that_leads_nowhere_and_a_drive_that_is_not_there_are_refused(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    linked = replace(task, publish_to=tmp_path / "link" / "models")
    with pytest.raises(NotWritable, match=re.escape(f"{linked.publish_to}: Not a directory.")):
        refuse_full(linked, DreamboothPlan(), tmp_path)
    monkeypatch.setattr(os.path, "lexists", lambda place: False)
    for check in (lambda: refuse_full(task, DreamboothPlan(), tmp_path), lambda: refuse_closed(tmp_path)):
        with pytest.raises(NotWritable, match="No such file or directory"):
            check()


def test_where_the_system_refuses_a_file_the_folder_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(NotWritable, match="Permission denied"):
        refuse_closed(tmp_path)


def test_in_a_folder_that_can_be_written_nothing_is_left(tmp_path: Path) -> None:
    refuse_closed(tmp_path)
    refuse_closed(tmp_path / "not-there" / "models")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_be_written_any_more_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: Operation not permitted (os error 1)")

    monkeypatch.setattr("safetensors.torch.save_file", refused)
    with pytest.raises(NotWritable, match=re.escape(str(tmp_path / "a.safetensors"))) as caught:
        write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(1)})
    assert "resume the job" in caught.value.hint


def test_dreambooth_keeps_three_checkpoints_at_most_and_sd_scripts_all(tiny: BaseModelFile) -> None:
    plan = DreamboothPlan(save_count=6, resolution_px=64, prior_weight=0)
    ours, theirs = needs(plan, tiny, 4), needs(plan, tiny, 4, Engine.KOHYA)
    assert (ours.files, theirs.files) == (3, 7) and theirs.saved - (ours.saved - 2 * ours.state) >= 4 * ours.each
    assert needs(LoraPlan(save_count=6), tiny, 4).files == 6


def test_a_pickle_that_is_copied_for_sd_scripts_needs_its_size_once_more(tiny: BaseModelFile, tmp_path: Path) -> None:
    pickled = replace(tiny, path=tmp_path / "model.ckpt")
    torch.save(read_weights(tiny.path), pickled.path)
    plan = LoraPlan()
    more = needs(plan, pickled, 4, Engine.KOHYA).saved - needs(plan, tiny, 4, Engine.KOHYA).saved
    assert more == pickled.path.stat().st_size
    assert needs(plan, pickled, 4).saved == needs(plan, tiny, 4).saved


def test_a_pause_needs_room_for_two_states_and_the_larger_the_more_the_optimiser_keeps(tiny: BaseModelFile) -> None:
    plain, averaged = (needs(DreamboothPlan(optimiser="adamw", ema_decay=decay), tiny, 4) for decay in (0.0, 0.99))
    assert averaged.state * 12 == plain.state * 16 and averaged.saved - plain.saved == 2 * plain.state // 3
    frugal = needs(DreamboothPlan(optimiser="adafactor"), tiny, 4)
    assert plain.state > 2.5 * frugal.state > 0
    assert needs(DreamboothPlan(), tiny, 4, Engine.KOHYA).state == 0


def test_what_lies_there_already_is_not_wanted_again(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = DreamboothPlan(save_count=5)
    (tmp_path / "job" / "state").mkdir(parents=True)
    (tmp_path / "job" / "state" / "0.safetensors").write_bytes(b"\0" * 10**6)
    with_room(monkeypatch, wanted(task, plan) - 10**6)
    refuse_full(task, plan, tmp_path / "job")
    with_room(monkeypatch, wanted(task, plan) - 10**6 - 1)
    with pytest.raises(DiskFull):
        refuse_full(task, plan, tmp_path / "job")


def test_where_no_step_is_left_no_room_is_wanted_for_what_pausing_keeps(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = DreamboothPlan(save_count=5)
    storing.write(tmp_path / "job" / "state", {"weights": {"sam-000004.safetensors": [1, ""]}}, {})
    there = sum(path.stat().st_size for path in (tmp_path / "job").rglob("*") if path.is_file())
    found = needs(plan, task.base, len(task.photos))
    enough = wanted(task, plan) - found.states * found.state - there
    with_room(monkeypatch, enough)
    refuse_full(task, plan, tmp_path / "job")
    with_room(monkeypatch, enough - 1)
    with pytest.raises(DiskFull, match="< 0.1 MB to go on from"):
        refuse_full(task, plan, tmp_path / "job")


def test_more_pictures_need_more_room(tiny: BaseModelFile) -> None:
    few, more, many = (needs(LoraPlan(), tiny, photos) for photos in (4, 8, 40))
    assert many.cached - few.cached == 9 * (more.cached - few.cached) > 0 and few.shared == 0
    assert needs(LoraPlan(score_pictures=64), tiny, 4).cached > few.cached + 56 * 192 * 192 * 3
    held = needs(LoraPlan(prior_weight=0.5, prior_from="both", class_pictures=100), tiny, 4)
    assert held.shared > 100 * 192 * 192 * 3


def test_a_checkpoint_is_as_large_as_its_base(tiny: BaseModelFile) -> None:
    size = tiny.path.stat().st_size
    assert file_bytes(DreamboothPlan(), read_shapes(tiny.path), tiny) == pytest.approx(size, rel=0.01)
    assert estimate(DreamboothPlan(), tiny, 8, gpu=False)["file_mb"] == pytest.approx(size / 1e6, rel=0.01)


def test_memory_counts_what_dreambooth_began_with_and_what_is_averaged(tiny: BaseModelFile) -> None:
    shapes = read_shapes(tiny.path)

    def trained(plan: DreamboothPlan) -> tuple[int, float]:
        small = plan.copy(update={"resolution_px": 64})
        return trained_numbers(plan, shapes), 1e9 * memory_of(small, tiny, Machine(on_card=False))

    unet, plain = trained(DreamboothPlan(precision="fp32"))
    assert trained(DreamboothPlan(precision="fp32", ema_decay=0.999)) == (unet, pytest.approx(plain + 4 * unet))
    whole, with_text = trained(DreamboothPlan(precision="fp32", text_encoder_learning_rate=1e-6))
    each = 4 + 4 + 8 + 4  # gradient, number, AdamW's two, and the one that it began as
    assert with_text - plain == pytest.approx((whole - unet) * each, rel=0.1) and whole > unet
