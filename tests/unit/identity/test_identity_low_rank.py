from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from typing import Any

import pytest
import torch
from identity_unets import LdmUNet, diffusers_unet
from personal_avatar.domain import Family
from personal_avatar.identity.calls import Call
from personal_avatar.identity.layers import attentions
from personal_avatar.identity.low_rank import LowRank, enter
from personal_avatar.identity.nouns import Rows
from torch import Tensor, nn

NAMES = ("to_q", "to_k", "to_v", "to_out")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 5).requires_grad_(False)


PAIR = (random(2, 6, seed=1), random(5, 2, seed=2))
ROWS = Rows((True, False), 0.0)


def test_it_is_what_adding_the_product_to_the_weight_gives(layer: nn.Linear) -> None:
    x = random(2, 3, 6)
    merged = nn.functional.linear(x, layer.weight + 0.7 * PAIR[1] @ PAIR[0], layer.bias)
    with ExitStack() as stack:
        LowRank(PAIR, 0.7, Call(ROWS)).enter(layer, stack)
        torch.testing.assert_close(layer(x), merged)


def test_without_rows_the_layer_is_bit_equal(layer: nn.Linear) -> None:
    x, call = random(2, 3, 6), Call(None)
    plain = layer(x)
    with ExitStack() as stack:
        LowRank(PAIR, 0.7, call).enter(layer, stack)
        assert torch.equal(layer(x), plain)
    call.rows = ROWS
    assert torch.equal(layer(x), plain), "left"


def test_hooks_that_were_there_before_see_it(layer: nn.Linear) -> None:
    seen: list[Tensor] = []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    with ExitStack() as stack:
        LowRank(PAIR, 1.0, Call(ROWS)).enter(layer, stack)
        output = layer(random(2, 3, 6))
    assert torch.equal(seen[0], output)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_follows_the_number_format_of_the_layer(layer: nn.Linear, dtype: torch.dtype) -> None:
    layer.to(dtype)
    with ExitStack() as stack:
        LowRank(PAIR, 1.0, Call(ROWS)).enter(layer, stack)
        assert layer(random(2, 3, 6).to(dtype)).dtype == dtype


def test_a_rounded_step_does_not_round_the_next(layer: nn.Linear) -> None:
    x = random(2, 3, 6)
    with ExitStack() as stack:
        LowRank(PAIR, 1.0, Call(ROWS)).enter(layer, stack)
        exact, whole = layer(x), deepcopy(layer.state_dict())
        layer.to(torch.bfloat16)(x.to(torch.bfloat16))
        layer.to(torch.float32)
        layer.load_state_dict(whole)
        assert torch.equal(layer(x), exact)


def test_weights_stored_in_eight_bits_do_not_matter(layer: nn.Linear) -> None:
    """Some hosts store weights in fp8 and cast them inside `forward`: only what goes in and comes out counts."""

    class Stored(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    stored = Stored(6, 5).requires_grad_(False).to(torch.float8_e4m3fn)
    plain = stored(random(2, 3, 6).half())
    with ExitStack() as stack:
        LowRank(PAIR, 1.0, Call(ROWS)).enter(stored, stack)
        output = stored(random(2, 3, 6).half())
    assert output.dtype == torch.float16
    expected = nn.functional.linear(random(2, 3, 6), PAIR[1] @ PAIR[0])
    torch.testing.assert_close((output - plain).float(), expected, atol=0.05, rtol=0.01)


@pytest.mark.parametrize("layout", [lambda unet: unet, LdmUNet])
def test_all_four_projections_of_an_attention_get_theirs(layout: Any) -> None:
    attention = attentions(layout(diffusers_unet(Family.SD1)))[1]
    pairs, plain, given = {}, {}, {}
    for seed, name in enumerate(NAMES):
        module = attention.projection(name)
        pairs[name] = (random(2, module.in_features, seed=seed), random(module.out_features, 2, seed=seed + 10))
        given[name] = random(2, 3, module.in_features)
        plain[name] = module(given[name])
    with ExitStack() as stack:
        enter(attention, pairs, 0.5, Call(ROWS), stack)
        for name in NAMES:
            down, up = pairs[name]
            added = attention.projection(name)(given[name]) - plain[name]
            torch.testing.assert_close(added, 0.5 * given[name] @ down.T @ up.T, atol=1e-5, rtol=1e-4)
