"""Miniature UNets of both layouts that an identity is put into, and adapters that fit them, all in memory.

`LdmUNet` has the layout of LDM's and SGM's `UNetModel` (names of the blocks, order of the calls, the concatenated skip
connections) around the parts of a diffusers UNet: the same weights, to be compared number by number.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from miniature_adapters import MINIATURE_ADAPTER, nested
from miniatures import HEAD_CHANNELS, NUM_HEADS, SIZE_CHANNELS, SIZES, random_weights
from personal_avatar.benchmarks.identity_layout import adapter_shapes
from personal_avatar.domain import Family
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights, Rows, RowsOf
from torch import Tensor, nn


def diffusers_unet(family: Family, *, channels: int = 4, seed: int = 0) -> UNet2DConditionModel:
    size = SIZES[family]
    xl = family is Family.SDXL
    heads = [width // HEAD_CHANNELS for width in size.unet] if xl else NUM_HEADS
    label = {
        "addition_embed_type": "text_time", "addition_time_embed_dim": SIZE_CHANNELS,
        "projection_class_embeddings_input_dim": size.label,
    }
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=channels, block_out_channels=size.unet, cross_attention_dim=size.context,
        down_block_types=tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in size.depth),
        up_block_types=tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(size.depth)),
        transformer_layers_per_block=[depth or 1 for depth in size.depth], attention_head_dim=heads,
        use_linear_projection=size.linear_projection, **(label if xl else {}),
    )
    shapes = {name: tuple(weight.shape) for name, weight in unet.state_dict().items()}
    unet.load_state_dict(random_weights(shapes, seed=seed))
    return unet.eval().requires_grad_(False)


class _Block(nn.Sequential):
    def forward(self, h: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        for part in self:
            name = type(part).__name__
            if name == "ResnetBlock2D":
                h = part(h, emb)
            elif name == "Transformer2DModel":
                h = part(h, encoder_hidden_states=context, return_dict=False)[0]
            else:
                h = part(h)
        return h


class LdmUNet(nn.Module):
    """`forward(x, timesteps, context, y)` as in LDM and SGM."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.time = nn.ModuleList((unet.time_proj, unet.time_embedding))
        self.label_emb = getattr(unet, "add_embedding", None)
        self.input_blocks = nn.ModuleList((_Block(unet.conv_in), *_on_the_way_down(unet)))
        mid = unet.mid_block
        self.middle_block = _Block(mid.resnets[0], mid.attentions[0], mid.resnets[1])
        self.output_blocks = nn.ModuleList(_on_the_way_up(unet))
        self.out = nn.Sequential(unet.conv_norm_out, unet.conv_act, unet.conv_out)

    def forward(
        self, x: Tensor, timesteps: Tensor | None = None, context: Tensor | None = None, y: Tensor | None = None
    ) -> Tensor:
        emb = self.time[1](self.time[0](timesteps))
        if y is not None:
            emb = emb + self.label_emb(y)
        h, skips = x, []
        for block in self.input_blocks:
            h = block(h, emb, context)
            skips.append(h)
        h = self.middle_block(h, emb, context)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb, context)
        return self.out(h)


def _on_the_way_down(unet: UNet2DConditionModel) -> Iterator[_Block]:
    for level in unet.down_blocks:
        attentions = getattr(level, "attentions", [None] * len(level.resnets))
        for resnet, attention in zip(level.resnets, attentions, strict=True):
            yield _Block(*(part for part in (resnet, attention) if part is not None))
        yield from (_Block(part) for part in level.downsamplers or ())


def _on_the_way_up(unet: UNet2DConditionModel) -> Iterator[_Block]:
    for level in unet.up_blocks:
        attentions = getattr(level, "attentions", [None] * len(level.resnets))
        last = len(level.resnets) - 1
        for place, (resnet, attention) in enumerate(zip(level.resnets, attentions, strict=True)):
            upsamplers = (level.upsamplers or ()) if place == last else ()
            yield _Block(*(part for part in (resnet, attention, *upsamplers) if part is not None))


def adapter(kind: AdapterKind, family: Family, *, seed: int = 0, clip: int = MINIATURE_ADAPTER.clip) -> AdapterWeights:
    """What reading a miniature file gives."""
    size = replace(MINIATURE_ADAPTER, clip=clip)
    parts = nested(random_weights(adapter_shapes(kind, SIZES[family], size), seed=seed))
    inside = parts["ip_adapter"]
    numbers = sorted({int(name.split(".")[0]) for name in inside})
    attention = {
        number: (inside[f"{number}.to_k_ip.weight"], inside[f"{number}.to_v_ip.weight"])
        for number in numbers
        if f"{number}.to_k_ip.weight" in inside
    }
    lora = {
        number: {
            name: tuple(inside[f"{number}.{name}_lora.{way}.weight"] for way in ("down", "up"))
            for name in ("to_q", "to_k", "to_v", "to_out")
        }
        for number in numbers
        if f"{number}.to_q_lora.down.weight" in inside
    }
    return AdapterWeights(kind, family, Path(f"{kind.value}.safetensors"), parts["image_proj"], attention, lora)


def state_dict(weights: AdapterWeights) -> dict[str, dict[str, Tensor]]:
    """The two nested dictionaries that a `.bin` of these weights holds."""
    inside = {}
    for number, (to_k, to_v) in weights.attention.items():
        inside |= {f"{number}.to_k_ip.weight": to_k, f"{number}.to_v_ip.weight": to_v}
    for number, pairs in weights.lora.items():
        for name, (down, up) in pairs.items():
            inside |= {f"{number}.{name}_lora.down.weight": down, f"{number}.{name}_lora.up.weight": up}
    return {"image_proj": dict(weights.projection), "ip_adapter": inside}


def call(
    family: Family, rows: int, *, channels: int = 4, size: tuple[int, int] = (8, 8), seed: int = 0
) -> dict[str, Any]:
    """Keyword arguments of a call of `diffusers_unet(family)`; every row is another one."""
    made, shape = torch.Generator().manual_seed(seed), SIZES[family]
    given: dict[str, Any] = {
        "sample": torch.randn((rows, channels, *size), generator=made),
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn((rows, 77, shape.context), generator=made),
    }
    if family is Family.SDXL:
        text = shape.label - 6 * SIZE_CHANNELS
        given["added_cond_kwargs"] = {
            "text_embeds": torch.randn((rows, text), generator=made),
            "time_ids": torch.randint(0, 64, (rows, 6), generator=made).float(),
        }
    return given


def ldm_call(unet: UNet2DConditionModel, given: dict[str, Any]) -> dict[str, Any]:
    """The same call in the words of LDM and SGM."""
    rows, added = len(given["sample"]), given.get("added_cond_kwargs")
    y = None
    if added:
        waves = unet.add_time_proj(added["time_ids"].flatten()).reshape(rows, -1)
        y = torch.cat((added["text_embeds"], waves), dim=-1)
    steps = given["timestep"].reshape(-1).expand(rows)
    return {"x": given["sample"], "timesteps": steps, "context": given["encoder_hidden_states"], "y": y}


def always(*conditional: bool, share: float = 0.0) -> RowsOf:
    """Every call has these rows."""
    return lambda rows: Rows(conditional, share)
