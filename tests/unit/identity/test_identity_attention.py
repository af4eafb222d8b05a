from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch
from personal_avatar.identity.areas import Area
from personal_avatar.identity.attention import FaceAttention, FaceKeys, Voice
from personal_avatar.identity.calls import Call
from personal_avatar.identity.layers import MIDDLE, Attention
from personal_avatar.identity.nouns import Rows, Tokens
from torch import Tensor, nn

WIDTH, HEADS, CONTEXT, SIZE = 8, 2, 6, (4, 4)


class Cross(nn.Module):
    """A cross-attention whose own part says nothing, so that only the face is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = HEADS
        self.to_q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_out = nn.Sequential(nn.Identity(), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(torch.zeros_like(self.to_q(x)))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tokens(seed: int = 0, count: int = 3) -> Tokens:
    return Tokens(random(1, count, CONTEXT, seed=seed), random(1, count, CONTEXT, seed=seed + 100))


def keys(seed: int = 0) -> FaceKeys:
    return FaceKeys(tokens(seed), random(WIDTH, CONTEXT, seed=7), random(WIDTH, CONTEXT, seed=8), HEADS)


@pytest.fixture
def module() -> Cross:
    torch.manual_seed(0)
    return Cross().requires_grad_(False)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def heard(module: Cross, x: Tensor, rows: Rows | None, *voices: Voice) -> Tensor:
    with ExitStack() as stack:
        FaceAttention(Attention("attn2", MIDDLE, True, module), voices, Call(rows, SIZE)).enter(stack)
        return module(x)


def by_hand(module: Cross, x: Tensor, face: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v of one row and one row of tokens, head by head, in words of linear algebra."""
    query, key, value = module.to_q(x), face @ random(WIDTH, CONTEXT, seed=7).T, face @ random(WIDTH, CONTEXT, seed=8).T
    parts = []
    for head in zip(*(one.chunk(HEADS, dim=-1) for one in (query, key, value)), strict=True):
        parts.append(torch.softmax(head[0] @ head[1].mT / (WIDTH / HEADS) ** 0.5, dim=-1) @ head[2])
    return torch.cat(parts, dim=-1)


def test_each_row_hears_the_tokens_of_its_branch(module: Cross) -> None:
    x, rows = random(3, 16, WIDTH), Rows((True, False, True), 0.0)
    found = heard(module, x, rows, Voice(keys(), 0.5, None))
    for row, conditional in enumerate(rows.conditional):
        face = tokens().cond if conditional else tokens().uncond
        torch.testing.assert_close(found[row], 0.5 * by_hand(module, x[row], face[0]))


def test_people_add_up_each_where_it_is(module: Cross) -> None:
    x, rows = random(1, 16, WIDTH), Rows((True,), 0.0)
    left, right = torch.zeros(8, 8), torch.zeros(8, 8)
    left[:, :4], right[:, 4:] = 1.0, 0.5
    both = heard(module, x, rows, Voice(keys(0), 1.0, Area(left)), Voice(keys(1), 2.0, Area(right)))
    first, second = by_hand(module, x[0], tokens(0).cond[0]), by_hand(module, x[0], tokens(1).cond[0])
    on_the_left = (torch.arange(16) % 4 < 2)[:, None]
    torch.testing.assert_close(both[0], torch.where(on_the_left, first, 2.0 * 0.5 * second))


def test_without_rows_nothing_is_added(module: Cross) -> None:
    x = random(2, 16, WIDTH)
    assert torch.equal(heard(module, x, None, Voice(keys(), 1.0, None)), torch.zeros(2, 16, WIDTH))


def test_keys_are_computed_once_and_picked_once_for_the_same_rows() -> None:
    face, query, rows = keys(), random(2, 16, WIDTH), Rows((True, False), 0.0)
    first = face.of(rows, query)
    assert face.of(Rows((True, False), 0.9), query)[0] is first[0]
    face._weights = ()  # what is computed again would fail now
    other = face.of(Rows((False, True), 0.0), query)
    assert torch.equal(other[0], first[0].flip(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keys_follow_the_number_format_of_the_query(dtype: torch.dtype) -> None:
    face, rows = keys(), Rows((True,), 0.0)
    full = face.of(rows, random(1, 16, WIDTH))[1]
    found = face.of(rows, random(1, 16, WIDTH).to(dtype))[1]
    assert found.dtype == dtype
    torch.testing.assert_close(found, full.to(dtype))


def test_keys_follow_the_device_of_the_query() -> None:
    face, rows = keys(), Rows((True,), 0.0)
    assert face.of(rows, random(1, 16, WIDTH)).__class__ is tuple
    assert face.of(rows, torch.empty((1, 16, WIDTH), device="meta"))[0].device.type == "meta"
    assert face.of(rows, random(1, 16, WIDTH))[0].device.type == "cpu"


def test_autocast_of_the_host_does_not_round_the_keys() -> None:
    rows, query = Rows((True,), 0.0), random(1, 16, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        found = keys().of(rows, query)[0]
    assert torch.equal(found, keys().of(rows, query)[0])


def test_half_precision_weights_are_multiplied_in_full_precision() -> None:
    weights = [random(WIDTH, CONTEXT, seed=seed).half() for seed in (7, 8)]
    face = FaceKeys(tokens(), *weights, HEADS)
    key, _ = face.of(Rows((True,), 0.0), random(1, 16, WIDTH))
    torch.testing.assert_close(key.transpose(1, 2).flatten(2), tokens().cond @ weights[0].float().T)


def test_a_query_cut_into_pieces_has_its_row_s_tokens(module: Cross) -> None:
    x, rows = random(2, 16, WIDTH), Rows((True, False), 0.0)
    whole = heard(module, x, rows, Voice(keys(), 1.0, None))
    pieces = heard(module, x.reshape(4, 8, WIDTH), rows, Voice(keys(), 1.0, None))
    torch.testing.assert_close(pieces.reshape(2, 16, WIDTH), whole)


def test_a_piece_of_a_query_is_not_taken_for_a_smaller_picture(module: Cross) -> None:
    """Four pieces of 2x2 are not the level of 2x2: each has the mask's mean, as nobody says which piece it is."""
    x, rows, mask = random(1, 16, WIDTH), Rows((True,), 0.0), torch.zeros(4, 4)
    mask[:2] = 1.0
    masked, open_ = (
        heard(module, x.reshape(4, 4, WIDTH), rows, Voice(keys(), 1.0, area)) for area in (Area(mask), None)
    )
    torch.testing.assert_close(masked, open_ * 0.5)


def test_a_half_precision_attention_stays_one(module: Cross) -> None:
    module.half()
    x = random(1, 16, WIDTH).half()
    mask = Area(torch.ones(4, 4))
    assert heard(module, x, Rows((True,), 0.0), Voice(keys(), 1.0, mask)).dtype == torch.float16


def test_an_attention_that_failed_midway_leaves_no_query_behind(module: Cross, stack: ExitStack) -> None:
    call = Call(Rows((True,), 0.0), SIZE)
    FaceAttention(Attention("attn2", MIDDLE, True, module), [Voice(keys(), 1.0, None)], call).enter(stack)
    module.to_q(random(1, 16, WIDTH))
    call.rows = None
    assert torch.equal(module(random(1, 16, WIDTH, seed=1)), torch.zeros(1, 16, WIDTH))
