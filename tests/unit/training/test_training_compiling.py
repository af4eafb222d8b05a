"""Compiled blocks compute what the plain ones do; pictures are made by the plain ones; failures are survived."""
from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from personal_avatar.training import compiling
from personal_avatar.training.compiling import BLOCKS, Regions, wanted
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.planning.plan import LoraPlan
from test_training_loop import PLAN, quiet, trainer

pytestmark = pytest.mark.slow

Load = Callable[[], DiffusionModel]
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("gcc") is None, reason="there is no compiler"
)
ON, OFF = (PLAN.copy(update={"compile": choice, "prior_weight": 0.5}) for choice in ("on", "off"))


def blocks(model: DiffusionModel) -> list[Any]:
    return [block for block in model.unet.modules() if type(block).__name__ in BLOCKS]


def test_it_is_chosen_for_long_trainings_on_cards_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "version", lambda: (2, 6))
    card, processor = (Compute(torch.device(name), torch.float32, None) for name in ("cuda", "cpu"))
    assert [wanted(LoraPlan(), card, steps) for steps in (300, 2000)] == [False, True]
    assert not wanted(LoraPlan(), processor, 20000) and wanted(LoraPlan(compile="on"), processor, 1)
    assert not wanted(LoraPlan(compile="off"), card, 20000)


@pytest.mark.parametrize("torch_version", [(2, 1), (2, 4), (2, 5)])
def test_a_torch_whose_compiler_fails_at_checkpoints_is_asked_only_on_request(
    torch_version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "version", lambda: torch_version)
    card = Compute(torch.device("cuda"), torch.float32, None)
    assert not wanted(LoraPlan(), card, 20000) and wanted(LoraPlan(compile="on"), card, 1)


@needs_compiler
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_losses_of_compiled_blocks_are_those_of_plain_ones(load_miniature: Load, checkpointing: bool) -> None:
    sentences: list[str] = []
    values = {"prior_weight": 0.0, "gradient_checkpointing": checkpointing}
    compiled, plain = (trainer(load_miniature, plan.copy(update=values), 2) for plan in (ON, OFF))
    compiled.note = compiled.regions.note = sentences.append
    assert compiled.regions.on and not plain.regions.on
    seen: list[bool] = []

    def save(step: int) -> bool:
        seen.append(any(block._compiled_call_impl for block in blocks(compiled.model)))
        return False

    compiled.run(quiet(save))
    plain.run(quiet())
    assert compiled.losses == pytest.approx(plain.losses, rel=1e-4) and not sentences
    assert seen and not any(seen), "pictures are made by the plain blocks"
    assert not any(block._compiled_call_impl for block in blocks(compiled.model))


def test_a_compiler_that_fails_is_told_and_the_training_is_the_same(
    load_miniature: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences: list[str] = []
    failing, plain = trainer(load_miniature, ON), trainer(load_miniature, OFF)
    failing.regions.note = sentences.append

    def fail(*_: Any, **__: Any) -> None:
        from torch._dynamo.exc import TorchDynamoException

        raise TorchDynamoException("no C++ compiler was found")

    for block in blocks(failing.model)[1:]:
        block._compiled_call_impl = fail
    blocks(failing.model)[0]._compiled_call_impl = None
    failing.run(quiet())
    plain.run(quiet())
    assert failing.losses == plain.losses
    assert len(sentences) == 1 and "no C++ compiler" in sentences[0] and not failing.regions.on


def test_the_first_step_alone_is_told_as_compiling_and_its_time_is_no_pace(load_miniature: Load) -> None:
    running = trainer(load_miniature, OFF, 3)
    running.regions._blocks = [torch.nn.Identity()]
    told: list[str] = []

    @contextmanager
    def compiling_step() -> Iterator[None]:
        told.append("compiles")
        yield
        told.append("trains")

    def step(done: int, total: int, loss: float | None, seconds_per_step: float) -> None:
        told.append(f"{done}{'' if seconds_per_step else ', no pace'}")

    running.run(Hooks(step, lambda step: None, lambda sentence: None, compiling=compiling_step))
    assert told == ["compiles", "trains", "1, no pace", "2", "3"]


@pytest.mark.parametrize("more", [{"low_first": 0.5}, {"prior_after": 0.5}])
def test_a_step_of_other_sizes_is_told_as_compiling_too_with_all_before_it_settled(
    more: dict[str, float], load_miniature: Load
) -> None:
    first = trainer(load_miniature, OFF.copy(update=more), 4)
    data = replace(first.data, small=first.data.large)
    running = Trainer(first.model, first.method, data, first.plan, 4)
    running.regions._blocks = [torch.nn.Identity()]
    running._look_every = 10  # as on a card
    told: list[str] = []

    @contextmanager
    def compiling_step() -> Iterator[None]:
        assert running.is_settled
        told.append("compiles")
        time.sleep(2.0)
        yield

    def step(done: int, total: int, loss: float | None, seconds_per_step: float) -> None:
        told.append(str(done))
        assert seconds_per_step < 2.0

    running.run(Hooks(step, lambda step: None, lambda sentence: None, compiling=compiling_step))
    assert told == ["compiles", "1", "2", "compiles", "3", "4"]


def test_a_failed_attempt_is_wholly_over_before_it_is_repeated(load_miniature: Load) -> None:
    """Checkpoints of older torches last until nobody knows the attempt any more, its error with its frames included."""
    from torch._dynamo.exc import TorchDynamoException

    over: list[str] = []

    def checkpoint(name: str) -> Iterator[None]:
        try:
            yield
        finally:
            over.append(name)

    def fail() -> None:
        inner = checkpoint("inner")
        next(inner)
        known = KeyError("of the backend")
        raise known

    def work() -> list[str]:
        if not regions.on:
            return list(over)
        outer = checkpoint("outer")
        next(outer)
        try:
            fail()
        except KeyError as error:
            raise TorchDynamoException("the backend failed") from error
        raise AssertionError

    regions = Regions(load_miniature().unet, lambda sentence: None)
    regions._blocks = [torch.nn.Identity()]
    assert sorted(regions.call(work)) == ["inner", "outer"]


def test_a_second_pass_that_is_unlike_the_first_is_the_compilers_failure(load_miniature: Load) -> None:
    def work() -> bool:
        if regions.on:
            raise torch.utils.checkpoint.CheckpointError("A different number of tensors was saved")
        return True

    sentences: list[str] = []
    regions = Regions(load_miniature().unet, sentences.append)
    regions._blocks = [torch.nn.Identity()]
    assert regions.call(work) and "A different number of tensors" in sentences[0]


def test_errors_of_the_training_itself_are_not_taken_for_the_compilers(load_miniature: Load) -> None:
    regions = Regions(load_miniature().unet, lambda sentence: None)
    regions._blocks = [torch.nn.Identity()]
    with pytest.raises(ZeroDivisionError):
        regions.call(lambda: 1 / 0)
    assert regions.on


def test_a_torch_without_a_compiler_is_told_at_once(load_miniature: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: torch.nn.Module) -> None:
        raise RuntimeError("Windows not yet supported for torch.compile")

    monkeypatch.setattr(torch.nn.Module, "compile", refuse)
    sentences: list[str] = []
    regions = Regions(load_miniature().unet, sentences.append)
    regions.start()
    assert not regions.on and "Windows not yet supported" in sentences[0]
