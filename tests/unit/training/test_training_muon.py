"""Muon's steps: as long as AdamW's, with no direction of a matrix before another, the same as torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.training.muon import AS_ADAMW, Muon, orthogonalised

RATE = 0.01


def matrices(rows: int, columns: int, seed: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(seed))


def stepped(weights: list[torch.Tensor], gradients: list[torch.Tensor], weight_decay: float = 0.0) -> None:
    """One step of each weight along its gradient."""
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    Muon([{"params": weights, "lr": RATE}], 0.9, weight_decay).step()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(1, 90), st.integers(0, 99), st.floats(1e-6, 1e6))
def test_no_direction_is_before_another(rows: int, columns: int, seed: int, size: float) -> None:
    found = orthogonalised(size * matrices(rows, columns, seed))
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.3
    if max(rows, columns) >= 2 * min(rows, columns):  # others may begin too near zero to come up
        assert values.min() > 0.6


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 16), st.integers(2, 40), st.integers(0, 99))
def test_directions_stay_what_they_are(rows: int, columns: int, seed: int) -> None:
    before = matrices(rows, columns, seed, 1)
    left, _, right = torch.linalg.svd(before[0], full_matrices=False)
    turned = left.T @ orthogonalised(before)[0] @ right.T
    assert (turned - turned.diag().diag()).abs().max() < 1e-3
    assert torch.allclose(orthogonalised(before.transpose(1, 2)).transpose(1, 2), orthogonalised(before), atol=1e-5)


def test_what_has_no_gradient_yet_stays_where_it_is() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 6))
    stepped([weight], [torch.zeros(4, 6)])
    assert torch.equal(weight, torch.ones(4, 6))
    assert torch.equal(orthogonalised(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (16, 32, 3, 3)])
def test_a_step_is_as_long_as_adamws(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.nn.Parameter(torch.zeros(shape))
    stepped([weight], [torch.randn(shape, generator=generator)])
    length = weight.detach().square().mean().sqrt().item()
    assert length == pytest.approx(RATE * AS_ADAMW, rel=0.3)


def test_matrices_of_one_shape_are_moved_each_by_its_own_gradient() -> None:
    gradients = [*matrices(8, 20, 1, 3), matrices(5, 20, 2, 1)[0]]
    together = [torch.nn.Parameter(torch.zeros_like(one)) for one in gradients]
    stepped(together, gradients)
    for weight, gradient in zip(together, gradients, strict=True):
        alone = torch.nn.Parameter(torch.zeros_like(gradient))
        stepped([alone], [gradient])
        assert torch.allclose(weight, alone, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has none")
@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_several_steps_are_those_of_torch_within_its_rounding(shape: tuple[int, int]) -> None:
    """torch iterates in bfloat16."""
    generator = torch.Generator().manual_seed(3)
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    one = Muon([{"params": [ours], "lr": RATE}], 0.9, 0.1)
    other = torch.optim.Muon([theirs], lr=RATE, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    moved, expected = 1.0 - ours.detach(), 1.0 - theirs.detach()
    assert (moved - expected).norm() / expected.norm() < 0.02
    assert math.isclose(moved.norm(), expected.norm(), rel_tol=0.01)


def test_it_answers_what_its_closure_answers() -> None:
    weight = torch.nn.Parameter(torch.zeros(3, 4))
    found = Muon([{"params": [weight], "lr": RATE}], 0.9, 0.0).step(lambda: 2.5)
    assert found == 2.5


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="matrices"):
        Muon([{"params": [torch.nn.Parameter(torch.zeros(3))], "lr": RATE}], 0.9, 0.0)
