"""Face tokens in the cross-attentions of a UNet: two hooks for each of them, nothing replaced.

A forward hook on `to_q` keeps the query; a forward pre-hook on the projection that follows the attention adds
`weight * softmax(q k^T / sqrt(d)) v` of the face tokens to its input. So whatever computes the attention to the prompt
(optimisers, LoRAs, regional prompts) goes on doing so. Keys and values are computed once in the life of a `FaceKeys`.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from personal_avatar.identity.areas import Area
from personal_avatar.identity.calls import Call
from personal_avatar.identity.layers import Attention
from personal_avatar.identity.nouns import Rows, Tokens
from personal_avatar.identity.perceiver import merge_heads, split_heads
from personal_avatar.identity.precision import without_autocast


class FaceKeys:
    """Keys and values of one person's tokens in one cross-attention.

    `to_k`, `to_v`: (inner, width of the tokens), on any device, in any dtype; the products are made in fp32.
    """

    def __init__(self, tokens: Tokens, to_k: Tensor, to_v: Tensor, heads: int) -> None:
        self._tokens = tokens
        self._weights = (to_k, to_v)
        self._heads = heads
        self._made: tuple[Tensor, Tensor] | None = None
        self._rows: tuple[object, tuple[Tensor, Tensor]] | None = None

    def of(self, rows: Rows, query: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value (n, heads, tokens, width) in the dtype and on the device of `query` (n, length, inner).

        A query that was cut into k pieces, (k * n, ...), has the pieces of a row next to each other.
        """
        key = (rows.conditional, len(query), query.device, query.dtype)
        if self._rows is None or self._rows[0] != key:
            pieces = len(query) // len(rows.conditional)
            choice = torch.tensor(rows.conditional, device=query.device).long().repeat_interleave(pieces)
            made_k, made_v = self._made or self._make(query.device)
            self._rows = (key, (_picked(made_k, choice, query), _picked(made_v, choice, query)))
        return self._rows[1]

    def _make(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both branches, (2, heads, tokens, width) fp32: first that of the negative prompt."""
        with torch.no_grad(), without_autocast(device):
            both = torch.cat((self._tokens.uncond, self._tokens.cond)).to(device, torch.float32)
            key, value = (functional.linear(both, one.to(device, torch.float32)) for one in self._weights)
        self._made = (split_heads(key, self._heads), split_heads(value, self._heads))
        return self._made


def _picked(both: Tensor, choice: Tensor, query: Tensor) -> Tensor:
    return both.to(query.device, query.dtype)[choice]


@dataclass(frozen=True, eq=False)
class Voice:
    """One person in one cross-attention."""

    keys: FaceKeys
    weight: float
    area: Area | None


class FaceAttention:
    """The hooks of one cross-attention. `voices`: the people in it."""

    def __init__(self, layer: Attention, voices: Sequence[Voice], call: Call) -> None:
        self._layer = layer
        self._voices = voices
        self._call = call
        self._query: Tensor | None = None

    def enter(self, stack: ExitStack) -> None:
        """Leaves with `stack`."""
        stack.callback(self._layer.to_q.register_forward_hook(self._keep).remove)
        stack.callback(self._layer.to_out.register_forward_pre_hook(self._add).remove)
        stack.callback(self._forget)

    def _keep(self, module: torch.nn.Module, args: tuple[Any, ...], query: Tensor) -> None:
        if self._call.rows is not None:
            self._query = query

    def _add(self, module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        query, rows = self._forget(), self._call.rows
        if query is None or rows is None or len(query) % len(rows.conditional):
            return None  # somebody calls the layer with rows that nobody announced
        heard = args[0]
        for voice in self._voices:
            heard = heard + self._heard(voice, query, rows).to(args[0].dtype)
        return (heard, *args[1:])

    def _heard(self, voice: Voice, query: Tensor, rows: Rows) -> Tensor:
        key, value = voice.keys.of(rows, query)
        asked = functional.scaled_dot_product_attention(split_heads(query, self._layer.heads), key, value)
        heard = merge_heads(asked) * voice.weight
        if voice.area is None:
            return heard
        in_pieces = len(query) != len(rows.conditional)
        return heard * voice.area.of(heard, None if in_pieces else self._call.latent)

    def _forget(self) -> Tensor | None:
        query, self._query = self._query, None
        return query
