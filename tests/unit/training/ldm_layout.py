"""Shapes of every tensor of a Stable Diffusion 1 checkpoint in LDM layout, of the standard size or a miniature."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.domain import BaseModelFile, Family

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """`attention`: levels (from 0) with attention, besides the middle block."""

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    attention: tuple[int, ...] = (0, 1, 2)
    context: int = 768
    text_layers: int = 12
    vocabulary: int = 49408
    vae: tuple[int, ...] = (128, 256, 512, 512)
    linear_projection: bool = False


STANDARD = Size()
MINIATURE = Size(unet=(32, 64), attention=(0,), context=32, text_layers=1, vae=(32, 32, 32, 32))
NUM_HEADS = 2
YAML = f"""model:
  params:
    unet_config:
      params:
        num_heads: {NUM_HEADS}
"""


def shapes_of(size: Size) -> Shapes:
    return {**_unet(size), **_vae(size), **_text(size)}


def _layer(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0],)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _layer(name, width)


def _residual(name: str, inputs: int, outputs: int, embedding: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.in_layers.0", inputs)
    yield from _layer(f"{name}.in_layers.2", outputs, inputs, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", outputs, embedding)
    yield from _norm(f"{name}.out_layers.0", outputs)
    yield from _layer(f"{name}.out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from _layer(f"{name}.skip_connection", outputs, inputs, 1, 1)


def _attention(name: str, width: int, size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    kernel = () if size.linear_projection else (1, 1)
    yield from _norm(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *kernel)
    yield from _layer(f"{name}.proj_out", width, width, *kernel)
    block = f"{name}.transformer_blocks.0"
    for part, context in (("attn1", width), ("attn2", size.context)):
        yield f"{block}.{part}.to_q.weight", (width, width)
        yield f"{block}.{part}.to_k.weight", (width, context)
        yield f"{block}.{part}.to_v.weight", (width, context)
        yield from _layer(f"{block}.{part}.to_out.0", width, width)
    yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{block}.ff.net.2", width, 4 * width)
    for number in (1, 2, 3):
        yield from _norm(f"{block}.norm{number}", width)


def _unet(size: Size) -> Shapes:
    root, widths, embedding = "model.diffusion_model", size.unet, 4 * size.unet[0]
    found = dict(_layer(f"{root}.time_embed.0", embedding, widths[0]))
    found |= dict(_layer(f"{root}.time_embed.2", embedding, embedding))
    found |= dict(_layer(f"{root}.input_blocks.0.0", widths[0], 4, 3, 3))
    width, block, kept = widths[0], 1, [widths[0]]
    for level, wanted in enumerate(widths):
        for _ in range(2):
            found |= dict(_residual(f"{root}.input_blocks.{block}.0", width, wanted, embedding))
            if level in size.attention:
                found |= dict(_attention(f"{root}.input_blocks.{block}.1", wanted, size))
            width = wanted
            kept.append(width)
            block += 1
        if level < len(widths) - 1:
            found |= dict(_layer(f"{root}.input_blocks.{block}.0.op", width, width, 3, 3))
            kept.append(width)
            block += 1
    for place in (0, 2):
        found |= dict(_residual(f"{root}.middle_block.{place}", width, width, embedding))
    found |= dict(_attention(f"{root}.middle_block.1", width, size))
    block = 0
    for level in reversed(range(len(widths))):
        for number in range(3):
            found |= dict(_residual(f"{root}.output_blocks.{block}.0", width + kept.pop(), widths[level], embedding))
            width = widths[level]
            if level in size.attention:
                found |= dict(_attention(f"{root}.output_blocks.{block}.1", width, size))
            if level and number == 2:
                place = 2 if level in size.attention else 1
                found |= dict(_layer(f"{root}.output_blocks.{block}.{place}.conv", width, width, 3, 3))
            block += 1
    return found | dict(_norm(f"{root}.out.0", width)) | dict(_layer(f"{root}.out.2", 4, width, 3, 3))


def _vae_residual(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.norm1", inputs)
    yield from _layer(f"{name}.conv1", outputs, inputs, 3, 3)
    yield from _norm(f"{name}.norm2", outputs)
    yield from _layer(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from _layer(f"{name}.nin_shortcut", outputs, inputs, 1, 1)


def _vae_middle(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _vae_residual(f"{name}.block_1", width, width)
    yield from _norm(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{name}.attn_1.{part}", width, width, 1, 1)
    yield from _vae_residual(f"{name}.block_2", width, width)


def _vae(size: Size) -> Shapes:
    root, widths = "first_stage_model", size.vae
    found = dict(_layer(f"{root}.encoder.conv_in", widths[0], 3, 3, 3))
    width = widths[0]
    for level, wanted in enumerate(widths):
        for number in range(2):
            found |= dict(_vae_residual(f"{root}.encoder.down.{level}.block.{number}", width, wanted))
            width = wanted
        if level < len(widths) - 1:
            found |= dict(_layer(f"{root}.encoder.down.{level}.downsample.conv", width, width, 3, 3))
    found |= dict(_vae_middle(f"{root}.encoder.mid", width)) | dict(_norm(f"{root}.encoder.norm_out", width))
    found |= dict(_layer(f"{root}.encoder.conv_out", 8, width, 3, 3))
    found |= dict(_layer(f"{root}.quant_conv", 8, 8, 1, 1)) | dict(_layer(f"{root}.post_quant_conv", 4, 4, 1, 1))
    found |= dict(_layer(f"{root}.decoder.conv_in", width, 4, 3, 3)) | dict(_vae_middle(f"{root}.decoder.mid", width))
    for level in reversed(range(len(widths))):
        for number in range(3):
            found |= dict(_vae_residual(f"{root}.decoder.up.{level}.block.{number}", width, widths[level]))
            width = widths[level]
        if level:
            found |= dict(_layer(f"{root}.decoder.up.{level}.upsample.conv", width, width, 3, 3))
    found |= dict(_norm(f"{root}.decoder.norm_out", width))
    return found | dict(_layer(f"{root}.decoder.conv_out", 3, width, 3, 3))


def _text(size: Size) -> Shapes:
    root, width = "cond_stage_model.transformer.text_model", size.context
    found: Shapes = {
        f"{root}.embeddings.token_embedding.weight": (size.vocabulary, width),
        f"{root}.embeddings.position_embedding.weight": (77, width),
    }
    for number in range(size.text_layers):
        layer = f"{root}.encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= dict(_layer(f"{layer}.self_attn.{part}", width, width))
        found |= dict(_layer(f"{layer}.mlp.fc1", 4 * width, width)) | dict(_layer(f"{layer}.mlp.fc2", width, 4 * width))
        found |= dict(_norm(f"{layer}.layer_norm1", width)) | dict(_norm(f"{layer}.layer_norm2", width))
    return found | dict(_norm(f"{root}.final_layer_norm", width))


def write_checkpoint(folder: Path, size: Size = MINIATURE, seed: int = 0) -> BaseModelFile:
    """Random weights in half precision, and the yaml beside them that says the number of heads."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    weights = {name: _random(name, shape, generator) for name, shape in shapes_of(size).items()}
    path = folder / "miniature.safetensors"
    save_file(weights, path)
    path.with_suffix(".yaml").write_text(YAML)
    return BaseModelFile(path, "miniature", Family.SD1, config=path.with_suffix(".yaml"), native_px=64)


def _random(name: str, shape: tuple[int, ...], generator: object) -> object:
    """Weights that keep the size of what passes through them; norms near one."""
    import torch

    noise = torch.randn(shape, generator=generator)  # type: ignore[call-overload]
    if len(shape) == 1:
        return (noise * 0.1 + ("norm" in name and name.endswith("weight"))).half()
    inputs = noise[0].numel()
    return (noise / max(1, inputs) ** 0.5).half()
