"""The blocks of an SDXL ControlNet, named as diffusers names them in its files.

Pictures of features are (rows, channels, height, width), tokens (rows, tokens, channels).
"""
from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from personal_avatar.identity.net.context import Reading
from personal_avatar.identity.net.part import Part
from personal_avatar.identity.perceiver import merge_heads, split_heads

RESNET_EPS, TRANSFORMER_EPS = 1e-5, 1e-6


class Embedding(nn.Module):
    """Two linear layers, (rows, inputs) to (rows, width of the time embedding)."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = part.linear("linear_1"), part.linear("linear_2")

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(x)))


class HintEmbedding(nn.Module):
    """A picture in eight times the size of the latents to features of their size; every second block halves it."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.conv_in, self.conv_out = part.conv("conv_in"), part.conv("conv_out")
        count = len(part.parts("blocks"))
        self.blocks = nn.ModuleList([part.conv(f"blocks.{number}", stride=1 + number % 2) for number in range(count)])

    def forward(self, picture: Tensor) -> Tensor:
        x = functional.silu(self.conv_in(picture))
        for block in self.blocks:
            x = functional.silu(block(x))
        return self.conv_out(x)


class Resnet(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.norm1, self.norm2 = part.group_norm("norm1", RESNET_EPS), part.group_norm("norm2", RESNET_EPS)
        self.conv1, self.conv2 = part.conv("conv1"), part.conv("conv2")
        self.time_emb_proj = part.linear("time_emb_proj")
        self.conv_shortcut = part.conv("conv_shortcut") if part.has("conv_shortcut.weight") else None

    def forward(self, x: Tensor, moment: Tensor) -> Tensor:
        """`moment`: the time embedding after its activation, (rows, width)."""
        inner = self.conv1(functional.silu(self.norm1(x)))
        inner = inner + self.time_emb_proj(moment)[:, :, None, None]
        inner = self.conv2(functional.silu(self.norm2(inner)))
        return inner + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """Keys and values come from the tokens themselves, or ready-made out of a context."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (part.linear(name, bias=False) for name in ("to_q", "to_k", "to_v"))
        self.to_out = nn.ModuleList([part.linear("to_out.0")])
        self.heads = part.heads_for(self.to_q.out_features)

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Both (rows, heads, tokens, width of a head)."""
        return split_heads(self.to_k(tokens), self.heads), split_heads(self.to_v(tokens), self.heads)

    def forward(self, x: Tensor) -> Tensor:
        return self._read(split_heads(self.to_q(x), self.heads), *self.keys_values(x))

    def cross(self, x: Tensor, reading: Reading, shares: Tensor | None) -> Tensor:
        """`shares`: (people, tokens of `x`, 1), None for one person."""
        queries = split_heads(self.to_q(x), self.heads)
        people = reading.of(self)
        if shares is None:
            return self._read(queries, *people[0])
        merged = sum(
            share.to(x.dtype) * self._merged(queries, keys, values)
            for share, (keys, values) in zip(shares, people, strict=True)
        )
        return self.to_out[0](merged)

    def _read(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.to_out[0](self._merged(queries, keys, values))

    @staticmethod
    def _merged(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return merge_heads(functional.scaled_dot_product_attention(queries, keys, values))


class Gate(nn.Module):
    """GEGLU: one half of the outputs, weighed by the activated other half."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.proj = part.linear("proj")

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.net = nn.ModuleList([Gate(part.part("net", 0)), nn.Identity(), part.linear("net.2")])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class TransformerBlock(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (part.layer_norm(name) for name in ("norm1", "norm2", "norm3"))
        self.attn1, self.attn2 = Attention(part.part("attn1")), Attention(part.part("attn2"))
        self.ff = FeedForward(part.part("ff"))

    def forward(self, x: Tensor, reading: Reading, shares: Tensor | None) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2.cross(self.norm2(x), reading, shares)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    """Projections are linear (SDXL), or convolutions of one pixel (older networks)."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.norm = part.group_norm("norm", TRANSFORMER_EPS)
        self.is_linear = len(part.shape("proj_in.weight")) == 2
        make = part.linear if self.is_linear else part.conv
        self.proj_in, self.proj_out = make("proj_in"), make("proj_out")
        self.transformer_blocks = nn.ModuleList([TransformerBlock(one) for one in part.parts("transformer_blocks")])

    def forward(self, x: Tensor, reading: Reading) -> Tensor:
        height, width = x.shape[-2:]
        shares = reading.context.shares(height, width)
        tokens = self._enter(self.norm(x))
        for block in self.transformer_blocks:
            tokens = block(tokens, reading, shares)
        return x + self._leave(tokens, height, width)

    def _enter(self, x: Tensor) -> Tensor:
        if self.is_linear:
            return self.proj_in(x.flatten(2).transpose(1, 2))
        return self.proj_in(x).flatten(2).transpose(1, 2)

    def _leave(self, tokens: Tensor, height: int, width: int) -> Tensor:
        if self.is_linear:
            return self.proj_out(tokens).transpose(1, 2).unflatten(2, (height, width))
        return self.proj_out(tokens.transpose(1, 2).unflatten(2, (height, width)))


class Downsampler(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        self.conv = part.conv("conv", stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class DownBlock(nn.Module):
    """Resnets, each followed by a transformer where the block has some; all but the last block halve the size."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(one) for one in part.parts("resnets")])
        self.attentions = nn.ModuleList([Transformer(one) for one in part.parts("attentions")])
        self.downsamplers = nn.ModuleList([Downsampler(one) for one in part.parts("downsamplers")])

    def forward(self, x: Tensor, moment: Tensor, reading: Reading) -> Iterator[Tensor]:
        """Features after every step, which the skip connections take; the last go on to the next block."""
        for number, resnet in enumerate(self.resnets):
            x = resnet(x, moment)
            if self.attentions:
                x = self.attentions[number](x, reading)
            yield x
        for downsampler in self.downsamplers:
            x = downsampler(x)
            yield x


class MiddleBlock(nn.Module):
    """A resnet, then transformers and resnets in turn."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(one) for one in part.parts("resnets")])
        self.attentions = nn.ModuleList([Transformer(one) for one in part.parts("attentions")])

    def forward(self, x: Tensor, moment: Tensor, reading: Reading) -> Tensor:
        x = self.resnets[0](x, moment)
        for attention, resnet in zip(self.attentions, list(self.resnets)[1:], strict=True):
            x = resnet(attention(x, reading), moment)
        return x
