"""Names and shapes of every tensor of a single-file checkpoint, for the standard sizes and for small ones.

Speed and memory depend on shapes alone, so a checkpoint of random weights measures like a real one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from personal_avatar.domain import Family

Shapes = dict[str, tuple[int, ...]]
Named = Iterator[tuple[str, tuple[int, ...]]]


CLIP_L, OPEN_CLIP = "cond_stage_model.transformer.text_model", "cond_stage_model.model"
XL_CLIP_L, XL_OPEN_CLIP = "conditioner.embedders.0.transformer.text_model", "conditioner.embedders.1.model"
UNET = "model.diffusion_model"
VAE = "first_stage_model"


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
    """`depth`: transformer blocks at every level, 0 for none; the middle has as many as the last level, or one.

    `channels` of the latents that go in; `label`: inputs of the embedding of sizes and of the pooled text (SDXL).
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
    unet=(320, 640, 1280),
    depth=(0, 2, 10),
    context=2048,
    label=2816,
    linear_projection=True,
    towers=(Tower(XL_CLIP_L, False, 768, 12), Tower(XL_OPEN_CLIP, True, 1280, 32)),
)
STANDARD_SIZES = {Family.SD1: STANDARD, Family.SD2: STANDARD_SD2, Family.SDXL: STANDARD_SDXL}


def shapes_of(size: Size) -> Shapes:
    """Every tensor of a checkpoint."""
    found = {**dict(_unet(size)), **dict(_vae(size))}
    for tower in size.towers:
        found |= dict(_open_clip(tower) if tower.open_clip else _clip(tower))
    return found


def _layer(name: str, *shape: int) -> Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0],)


def _residual(name: str, inputs: int, outputs: int, embedding: int) -> Named:
    yield from _layer(f"{name}.in_layers.0", inputs)
    yield from _layer(f"{name}.in_layers.2", outputs, inputs, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", outputs, embedding)
    yield from _layer(f"{name}.out_layers.0", outputs)
    yield from _layer(f"{name}.out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from _layer(f"{name}.skip_connection", outputs, inputs, 1, 1)


def _transformer(name: str, width: int, depth: int, size: Size) -> Named:
    kernel = () if size.linear_projection else (1, 1)
    yield from _layer(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *kernel)
    yield from _layer(f"{name}.proj_out", width, width, *kernel)
    for number in range(depth):
        yield from _block(f"{name}.transformer_blocks.{number}", width, size.context)


def _block(name: str, width: int, context: int) -> Named:
    for part, seen in (("attn1", width), ("attn2", context)):
        yield f"{name}.{part}.to_q.weight", (width, width)
        yield f"{name}.{part}.to_k.weight", (width, seen)
        yield f"{name}.{part}.to_v.weight", (width, seen)
        yield from _layer(f"{name}.{part}.to_out.0", width, width)
    yield from _layer(f"{name}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{name}.ff.net.2", width, 4 * width)
    for number in (1, 2, 3):
        yield from _layer(f"{name}.norm{number}", width)


def _unet(size: Size) -> Named:
    first, embedding = size.unet[0], 4 * size.unet[0]
    yield from _layer(f"{UNET}.time_embed.0", embedding, first)
    yield from _layer(f"{UNET}.time_embed.2", embedding, embedding)
    if size.label:
        yield from _layer(f"{UNET}.label_emb.0.0", embedding, size.label)
        yield from _layer(f"{UNET}.label_emb.0.2", embedding, embedding)
    yield from _layer(f"{UNET}.input_blocks.0.0", first, size.channels, 3, 3)
    kept = yield from _down(size, embedding)
    yield from _middle(size, embedding)
    yield from _up(size, embedding, kept)
    yield from _layer(f"{UNET}.out.0", first)
    yield from _layer(f"{UNET}.out.2", 4, first, 3, 3)


def _down(size: Size, embedding: int) -> Generator[tuple[str, tuple[int, ...]], None, list[int]]:
    """Returns the widths that the up blocks take in again."""
    width, block, kept = size.unet[0], 1, [size.unet[0]]
    for level, (wanted, depth) in enumerate(zip(size.unet, size.depth, strict=True)):
        for _ in range(2):
            yield from _residual(f"{UNET}.input_blocks.{block}.0", width, wanted, embedding)
            if depth:
                yield from _transformer(f"{UNET}.input_blocks.{block}.1", wanted, depth, size)
            width, block = wanted, block + 1
            kept.append(width)
        if level < len(size.unet) - 1:
            yield from _layer(f"{UNET}.input_blocks.{block}.0.op", width, width, 3, 3)
            block += 1
            kept.append(width)
    return kept


def _middle(size: Size, embedding: int) -> Named:
    width, depth = size.unet[-1], size.depth[-1] or 1
    yield from _residual(f"{UNET}.middle_block.0", width, width, embedding)
    yield from _transformer(f"{UNET}.middle_block.1", width, depth, size)
    yield from _residual(f"{UNET}.middle_block.2", width, width, embedding)


def _up(size: Size, embedding: int, kept: list[int]) -> Named:
    width, block = size.unet[-1], 0
    for level in reversed(range(len(size.unet))):
        wanted, depth = size.unet[level], size.depth[level]
        for number in range(3):
            yield from _residual(f"{UNET}.output_blocks.{block}.0", width + kept.pop(), wanted, embedding)
            width = wanted
            if depth:
                yield from _transformer(f"{UNET}.output_blocks.{block}.1", width, depth, size)
            if level and number == 2:
                yield from _layer(f"{UNET}.output_blocks.{block}.{2 if depth else 1}.conv", width, width, 3, 3)
            block += 1


def _vae_residual(name: str, inputs: int, outputs: int) -> Named:
    yield from _layer(f"{name}.norm1", inputs)
    yield from _layer(f"{name}.conv1", outputs, inputs, 3, 3)
    yield from _layer(f"{name}.norm2", outputs)
    yield from _layer(f"{name}.conv2", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from _layer(f"{name}.nin_shortcut", outputs, inputs, 1, 1)


def _vae_middle(name: str, width: int) -> Named:
    yield from _vae_residual(f"{name}.block_1", width, width)
    yield from _layer(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{name}.attn_1.{part}", width, width, 1, 1)
    yield from _vae_residual(f"{name}.block_2", width, width)


def _vae(size: Size) -> Named:
    yield from _vae_side(f"{VAE}.encoder", size, outputs=8)
    yield from _layer(f"{VAE}.quant_conv", 8, 8, 1, 1)
    yield from _layer(f"{VAE}.post_quant_conv", 4, 4, 1, 1)
    yield from _vae_side(f"{VAE}.decoder", size, outputs=3)


def _vae_side(name: str, size: Size, outputs: int) -> Named:
    """The encoder goes from fine to coarse with two blocks a level, the decoder back with three."""
    decodes = outputs == 3
    levels = list(reversed(range(len(size.vae)))) if decodes else list(range(len(size.vae)))
    width = size.vae[levels[0]]
    yield from _layer(f"{name}.conv_in", width, 4 if decodes else 3, 3, 3)
    if decodes:
        yield from _vae_middle(f"{name}.mid", width)
    side, change = ("up", "upsample") if decodes else ("down", "downsample")
    for level in levels:
        for number in range(3 if decodes else 2):
            yield from _vae_residual(f"{name}.{side}.{level}.block.{number}", width, size.vae[level])
            width = size.vae[level]
        if level != levels[-1]:
            yield from _layer(f"{name}.{side}.{level}.{change}.conv", width, width, 3, 3)
    if not decodes:
        yield from _vae_middle(f"{name}.mid", width)
    yield from _layer(f"{name}.norm_out", width)
    yield from _layer(f"{name}.conv_out", outputs, width, 3, 3)


def _clip(tower: Tower) -> Named:
    root, width = tower.root, tower.width
    yield f"{root}.embeddings.token_embedding.weight", (tower.vocabulary, width)
    yield f"{root}.embeddings.position_embedding.weight", (77, width)
    for number in range(tower.layers):
        layer = f"{root}.encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _layer(f"{layer}.self_attn.{part}", width, width)
        yield from _layer(f"{layer}.mlp.fc1", 4 * width, width)
        yield from _layer(f"{layer}.mlp.fc2", width, 4 * width)
        yield from _layer(f"{layer}.layer_norm1", width)
        yield from _layer(f"{layer}.layer_norm2", width)
    yield from _layer(f"{root}.final_layer_norm", width)


def _open_clip(tower: Tower) -> Named:
    root, width = tower.root, tower.width
    yield f"{root}.token_embedding.weight", (tower.vocabulary, width)
    yield f"{root}.positional_embedding", (77, width)
    for number in range(tower.layers):
        layer = f"{root}.transformer.resblocks.{number}"
        yield f"{layer}.attn.in_proj_weight", (3 * width, width)
        yield f"{layer}.attn.in_proj_bias", (3 * width,)
        yield from _layer(f"{layer}.attn.out_proj", width, width)
        yield from _layer(f"{layer}.mlp.c_fc", 4 * width, width)
        yield from _layer(f"{layer}.mlp.c_proj", width, 4 * width)
        yield from _layer(f"{layer}.ln_1", width)
        yield from _layer(f"{layer}.ln_2", width)
    yield from _layer(f"{root}.ln_final", width)
    yield f"{root}.text_projection", (width, width)
    yield f"{root}.logit_scale", ()
