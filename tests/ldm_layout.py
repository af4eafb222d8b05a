"""Shapes of every tensor of a Stable Diffusion checkpoint in LDM layout, of the standard sizes or miniatures."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]
CLIP_L, OPEN_CLIP = "cond_stage_model.transformer.text_model", "cond_stage_model.model"
XL_CLIP_L, XL_OPEN_CLIP = "conditioner.embedders.0.transformer.text_model", "conditioner.embedders.1.model"


@dataclass(frozen=True)
class Tower:
    """A text encoder: where its tensors are, in whose layout, and its size."""

    root: str
    open_clip: bool
    width: int
    layers: int
    vocabulary: int = 49408


@dataclass(frozen=True)
class Size:
    """`depth`: transformer blocks at every level, 0 for none; the middle has as many as the deepest level, or one.

    `label`: inputs of the embedding of sizes and of the pooled text (SDXL).
    """

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    depth: tuple[int, ...] = (1, 1, 1, 0)
    context: int = 768
    towers: tuple[Tower, ...] = (Tower(CLIP_L, False, 768, 12),)
    vae: tuple[int, ...] = (128, 256, 512, 512)
    linear_projection: bool = False
    channels: int = 4
    label: int = 0


STANDARD = Size()
STANDARD_SD2 = Size(context=1024, towers=(Tower(OPEN_CLIP, True, 1024, 24),), linear_projection=True)
STANDARD_SDXL = Size(
    unet=(320, 640, 1280), depth=(0, 2, 10), context=2048, label=2816, linear_projection=True,
    towers=(Tower(XL_CLIP_L, False, 768, 12), Tower(XL_OPEN_CLIP, True, 1280, 32)),
)


def shapes_of(size: Size) -> Shapes:
    found = {**_unet(size), **_vae(size)}
    for tower in size.towers:
        found |= _open_clip(tower) if tower.open_clip else _clip(tower)
    return found


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


def _attention(name: str, width: int, depth: int, size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    kernel = () if size.linear_projection else (1, 1)
    yield from _norm(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *kernel)
    yield from _layer(f"{name}.proj_out", width, width, *kernel)
    for number in range(depth):
        yield from _transformer(f"{name}.transformer_blocks.{number}", width, size.context)


def _transformer(name: str, width: int, text: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part, context in (("attn1", width), ("attn2", text)):
        yield f"{name}.{part}.to_q.weight", (width, width)
        yield f"{name}.{part}.to_k.weight", (width, context)
        yield f"{name}.{part}.to_v.weight", (width, context)
        yield from _layer(f"{name}.{part}.to_out.0", width, width)
    yield from _layer(f"{name}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{name}.ff.net.2", width, 4 * width)
    for number in (1, 2, 3):
        yield from _norm(f"{name}.norm{number}", width)


def _unet(size: Size) -> Shapes:
    root, widths, embedding = "model.diffusion_model", size.unet, 4 * size.unet[0]
    found = dict(_layer(f"{root}.time_embed.0", embedding, widths[0]))
    found |= dict(_layer(f"{root}.time_embed.2", embedding, embedding))
    found |= dict(_layer(f"{root}.input_blocks.0.0", widths[0], size.channels, 3, 3))
    if size.label:
        found |= dict(_layer(f"{root}.label_emb.0.0", embedding, size.label))
        found |= dict(_layer(f"{root}.label_emb.0.2", embedding, embedding))
    width, block, kept = widths[0], 1, [widths[0]]
    for level, wanted in enumerate(widths):
        for _ in range(2):
            found |= dict(_residual(f"{root}.input_blocks.{block}.0", width, wanted, embedding))
            if size.depth[level]:
                found |= dict(_attention(f"{root}.input_blocks.{block}.1", wanted, size.depth[level], size))
            width = wanted
            kept.append(width)
            block += 1
        if level < len(widths) - 1:
            found |= dict(_layer(f"{root}.input_blocks.{block}.0.op", width, width, 3, 3))
            kept.append(width)
            block += 1
    for place in (0, 2):
        found |= dict(_residual(f"{root}.middle_block.{place}", width, width, embedding))
    found |= dict(_attention(f"{root}.middle_block.1", width, size.depth[-1] or 1, size))
    block = 0
    for level in reversed(range(len(widths))):
        for number in range(3):
            found |= dict(_residual(f"{root}.output_blocks.{block}.0", width + kept.pop(), widths[level], embedding))
            width = widths[level]
            if size.depth[level]:
                found |= dict(_attention(f"{root}.output_blocks.{block}.1", width, size.depth[level], size))
            if level and number == 2:
                place = 2 if size.depth[level] else 1
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


def _clip(tower: Tower) -> Shapes:
    root, width = tower.root, tower.width
    found: Shapes = {
        f"{root}.embeddings.token_embedding.weight": (tower.vocabulary, width),
        f"{root}.embeddings.position_embedding.weight": (77, width),
    }
    for number in range(tower.layers):
        layer = f"{root}.encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= dict(_layer(f"{layer}.self_attn.{part}", width, width))
        found |= dict(_layer(f"{layer}.mlp.fc1", 4 * width, width)) | dict(_layer(f"{layer}.mlp.fc2", width, 4 * width))
        found |= dict(_norm(f"{layer}.layer_norm1", width)) | dict(_norm(f"{layer}.layer_norm2", width))
    return found | dict(_norm(f"{root}.final_layer_norm", width))


def _open_clip(tower: Tower) -> Shapes:
    root, width = tower.root, tower.width
    found: Shapes = {
        f"{root}.token_embedding.weight": (tower.vocabulary, width),
        f"{root}.positional_embedding": (77, width),
        f"{root}.text_projection": (width, width),
        f"{root}.logit_scale": (),
    }
    for number in range(tower.layers):
        layer = f"{root}.transformer.resblocks.{number}"
        found[f"{layer}.attn.in_proj_weight"] = (3 * width, width)
        found[f"{layer}.attn.in_proj_bias"] = (3 * width,)
        found |= dict(_layer(f"{layer}.attn.out_proj", width, width))
        found |= dict(_layer(f"{layer}.mlp.c_fc", 4 * width, width))
        found |= dict(_layer(f"{layer}.mlp.c_proj", width, 4 * width))
        found |= dict(_norm(f"{layer}.ln_1", width)) | dict(_norm(f"{layer}.ln_2", width))
    return found | dict(_norm(f"{root}.ln_final", width))
