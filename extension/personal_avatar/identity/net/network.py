"""The IdentityNet: an SDXL ControlNet whose cross-attentions read face tokens in place of the prompt.

After "Adding Conditional Control to Text-to-Image Diffusion Models" (Zhang et al., 2023) in the sizes and names of
diffusers' ControlNetModel. What stays the same over a generation - features of the keypoints, keys and values of the
faces - is computed once and handed back in.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from personal_avatar.identity.areas import stacked
from personal_avatar.identity.net.blocks import Attention, DownBlock, Embedding, HintEmbedding, MiddleBlock
from personal_avatar.identity.net.context import Context, Reading
from personal_avatar.identity.net.part import LayoutError, Part
from personal_avatar.identity.nouns import Tokens
from personal_avatar.identity.precision import without_autocast

LONGEST_WAVE = 10000.0


class IdentityNet(nn.Module):
    """Everything is computed in the network's own number format and on its device, whatever comes in."""

    def __init__(self, part: Part, heads: Sequence[int] | None = None) -> None:
        """`heads`: of the attentions of every down block, the last of them also of the middle block; None: see `Part`.
        Raises `LayoutError`."""
        super().__init__()
        downs = part.parts("down_blocks")
        counts: Sequence[int | None] = heads or [None] * len(downs)
        if not downs or len(counts) != len(downs):
            raise LayoutError(f"there are {len(downs)} down blocks and heads for {len(counts)}")
        self.conv_in = part.conv("conv_in")
        self.time_embedding = Embedding(part.part("time_embedding"))
        self.add_embedding = Embedding(part.part("add_embedding"))
        self.controlnet_cond_embedding = HintEmbedding(part.part("controlnet_cond_embedding"))
        self.down_blocks = nn.ModuleList(
            [DownBlock(part.part("down_blocks", number, heads=count)) for number, count in enumerate(counts)]
        )
        self.mid_block = MiddleBlock(part.part("mid_block", heads=counts[-1]))
        skips = range(len(part.parts("controlnet_down_blocks")))
        self.controlnet_down_blocks = nn.ModuleList([part.conv(f"controlnet_down_blocks.{skip}") for skip in skips])
        self.controlnet_mid_block = part.conv("controlnet_mid_block")
        if not self._readers():
            raise LayoutError("nothing in it reads tokens")

    @property
    def device(self) -> torch.device:
        return self.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_in.weight.dtype

    @property
    def label_width(self) -> int:
        """Of `y`: pooled text and sizes."""
        return int(self.add_embedding.linear_1.in_features)

    @property
    def token_width(self) -> int:
        """Of the tokens that its cross-attentions read."""
        return int(self._readers()[0].to_k.in_features)

    @torch.no_grad()
    def hint(self, picture: Tensor) -> Tensor:
        """Features (1, channels, height / 8, width / 8) of a picture of keypoints (1, 3, height, width) 0..1, RGB."""
        with without_autocast(self.device):
            return self.controlnet_cond_embedding(picture.to(self.device, self.dtype))

    @torch.no_grad()
    def context(self, people: Sequence[tuple[Tokens, Tensor | None]]) -> Context:
        """Keys and values of all cross-attentions for each person's tokens and mask.

        A mask is float 0..1 (height, width) or (1, height, width) of any size, None: everywhere. People share where
        masks overlap, in proportion; where there is nobody's mask all of them act alike.
        """
        if not people:
            raise ValueError("an IdentityNet needs somebody's tokens")
        with without_autocast(self.device):
            tokens = [torch.cat([one.uncond, one.cond]).to(self.device, self.dtype) for one, _ in people]
            layers = {layer: tuple(layer.keys_values(one) for one in tokens) for layer in self._readers()}
        return Context(layers, stacked([mask for _, mask in people], self.device))

    @torch.no_grad()
    def residuals(
        self, x: Tensor, timesteps: Tensor, y: Tensor, hint: Tensor, context: Context, conditional: Sequence[bool]
    ) -> tuple[list[Tensor], Tensor]:
        """What the UNet shall add to its skip connections, in the order in which it makes them, and to its middle.

        `x`: latents (rows, 4, height, width); `timesteps`: (rows,) in 0..1000, whole or not; `y`: (rows, label_width);
        `hint`: of `hint`, for one row or all; `conditional`: for each row whether it belongs to the prompt (else to the
        negative one). In the network's number format, not weighted. Raises `ValueError` when sizes do not fit.
        """
        if hint.shape[-2:] != x.shape[-2:] or len(conditional) != len(x):
            raise ValueError(
                f"latents {tuple(x.shape)}, features of keypoints {tuple(hint.shape)} and {len(conditional)} marks of "
                "rows do not fit together"
            )
        with without_autocast(self.device):
            moment = self._moment(timesteps, y, len(x))
            return self._run(x.to(self.device, self.dtype), moment, hint, context.reading(conditional))

    def _run(self, x: Tensor, moment: Tensor, hint: Tensor, reading: Reading) -> tuple[list[Tensor], Tensor]:
        x = self.conv_in(x) + hint
        skips = [x]
        for block in self.down_blocks:
            skips.extend(block(skips[-1], moment, reading))
        middle = self.controlnet_mid_block(self.mid_block(skips[-1], moment, reading))
        return [out(skip) for out, skip in zip(self.controlnet_down_blocks, skips, strict=True)], middle

    def _moment(self, timesteps: Tensor, y: Tensor, rows: int) -> Tensor:
        """Step and label as every resnet takes them, already activated: (rows, width)."""
        steps = _waves(timesteps.to(self.device).expand(rows), self.time_embedding.linear_1.in_features)
        embedded = self.time_embedding(steps.to(self.dtype)) + self.add_embedding(y.to(self.device, self.dtype))
        return torch.nn.functional.silu(embedded)

    def _readers(self) -> list[Attention]:
        return [module for name, module in self.named_modules() if name.endswith(".attn2")]


def _waves(timesteps: Tensor, width: int) -> Tensor:
    """Cosines, then sines of the steps at `width` / 2 wave lengths; float32 (rows, width)."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.float()[:, None] * torch.exp(-math.log(LONGEST_WAVE) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
