"""The quick LoRA layers give what peft's own gives, forwards and backwards."""
from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from personal_avatar.training.methods.low_rank import Conv2d, Linear
from torch import nn
from torch.utils.checkpoint import checkpoint

RANK, ALPHA = 4, 6.0
KINDS = {nn.Linear: Linear, nn.Conv2d: Conv2d}
CASES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])


def network(dtype: torch.dtype, kind: type[nn.Module] = nn.Linear) -> nn.Sequential:
    """Two layers, one without bias, frozen in `dtype`; of convolutions the second makes the picture smaller."""
    torch.manual_seed(1)
    layers = (nn.Linear(24, 40), nn.Linear(40, 16, bias=False))
    if kind is nn.Conv2d:
        layers = (nn.Conv2d(24, 40, 3, padding=1), nn.Conv2d(40, 16, 3, stride=2, bias=False))  # type: ignore[assignment]
    made = nn.Sequential(layers[0], nn.GELU(), layers[1])
    return made.to(dtype).requires_grad_(False)


def an_input(kind: type[nn.Module], seed: int) -> torch.Tensor:
    shape = (2, 24, 9, 7) if kind is nn.Conv2d else (2, 7, 24)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_lora(bare: nn.Sequential, *, ours: bool) -> nn.Module:
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0", "2"], init_lora_weights=False)
    if ours:
        config._register_custom_module(KINDS)
    torch.manual_seed(2)
    made = inject_adapter_in_model(config, copy.deepcopy(bare))
    for name, weight in made.named_parameters():
        if ".lora_" in name:
            weight.data = weight.data.float()
            weight.requires_grad_(True)
    assert isinstance(made[0], (Linear, Conv2d)) == ours
    return made


def results(
    module: nn.Module, dtype: torch.dtype, again: bool = False, kind: type[nn.Module] = nn.Linear
) -> dict[str, torch.Tensor]:
    """The answer and all gradients, those of the input, too; `again`: with gradient checkpointing."""
    seen = an_input(kind, 3).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = checkpoint(module, seen, use_reentrant=False) if again else module(seen)
    found.float().square().sum().backward()
    trained: dict[str, Any] = {name: one.grad for name, one in module.named_parameters() if one.requires_grad}
    return {"answer": found.detach(), "input": seen.grad, **trained}  # type: ignore[dict-item]


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    return float((one.float() - other.float()).norm()) <= tolerance * float(other.float().norm())


@CASES
@pytest.mark.parametrize("again", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_gradients_are_those_of_peft(
    dtype: torch.dtype, tolerance: float, again: bool, kind: type[nn.Module]
) -> None:
    bare = network(dtype, kind)
    found = results(with_lora(bare, ours=True), dtype, again, kind)
    wanted = results(with_lora(bare, ours=False), dtype, kind=kind)
    assert len(found) == 6
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert close(found[name], tensor, tolerance), name


@CASES
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_nearer_to_full_precision_than_peft(
    dtype: torch.dtype, tolerance: float, kind: type[nn.Module]
) -> None:
    bare = network(dtype, kind)
    exact = results(with_lora(bare.float(), ours=False), torch.float32, kind=kind)["answer"]
    errors = [
        float((results(with_lora(network(dtype, kind), ours=ours), dtype, kind=kind)["answer"].float() - exact).norm())
        for ours in (True, False)
    ]
    assert errors[0] <= errors[1] * 1.05 + 1e-5


def test_gradients_are_those_of_finite_differences() -> None:
    layer = with_lora(network(torch.float32), ours=True).double()
    seen = torch.randn((3, 24), generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    trained = [weight for weight in layer.parameters() if weight.requires_grad]
    assert torch.autograd.gradcheck(lambda *_: layer(seen), (seen, *trained))


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_it_is_the_bare_layer_to_the_last_bit(kind: type[nn.Module]) -> None:
    bare = network(torch.float32, kind)
    module = with_lora(bare, ours=True)
    for layer in (module[0], module[2]):  # type: ignore[index]
        layer.scaling["default"] = 0.0
    seen = an_input(kind, 5)
    assert torch.equal(module(seen), bare(seen))
