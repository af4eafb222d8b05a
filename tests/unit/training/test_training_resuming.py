"""Put away by one process, taken up by another: the same training; what cannot be used is told of and put aside."""
from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from personal_avatar.domain import Avatar, BaseModelFile, Dataset, Method
from personal_avatar.jobs.control import PAUSE, Control, PauseTaken
from personal_avatar.jobs.events import EventWriter, Log, read_events
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training import resuming, storing
from personal_avatar.training.data import cache, reading
from personal_avatar.training.data.training_set import TrainingSet
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.resuming import Keeper
from personal_avatar.training.space import state_bytes
from personal_avatar.training.work import Point, Training, Work

Load = Callable[[], DiffusionModel]
TOTAL = 4
PLANS: dict[Method, dict[str, Any]] = {
    Method.LORA: {"rank": 2, "text_encoder_learning_rate": 1e-4, "shuffle_captions": True, "learning_rate": 1e-3},
    Method.TEXTUAL_INVERSION: {"vectors": 2},
    Method.DREAMBOOTH: {"learning_rate": 1e-4, "ema_decay": 0.5, "prior_weight": 0.0},
}
Usage = namedtuple("Usage", "total used free")


class Process:
    """One process of a job in `folder`: its work, its trainer, what keeps it."""

    def __init__(
        self, folder: Path, load: Load, base: BaseModelFile, method: Method = Method.LORA, **plan: Any
    ) -> None:
        folder.mkdir(exist_ok=True)
        avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
        values = {"save_count": 1, "batch_size": 2, "vary_captions": False, **PLANS[method], **plan}
        task = TrainTask(avatar, folder / "avatar", (), base, method, values, folder, folder)
        self.control = Control(folder)
        settings: Any = task.settings()
        nobody: Any = None
        self.work = Work(task, settings, PhotoSettings(), folder, EventWriter(folder), self.control, nobody)
        model, generator = load(), torch.Generator().manual_seed(3)
        attached = methods.attach(method, model, settings, trigger="sks man", class_noun="man")
        captions = ["sks man, smiling", "a portrait of sks man, outside"]
        latents = cache.Latents(
            tuple(torch.randn(2, 4, 8, 8, generator=generator)), tuple(torch.full((2, 4, 8, 8), 0.1))
        )
        anew = attached.trains_text or settings.shuffle_captions
        text = None if anew else reading.text_states(model, ["", *captions])
        data = TrainingSet(latents, captions, ["man, smiling", "a portrait of man, outside"], text)
        self.trainer = Trainer(model, attached, data, settings, TOTAL)
        dataset = Dataset("d", folder, (), (), 64, "sks man", "man", "f")
        self.training: Any = SimpleNamespace(
            dataset=dataset, data=data, method=attached, total_steps=TOTAL, points=[], untrained=None,
            bench=SimpleNamespace(model=model, known_ceiling=None), seconds_before=0.0,
        )
        self.keeper = Keeper(self.work, self.training, self.trainer)
        self.work.wishes.take_over(self.keeper.pause_at, self.trainer.tensors)

    def run(
        self, pause_after: int = TOTAL + 1, save: Callable[[int], bool | None] = lambda at: None
    ) -> None:
        """Raises `PauseTaken` after that step."""

        def step(done: int, *_: object) -> None:
            if done == pause_after:
                self.control.ask(PAUSE)
            self.work.wishes.heed(between_steps=True)

        self.keeper.take_up()
        hooks = Hooks(step, save, lambda said: None, stops=self.keeper.stops, keep=self.keeper.keep)
        self.trainer.run(hooks)

    def told(self) -> list[str]:
        return [one.event.message for one in read_events(self.work.folder) if isinstance(one.event, Log)]


def same(one: Trainer, other: Trainer) -> bool:
    first, second = one.method.state(), other.method.state()
    return one.losses == other.losses and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def process(tmp_path: Path, load_miniature: Load, miniature: BaseModelFile) -> Callable[..., Process]:
    return lambda name="job", *rest, **plan: Process(tmp_path / name, load_miniature, miniature, *rest, **plan)


@pytest.mark.slow
@pytest.mark.parametrize("method", PLANS)
def test_a_paused_training_is_taken_up_and_ends_as_a_whole_one(
    method: Method, process: Callable[..., Process], miniature: BaseModelFile
) -> None:
    whole, first = process("whole", method), process("job", method)
    whole.run()
    with pytest.raises(PauseTaken) as pause:
        first.run(pause_after=3)
    assert pause.value.step == 3 and first.trainer.done == 3
    if method is Method.DREAMBOOTH:
        written = sum(path.stat().st_size for path in (first.work.folder / "state").rglob("*.safetensors"))
        assert state_bytes(first.work.plan, read_shapes(miniature.path)) == pytest.approx(written, rel=0.05)
    first.control.withdraw(PAUSE)
    second = process("job", method)
    second.run()
    assert second.trainer.done == TOTAL and second.told() == [f"Going on from step 3 of {TOTAL}."]
    assert same(second.trainer, whole.trainer)


def saving(one: Process, relied: list[Path | None], judged: bool = True) -> Callable[[int], bool | None]:
    """Saves a checkpoint; `relied`: what it relied on instead. Without being `judged` the process is killed then."""

    def save(step: int) -> None:
        relied.append(one.keeper.relied_on)
        path = relied[-1] or one.work.artifacts / f"sam-{step}.safetensors"
        if relied[-1] is None:
            one.training.method.save(path, {})
        one.keeper.rely_on(path)
        if not judged:
            raise SystemExit

    return save


@pytest.mark.slow
@pytest.mark.parametrize("judged", [False, True])
def test_a_dreambooth_that_is_killed_after_its_last_step_goes_on_from_its_last_checkpoint(
    judged: bool, process: Callable[..., Process]
) -> None:
    """However short it was; what it writes for that is next to nothing."""
    first, second, third = (process("job", Method.DREAMBOOTH) for _ in range(3))
    relied: list[Path | None] = []
    with nullcontext() if judged else pytest.raises(SystemExit):
        first.run(save=saving(first, relied, judged))
    file, state = first.work.artifacts / f"sam-{TOTAL}.safetensors", first.work.folder / "state"
    assert sum(path.stat().st_size for path in state.rglob("*")) < file.stat().st_size / 10
    second.run(save=saving(second, relied))
    assert second.told() == [f"Going on from step {TOTAL} of {TOTAL}."]
    assert relied == ([None] if judged else [None, file]) and second.trainer.saved == second.trainer.done == TOTAL
    whole, weights = second.training.method.read(file), second.training.method.state()
    assert second.trainer.losses == first.trainer.losses
    assert all(torch.equal(whole[name].float(), weights[name]) for name in weights)
    with second.trainer.as_saved():
        weights = second.training.method.state()
    assert all(torch.equal(whole[name].float(), weights[name]) for name in weights)
    file.write_bytes(file.read_bytes()[:-1])
    third.keeper.take_up()
    assert third.trainer.done == 0 and f"the file {file.name} is damaged. It was put aside" in third.told()[-1]


@pytest.mark.slow
def test_a_dreambooth_that_has_learned_enough_needs_no_copy_of_its_weights(process: Callable[..., Process]) -> None:
    first, second = (process("job", Method.DREAMBOOTH, save_count=TOTAL) for _ in range(2))
    save = saving(first, [])
    first.run(save=lambda step: bool(save(step) or step == 2))
    second.run(save=lambda step: pytest.fail("it was saved and judged before"))
    assert (second.trainer.done, second.trainer.saved, second.trainer.enough) == (2, 2, True)
    assert second.keeper.relied_on == first.work.artifacts / "sam-2.safetensors"


@pytest.mark.slow
def test_a_dreambooth_that_pauses_before_its_last_checkpoint_keeps_its_own_weights(
    process: Callable[..., Process]
) -> None:
    """Not those of the checkpoint before."""
    first, second = (process("job", Method.DREAMBOOTH, save_count=2) for _ in range(2))
    with pytest.raises(PauseTaken):
        first.run(TOTAL, saving(first, []))
    first.control.withdraw(PAUSE)
    second.keeper.take_up()
    assert second.keeper.relied_on is None and same(second.trainer, first.trainer)


@pytest.mark.slow
def test_a_training_whose_captions_were_cut_is_another_than_one_that_reads_them_whole(
    process: Callable[..., Process]
) -> None:
    """Captions of one window were always read so."""
    running = process()
    known = resuming.fingerprint(running.work, running.training)
    for asked, same_as_before in ((("sks man, smiling",), True), (("sks man, " + "tag, " * 60,), False)):
        running.training.data = replace(running.training.data, asked=asked)
        assert (resuming.fingerprint(running.work, running.training) == known) is same_as_before


@pytest.fixture
def paused(process: Callable[..., Process]) -> Process:
    first = process()
    with pytest.raises(PauseTaken):
        first.run(pause_after=2)
    first.control.withdraw(PAUSE)
    return first


@pytest.mark.slow
def test_what_cannot_be_used_is_put_aside_and_the_training_begins_anew(
    paused: Process, process: Callable[..., Process]
) -> None:
    folder = paused.work.folder
    file = next((folder / "state").rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    again = process()
    again.keeper.take_up()
    assert again.trainer.done == 0 and not again.trainer.losses
    assert "0.safetensors is damaged. It was put aside" in again.told()[-1]
    assert (folder / "state-aside").is_dir() and not (folder / "state").exists()

    again.run(pause_after=TOTAL + 1)
    other = process(learning_rate=2e-3)
    other.keeper.take_up()
    assert other.trainer.done == 0
    assert "another plan" in other.told()[-1]


@pytest.mark.slow
def test_a_state_of_an_odd_shape_changes_nothing(paused: Process, process: Callable[..., Process]) -> None:
    facts, tree = storing.read(paused.work.folder / "state")
    again = process()
    before = again.trainer.method.state()
    for odd in (
        {**tree, "weights": tree["weights"][:-1]}, {**tree, "optimiser": {"state": {}, "param_groups": []}},
        {key: value for key, value in tree.items() if key != "drawn"},
    ):
        storing.write(paused.work.folder / "state", facts, odd)
        again.keeper.take_up()
        assert "cannot be used" in again.told()[-1]
        after = again.trainer.method.state()
        assert again.trainer.done == 0 and all(torch.equal(before[key], after[key]) for key in before)
    whole = process("whole")
    whole.run()
    again.run()
    assert same(again.trainer, whole.trainer)


@pytest.mark.slow
def test_a_full_disk_is_told_of_once_and_the_training_goes_on(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = process()
    with monkeypatch.context() as full:
        full.setattr(storing.shutil, "disk_usage", lambda path: Usage(10, 10, 1000))
        running.control.ask(PAUSE)
        running.run()
    assert running.trainer.done == TOTAL
    assert len(running.told()) == 1 and "< 0.1 MB are free" in running.told()[0]
    monkeypatch.setattr(resuming, "RETRY_S", 0.0)
    running.keeper._retry_at = 0.0
    with pytest.raises(PauseTaken):  # there is room again
        running.work.wishes.heed(between_steps=True)


@pytest.mark.slow
def test_a_state_is_kept_now_and_then_without_being_asked(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = process("job", Method.TEXTUAL_INVERSION)
    running.keeper.now_and_then()
    assert storing.facts_of(running.work.wishes.folder) is None
    monkeypatch.setattr(resuming, "EVERY_S", 0.0)
    assert running.keeper.stops()
    running.trainer.step()
    running.keeper.now_and_then()
    assert storing.facts_of(running.work.wishes.folder)["step"] == 1  # type: ignore[index]


def test_of_large_checkpoints_those_without_a_file_are_known_as_long_as_the_best_is_there(tmp_path: Path) -> None:
    keeper: Any = object.__new__(Keeper)
    keeper._work = SimpleNamespace(folder=tmp_path)
    points = [Point(step, Path(f"{step}.safetensors"), 0.1, 1.0, (), (), 1.0, merit)
              for step, merit in ((1, 0.1), (2, 0.9), (3, 0.2))]
    facts = {"points": [resuming.to_json(point) for point in points], "untrained": None}
    for step in (2, 3):
        (tmp_path / f"{step}.safetensors").touch()
    assert [one.step for one in keeper._measured(facts)[0]] == [1, 2, 3]
    (tmp_path / "2.safetensors").unlink()
    assert [one.step for one in keeper._measured(facts)[0]] == [3]


@pytest.mark.slow
def test_a_step_that_was_gone_back_to_is_another_one_than_the_state_of_before(process: Callable[..., Process]) -> None:
    running = process()
    running.trainer.step()
    running.keeper._put()
    assert running.keeper.pause_at(True) == 1
    running.trainer.rate, running.trainer.halvings = 0.5, 1
    assert running.keeper.pause_at(True) == 1
    assert storing.read(running.work.wishes.folder)[1]["halvings"] == 1


@pytest.mark.slow
def test_large_checkpoints_go_once_what_is_kept_knows_the_better_ones(process: Callable[..., Process]) -> None:
    """Should the process be killed before it keeps its state again, those are found that are there."""
    running = process("job", Method.DREAMBOOTH)
    running.trainer.step()
    running.keeper._put()
    (running.work.folder / "artifacts").mkdir()
    files = {step: running.work.folder / "artifacts" / f"{step}.safetensors" for step in (1, 2, 3)}
    training = Training(*[None] * 5, TOTAL)  # type: ignore[arg-type]
    for name in ("method", "bench", "data", "dataset"):
        setattr(training, name, getattr(running.training, name))
    running.keeper._training = training
    for step, file in files.items():
        file.touch()
        training.points.append(Point(step, file, 0.1, 1.0, (), (), 1.0, float(step)))
        running.keeper.thin_out()
    assert [file.exists() for file in files.values()] == [False, False, True]
    after = process("job", Method.DREAMBOOTH)
    after.keeper.take_up()
    assert after.trainer.done == 1 and [one.path for one in after.training.points if one.path.is_file()] == [files[3]]
