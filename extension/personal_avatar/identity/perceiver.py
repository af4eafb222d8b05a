"""A small transformer whose latents ask a sequence: the part that InstantID and FaceID Plus have in common."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 64  # of every published adapter; files do not say it


class Perceiver(nn.Module):
    """`forward(latents (n, latents, inner), states (n, states, width)) -> (n, latents, width of the tokens)`.

    `weights` gives names and sizes; it may hold more. Raises KeyError where one is missing.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        inner, width = weights["proj_in.weight"].shape
        tokens_width = len(weights["proj_out.weight"])
        self.proj_in = nn.Linear(width, inner)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    PerceiverAttention(inner, len(weights[f"layers.{number}.0.to_q.weight"])),
                    _feed_forward(inner, len(weights[f"layers.{number}.1.1.weight"])),
                )
            )
            for number in range(_depth(weights))
        )
        self.proj_out = nn.Linear(inner, tokens_width)
        self.norm_out = nn.LayerNorm(tokens_width)

    def forward(self, latents: Tensor, states: Tensor) -> Tensor:
        states = self.proj_in(states)
        for attention, feed_forward in self.layers:
            latents = latents + attention(latents, states)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))


class PerceiverAttention(nn.Module):
    """Latents ask the states and themselves; both are normed first."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.heads = max(1, inner // HEAD_WIDTH)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, latents: Tensor, states: Tensor) -> Tensor:
        latents = self.norm2(latents)
        asked = torch.cat((self.norm1(states), latents), dim=1)
        key, value = self.to_kv(asked).chunk(2, dim=-1)
        query, key, value = (split_heads(one, self.heads) for one in (self.to_q(latents), key, value))
        return self.to_out(merge_heads(functional.scaled_dot_product_attention(query, key, value)))


def split_heads(rows: Tensor, heads: int) -> Tensor:
    """(n, length, heads * width) -> (n, heads, length, width)."""
    return rows.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(rows: Tensor) -> Tensor:
    """(n, heads, length, width) -> (n, length, heads * width)."""
    return rows.transpose(1, 2).flatten(2)


def _feed_forward(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, inner, bias=False), nn.GELU(), nn.Linear(inner, width, bias=False)
    )


def _depth(weights: Mapping[str, Tensor]) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith("layers.")})
