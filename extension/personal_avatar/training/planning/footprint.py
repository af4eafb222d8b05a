"""How many numbers a UNet and a VAE hold while they work, counted from the shapes of their tensors. No torch.

What a layer makes has to be kept for the way back; its size follows from its output channels and the size of the
picture at its level. From such counts and a few measured constants the memory model in `reckoning` is made, so that it
holds for every family and for sizes that nobody has measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from personal_avatar.domain import Family
from personal_avatar.training.families.detect import UNET, VAE

Shapes = Mapping[str, tuple[int, ...]]
LATENT_SIDE = 8  # pixels of a picture on one of its latents
WORDS = 77
HEADS_SD1 = 8
HEAD_WIDTH = 64  # of the later families
OF_CAPTION = ("attn2.to_k.", "attn2.to_v.")
OF_TIME = ("emb_layers.", "time_embed.", "label_emb.")


@dataclass(frozen=True)
class Work:
    """Numbers for one picture: `inside`: made by the layers of all blocks, `largest`: by those of the largest block,
    `between`: handed from block to block; `scores`, `largest_scores`: of attention, where it is made explicitly."""

    inside: int
    largest: int
    between: int
    scores: int
    largest_scores: int


def unet_work(shapes: Shapes, family: Family, side_px: int) -> Work:
    """Of one picture of `side_px` x `side_px` pixels."""
    inside: dict[str, int] = {}
    scores: dict[str, int] = {}
    last: dict[str, int] = {}
    levels = _levels(shapes)
    for name, shape in shapes.items():
        if not (name.startswith(UNET) and name.endswith(".weight")):
            continue
        layer = name[len(UNET) :]
        places = _places(layer, levels, side_px)
        block, made = _block(layer), shape[0] * places
        inside[block] = inside.get(block, 0) + made
        last[block] = max(last.get(block, 0), 0 if "ff.net.0" in layer else made)
        if layer.endswith("attn1.to_q.weight"):
            heads = HEADS_SD1 if family is Family.SD1 else max(1, shape[0] // HEAD_WIDTH)
            scores[block] = heads * places * places
    return Work(
        sum(inside.values()), max(inside.values(), default=0), sum(last.values()), sum(scores.values()),
        max(scores.values(), default=0),
    )


def decoder_work(shapes: Shapes, side_px: int) -> int:
    """Numbers that the widest layer of the VAE's decoder takes in and gives out, for one picture."""
    found = [
        (shape[0] + shape[1]) * side_px**2 for name, shape in shapes.items()
        if name.startswith(f"{VAE}decoder.up.0.") and name.endswith("conv1.weight")
    ]
    return max(found, default=0)


def _block(layer: str) -> str:
    """The part of the UNet that is made anew as one with gradient checkpointing."""
    parts = layer.split(".")
    deep = parts.index("transformer_blocks") + 2 if "transformer_blocks" in parts else 3
    return ".".join(parts[:deep])


def _places(layer: str, levels: dict[str, int], side_px: int) -> int:
    """At how many places of the picture a layer works."""
    if any(mark in layer for mark in OF_TIME):
        return 1
    if any(mark in layer for mark in OF_CAPTION):
        return WORDS
    level = levels.get(".".join(layer.split(".")[:2]), levels["middle_block"] if layer.startswith("middle_") else 0)
    side = max(1, side_px // LATENT_SIDE >> level)
    return side * side


def _levels(shapes: Shapes) -> dict[str, int]:
    """How often the picture was halved before each block of the UNet; blocks that end with an enlargement count as
    what they work on."""
    found, level = {}, 0
    for number in _numbers(shapes, "input_blocks"):
        level += f"{UNET}input_blocks.{number}.0.op.weight" in shapes
        found[f"input_blocks.{number}"] = level
    found["middle_block"] = level
    for number in _numbers(shapes, "output_blocks"):
        found[f"output_blocks.{number}"] = level
        level -= any(f"{UNET}output_blocks.{number}.{place}.conv.weight" in shapes for place in (1, 2))
    return found


def _numbers(shapes: Shapes, part: str) -> Iterator[int]:
    prefix = f"{UNET}{part}."
    yield from sorted({int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix)})
