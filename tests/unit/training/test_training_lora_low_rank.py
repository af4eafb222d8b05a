"""The quick LoRA layer gives what peft's own gives, forwards and backwards."""
from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from personal_avatar.training.methods.low_rank import Linear
from torch import nn
from torch.utils.checkpoint import checkpoint

RANK, ALPHA = 4, 6.0
CASES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])


def network(dtype: torch.dtype) -> nn.Sequential:
    """Two linear layers, one without bias, frozen in `dtype`."""
    torch.manual_seed(1)
    made = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 16, bias=False))
    return made.to(dtype).requires_grad_(False)


def with_lora(bare: nn.Sequential, *, ours: bool) -> nn.Module:
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0", "2"], init_lora_weights=False)
    if ours:
        config._register_custom_module({nn.Linear: Linear})
    torch.manual_seed(2)
    made = inject_adapter_in_model(config, copy.deepcopy(bare))
    for name, weight in made.named_parameters():
        if ".lora_" in name:
            weight.data = weight.data.float()
            weight.requires_grad_(True)
    assert isinstance(made[0], Linear) == ours
    return made


def results(module: nn.Module, dtype: torch.dtype, again: bool = False) -> dict[str, torch.Tensor]:
    """The answer and all gradients, those of the input, too; `again`: with gradient checkpointing."""
    seen = torch.randn((2, 7, 24), generator=torch.Generator().manual_seed(3)).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = checkpoint(module, seen, use_reentrant=False) if again else module(seen)
    found.float().square().sum().backward()
    trained: dict[str, Any] = {name: one.grad for name, one in module.named_parameters() if one.requires_grad}
    return {"answer": found.detach(), "input": seen.grad, **trained}  # type: ignore[dict-item]


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    return float((one.float() - other.float()).norm()) <= tolerance * float(other.float().norm())


@CASES
@pytest.mark.parametrize("again", [False, True], ids=["plain", "checkpointed"])
def test_answers_and_gradients_are_those_of_peft(dtype: torch.dtype, tolerance: float, again: bool) -> None:
    bare = network(dtype)
    found = results(with_lora(bare, ours=True), dtype, again)
    wanted = results(with_lora(bare, ours=False), dtype)
    assert len(found) == 6
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert close(found[name], tensor, tolerance), name


@CASES
def test_half_precision_is_nearer_to_full_precision_than_peft(dtype: torch.dtype, tolerance: float) -> None:
    bare = network(dtype)
    exact = results(with_lora(bare.float(), ours=False), torch.float32)["answer"]
    errors = [
        float((results(with_lora(network(dtype), ours=ours), dtype)["answer"].float() - exact).norm())
        for ours in (True, False)
    ]
    assert errors[0] <= errors[1] * 1.05 + 1e-5


def test_gradients_are_those_of_finite_differences() -> None:
    layer = with_lora(network(torch.float32), ours=True).double()
    seen = torch.randn((3, 24), generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    trained = [weight for weight in layer.parameters() if weight.requires_grad]
    assert torch.autograd.gradcheck(lambda *_: layer(seen), (seen, *trained))


def test_without_strength_it_is_the_bare_layer_to_the_last_bit() -> None:
    bare = network(torch.float32)
    module = with_lora(bare, ours=True)
    for layer in (module[0], module[2]):  # type: ignore[index]
        layer.scaling["default"] = 0.0
    seen = torch.randn((5, 24), generator=torch.Generator().manual_seed(5))
    assert torch.equal(module(seen), bare(seen))
