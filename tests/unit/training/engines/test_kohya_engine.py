"""A whole training by a process in the place of sd-scripts: events, files, wishes of the user, failures."""
from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning_files
import pytest
import torch
from kohya_orders import base_of, dataset_in, order_of
from personal_avatar.domain import Avatar, BaseModelFile, Engine, Family, Method, PhotoReport
from personal_avatar.environment import kohya as installed
from personal_avatar.errors import Cancelled, Crashed, Killed, NanLoss, OutOfVram, TrainerMissing
from personal_avatar.jobs.control import CANCEL, DISCARD, Control
from personal_avatar.jobs.events import Event, Log, Progress, SampleMade
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training import compute, memory, run
from personal_avatar.training.engines.kohya import engine
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.families import registry as families
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.planning.idle import harmful
from personal_avatar.training.planning.plan import LoraPlan
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.work import Training, Work
from pretended_card import Card

PLAN = LoraPlan(steps=4, save_count=2, rank=2, resolution_px=64, batch_size=1, prior_weight=0.0)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("sd_scripts")]


class Job:
    """A job with a loaded miniature that has a LoRA on it; its events are kept."""

    def __init__(self, folder: Path, base: BaseModelFile, after: Callable[[Event, Job], None]) -> None:
        self.events: list[Event] = []
        self.scored: list[tuple[int, str]] = []
        self.control, self.after = Control(folder / "job"), after
        self.folder = folder / "job"
        self.folder.mkdir()
        avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
        task = TrainTask(
            avatar, folder / "avatar", (), base, Method.LORA, {}, folder / "Lora", folder / "data" / "weights",
            engine=Engine.KOHYA,
        )
        unused: Any = None
        emit: Any = self.emit
        self.work = Work(task, PLAN, PhotoSettings(), self.folder, emit, self.control, unused)
        model = families.load(base, compute.choose("fp32"), 64)
        method = methods.attach(Method.LORA, model, PLAN, trigger="sks man", class_noun="man")
        shots = tuple(Shot(f"a photo of sks man {number}", number) for number in range(4))
        bench: Any = SimpleNamespace(model=model, choosing=SimpleNamespace(subject=shots))
        dataset = dataset_in(folder / "avatar" / "dataset")
        self.training = Training(PhotoReport(()), dataset, bench, unused, method, PLAN.steps)
        template = folder / "template.safetensors"
        method.save(template, {})
        os.environ["STAND_IN_TEMPLATE"] = str(template)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.after(event, self)

    def train(self) -> None:
        engine.train(self.work, self.training, lambda step, path: self.scored.append((step, path.name)))

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def sd_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like sd-scripts, below the job's data folder."""
    folder = tmp_path / "data" / "sd-scripts"
    for name in installed.NEEDED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("stand_in.py"), folder / name)
    (folder / "README.md").write_text("Version 0.10.1", encoding="utf-8")
    (folder / "library" / "original_unet.py").write_text("class DownBlock2D:\n    pass\n", encoding="utf-8")
    (folder / "library" / "model_util.py").write_text("CLIPTextConfig = dict\n", encoding="utf-8")
    monkeypatch.delenv(installed.VARIABLE, raising=False)
    monkeypatch.setenv("STAND_IN_TEMPLATE", "")
    monkeypatch.setenv("STAND_IN_ENDS", "")
    return folder


@pytest.fixture
def job(tmp_path: Path, miniature: BaseModelFile) -> Callable[..., Job]:
    return lambda after=lambda *_: None: Job(tmp_path, miniature, after)


def test_files_are_kept_under_our_names_and_scored_in_order(job: Callable[..., Job]) -> None:
    running = job()
    running.train()
    assert running.scored == [(2, "sam-000002.safetensors"), (4, "sam-000004.safetensors")]
    assert sorted(path.name for path in running.work.artifacts.glob("*.safetensors")) == [
        "sam-000002.safetensors", "sam-000004.safetensors",
    ]
    assert not list((running.folder / "kohya" / "output").glob("*.safetensors"))


def test_progress_and_samples_are_told(job: Callable[..., Job]) -> None:
    running = job()
    running.train()
    last = running.told(Progress)[-1]
    assert (last.step, last.total, last.seconds_per_step) == (4, 4, 0.1)
    assert running.training.losses == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    samples = running.told(SampleMade)
    prompt = "a photo of sks man 0"
    assert [(event.step, event.prompt) for event in samples] == [(2, prompt), (4, prompt)]
    assert all((running.folder / event.path).is_file() for event in samples)
    assert "sd-scripts" in running.told(Log)[0].message


def test_the_memory_that_is_told_is_that_of_sd_scripts(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own process, which holds a checkpoint and scores what was saved, took more."""
    running = job()
    assert running.training.memory == memory.UNTOLD
    running.train()
    taken = running.training.memory
    assert taken["peak_memory_of"] == "ram" and 0 < taken["peak_memory_gb"] < 0.1 < memory.peak_gb()
    monkeypatch.setenv("STAND_IN_ENDS", "killed")
    with pytest.raises(Killed):
        running.train()
    assert running.training.memory == memory.UNTOLD


def test_captions_that_it_reads_otherwise_are_told(job: Callable[..., Job]) -> None:
    running = job()
    dataset = running.training.dataset
    assert engine.order_for(running.work, running.training).max_token_length is None
    first = replace(dataset.samples[0], caption="sks man, " + "tag, " * 50)
    running.training.dataset = replace(dataset, samples=(first, *dataset.samples[1:]))
    assert engine.order_for(running.work, running.training).max_token_length == 150
    running.train()
    assert "fills all of them up to 150" in running.told(Log)[1].message


@pytest.mark.parametrize("family, filled, marked", [
    (Family.SD1, [49407], [256]), (Family.SD2, [0], [0]), (Family.SDXL, [49407, 49407], [256, 256]),
])
def test_its_tokenizers_are_ours_and_fill_up_with_what_it_does_not_set_itself(
    tmp_path: Path, family: Family, filled: list[int], marked: list[int]
) -> None:
    """For SDXL it sets what the second one fills up with; SD2's would need a pad that is no "!"."""
    from transformers import CLIPTokenizer

    order = order_of(base=base_of(family), folder=tmp_path)
    engine.write_tokenizers(order)
    known = [CLIPTokenizer.from_pretrained(order.tokenizers / name) for name in engine.TOKENIZERS[family]]
    assert [one.pad_token_id for one in known] == filled
    known[-1].pad_token_id = known[-1].pad_token_id if family is not Family.SDXL else 0  # as strategy_sdxl.py does
    assert [one("hello!", add_special_tokens=False).input_ids[-1] for one in known] == marked


def test_tokenizers_of_an_install_that_is_read_only_can_be_written_to_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "install"
    shutil.copytree(engine.TOKENIZER, source)
    for path in (*source.iterdir(), source):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(engine, "TOKENIZER", source)
    order = order_of(base=base_of(Family.SD2), folder=tmp_path)
    try:
        engine.write_tokenizers(order)
    finally:
        source.chmod(0o755)
    written = [order.tokenizers, *order.tokenizers.rglob("*")]
    assert len(written) > len(engine.SETTINGS) and all(path.stat().st_mode & 0o200 for path in written)
    shutil.rmtree(order.tokenizers)


def test_the_persons_photos_do_not_stay_in_the_job(job: Callable[..., Job]) -> None:
    running = job()
    running.train()
    assert not (running.folder / "kohya" / "pictures").exists()


def test_a_cancelled_training_keeps_its_last_file_for_publishing(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "hangs")
    running = job(lambda event, job: job.control.ask(CANCEL) if getattr(event, "step", 0) == 2 else None)
    with pytest.raises(Cancelled):
        running.train()
    (point,) = running.training.points
    assert (point.step, point.path.name) == (2, "sam-000002.safetensors")
    assert running.scored == []


def test_a_cancel_stays_one_where_the_checkpoint_went_meanwhile(
    job: Callable[..., Job], tmp_path: Path, miniature: BaseModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "hangs")
    base = replace(miniature, path=Path(shutil.copyfile(miniature.path, tmp_path / "own.safetensors")))

    def cancel(event: Event, job: Job) -> None:
        if getattr(event, "step", 0) == 2:
            base.path.unlink(missing_ok=True)
            job.control.ask(CANCEL)

    running = Job(tmp_path, base, cancel)
    with pytest.raises(Cancelled):
        running.train()
    assert [point.step for point in running.training.points] == [2]


def test_after_an_error_the_checkpoint_stays_in_main_memory(
    miniature: BaseModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the card there may be no room, and that would be told instead of the error."""
    monkeypatch.setattr(gc, "collect", lambda: 0)
    with Card().plugged_in() as card:
        model = families.load(miniature, compute.choose("fp32"), 64)
        with engine.out_of_the_way(model):
            assert not any(map(card.holds, model.tensors()))
        assert all(map(card.holds, model.tensors()))
        with pytest.raises(Cancelled), engine.out_of_the_way(model):
            raise Cancelled("enough")
        assert not any(map(card.holds, model.tensors()))
        assert all(weight.numel() for weight in model.unet.parameters())


def test_an_end_without_a_file_is_told_by_name(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit code 0: sd-scripts found nothing to train on, or only wrote what it would do."""
    monkeypatch.setenv("STAND_IN_ENDS", "early")
    running = job()
    with pytest.raises(Crashed, match="saved no file"):
        running.train()
    assert running.scored == []


def test_the_last_file_is_kept_when_scoring_is_cancelled(job: Callable[..., Job]) -> None:
    def cancelled(step: int, path: Path) -> None:
        raise Cancelled(f"at {step}")

    running = job()
    with pytest.raises(Cancelled, match="at 2"):
        engine.train(running.work, running.training, cancelled)
    assert [(point.step, point.path.is_file()) for point in running.training.points] == [(4, True)]


def test_nothing_is_kept_when_nothing_shall_be(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "hangs")

    def discard(event: Event, job: Job) -> None:
        if isinstance(event, SampleMade):
            job.control.ask(DISCARD)
            job.control.ask(CANCEL)

    running = job(discard)
    with pytest.raises(Cancelled):
        running.train()
    assert running.training.points == []


def test_a_pickled_checkpoint_is_handed_over_as_one_that_it_can_read(
    tmp_path: Path, miniature: BaseModelFile
) -> None:
    pickled = lightning_files.save(tmp_path / "model.ckpt", read_weights(miniature.path))
    vae = lightning_files.save(tmp_path / "model.vae.pt", read_weights(miniature.path))
    running = Job(tmp_path, replace(miniature, path=pickled, vae=vae), lambda *_: None)
    running.train()
    assert [step for step, _ in running.scored] == [2, 4]
    assert not list((running.folder / "kohya").rglob("model*"))


def test_what_it_saved_before_it_broke_is_kept_and_told(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "breaks")
    running = job()
    with pytest.raises(Crashed, match="it broke") as broken:
        running.train()
    (left,) = running.work.artifacts.glob("*.safetensors")
    assert left.name == "sam-000002.safetensors"
    assert broken.value.message.endswith(f"the last file, of step 2, is {left}.")
    assert running.training.points == []


def test_what_it_saved_before_it_broke_goes_where_nothing_shall_be_kept(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "breaks")
    running = job()
    running.control.ask(DISCARD)
    with pytest.raises(Crashed) as broken:
        running.train()
    assert not list(running.work.artifacts.glob("*.safetensors")) and "kept" not in broken.value.message


def test_what_an_earlier_attempt_had_saved_is_kept_when_the_next_one_begins(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "memory")
    running = job()
    earlier = running.folder / "kohya" / "output"
    earlier.mkdir(parents=True)
    shutil.copyfile(os.environ["STAND_IN_TEMPLATE"], earlier / "sam-step00000002.safetensors")
    with pytest.raises(OutOfVram):
        running.train()
    assert [path.name for path in running.work.artifacts.glob("*.safetensors")] == ["sam-000002.safetensors"]


def test_an_infinite_loss_ends_it_by_name(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "nan")
    with pytest.raises(NanLoss):
        job().train()


@pytest.mark.parametrize(("autocast", "advises_fp32"), [(None, False), (torch.bfloat16, False), (torch.float16, True)])
def test_an_infinite_loss_in_fp16_may_be_the_cards(
    autocast: torch.dtype | None, advises_fp32: bool, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "nan")
    running = job()
    model = running.training.bench.model
    model.compute = replace(model.compute, autocast=autocast)
    with pytest.raises(NanLoss) as raised:
        run._train(running.work, running.training)
    assert "learning rate" in raised.value.hint
    assert ("precision to fp32" in raised.value.hint) is advises_fp32


@pytest.mark.parametrize("chosen", [Engine.DIFFUSERS, Engine.KOHYA])
def test_a_rate_that_holds_prodigy_down_is_told_whichever_engine_trains(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, chosen: Engine
) -> None:
    monkeypatch.setattr(installed, "lacking_modules", lambda data: [])  # what sd-scripts imports need not be here
    running = job()
    task = replace(running.work.task, engine=chosen, plan={"optimiser": "prodigy", "learning_rate": 1e-4})
    plan = run._plan(task, running.work.emit)
    told = [event.message for event in running.told(Log) if "learning_rate" in event.message]
    assert told == harmful(plan, task.base, task.plan) and "set learning_rate to 1" in told[0]


def test_a_lack_of_memory_is_named(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_ENDS", "memory")
    with pytest.raises(OutOfVram):
        job().train()


def test_a_missing_engine_is_told_before_anything_is_written(job: Callable[..., Job], sd_scripts: Path) -> None:
    shutil.rmtree(sd_scripts)
    running = job()
    with pytest.raises(TrainerMissing):
        running.train()
    assert not (running.folder / "kohya").exists()
