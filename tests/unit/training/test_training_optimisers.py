"""Whether an optimiser has made a step, which decides whether a cancelled training has anything to keep."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from personal_avatar.domain import Method
from personal_avatar.training import optimisers
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS

OWN = ["adamw", "prodigy", "adafactor", "lion", "schedulefree", "muon"]  # what runs without a card


def test_every_optimiser_of_the_table_has_a_builder_and_none_has_no_row() -> None:
    assert set(OPTIMISERS) == set(optimisers._MAKERS)


def weight() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(2, 2))


def stepped(optimiser: Any, scaler: Any, gradient: float) -> None:
    for group in optimiser.param_groups:
        for one in group["params"]:
            one.grad = torch.full_like(one, gradient)
    scaler.scale(torch.ones(()))
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()


@pytest.mark.parametrize("name", OWN)
def test_steps_that_a_scaler_leaves_out_are_none(name: str) -> None:
    if name == "adamw" and torch.__version__ < "2.4":
        pytest.skip("fused on cards alone")
    moved = weight()
    plan = PLANS[Method.LORA](optimiser=name, warmup_steps=0)
    optimiser, scaler = optimisers.make([{"params": [moved], "lr": 1e-2}], plan), torch.amp.GradScaler("cpu")
    if name == "schedulefree":
        optimiser.train()  # type: ignore[attr-defined]
    assert not optimisers.has_moved(optimiser)
    stepped(optimiser, scaler, float("inf"))
    assert torch.equal(moved, torch.ones(2, 2)) and not optimisers.has_moved(optimiser)
    stepped(optimiser, scaler, 1.0)
    assert optimisers.has_moved(optimiser)


def test_the_fused_one_has_a_state_before_its_first_step() -> None:
    """What the answer must not be read from."""
    optimiser = torch.optim.AdamW([weight()], fused=True)
    stepped(optimiser, torch.amp.GradScaler("cpu"), float("inf"))
    assert optimiser.state and not optimisers.has_moved(optimiser)


def test_those_of_bitsandbytes_count_numbers() -> None:
    optimiser = torch.optim.SGD([one := weight()], lr=1e-2)
    optimiser.state[one] = {"step": 0}
    assert not optimisers.has_moved(optimiser)
    optimiser.state[one] = {"step": 1}
    assert optimisers.has_moved(optimiser)
