"""Names and shapes of every tensor of an adapter file, for the standard sizes and for small ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from personal_avatar.benchmarks.ldm_layout import Named, Shapes, Size
from personal_avatar.identity.nouns import AdapterKind

EMBEDDING = 512  # what a recogniser says of a face
HEAD = 64
TOKENS = {
    AdapterKind.INSTANTID: 16,
    AdapterKind.FACEID: 4,
    AdapterKind.FACEID_PLUS: 4,
    AdapterKind.FACEID_PLUS_V2: 4,
    AdapterKind.FACEID_PORTRAIT: 16,
    AdapterKind.FACEID_PORTRAIT_UNNORM: 16,
}
WITH_LORA = (AdapterKind.FACEID, AdapterKind.FACEID_PLUS, AdapterKind.FACEID_PLUS_V2)


@dataclass(frozen=True)
class AdapterSize:
    """What does not follow from the UNet. `resampler`: width and heads of InstantID's; `clip`: width of CLIP states."""

    resampler: int = 1280
    resampler_heads: int = 20
    clip: int = 1280
    lora_rank: int = 128
    depth: int = 4


STANDARD_ADAPTER = AdapterSize()


def adapter_shapes(kind: AdapterKind, unet: Size, size: AdapterSize = STANDARD_ADAPTER) -> Shapes:
    """Flat names, as .safetensors files have them: "image_proj.x" and "ip_adapter.<number>.y"."""
    found = {f"image_proj.{name}": shape for name, shape in _projection(kind, unet.context, size)}
    for number, width in enumerate(attention_widths(unet)):
        seen = unet.context if number % 2 else width
        if kind in WITH_LORA:
            found |= {f"ip_adapter.{number}.{name}": shape for name, shape in _lora(width, seen, size.lora_rank)}
        if number % 2:
            found |= {f"ip_adapter.{number}.to_{part}_ip.weight": (width, unet.context) for part in "kv"}
    return found


def attention_widths(unet: Size) -> list[int]:
    """Of every attention, self and cross in turn, in the order of the files: down, up, middle."""
    levels = list(zip(unet.unet, unet.depth, strict=True))
    down = [width for width, depth in levels for _ in range(2 * depth)]
    up = [width for width, depth in reversed(levels) for _ in range(3 * depth)]
    middle = [unet.unet[-1]] * (unet.depth[-1] or 1)
    return [width for width in (*down, *up, *middle) for _ in range(2)]


def _projection(kind: AdapterKind, context: int, size: AdapterSize) -> Named:
    if kind is AdapterKind.INSTANTID:
        yield "latents", (1, TOKENS[kind], size.resampler)
        yield from _resampler("", size.resampler, size.resampler_heads, EMBEDDING, context, size.depth)
        return
    yield from _linear("proj.0", 2 * EMBEDDING, EMBEDDING)
    yield from _linear("proj.2", context * TOKENS[kind], 2 * EMBEDDING)
    yield from _norm("norm", context)
    if kind.needs_clip:
        heads = max(1, context // HEAD)
        yield from _resampler("perceiver_resampler.", context, heads, size.clip, context, size.depth)


def _resampler(root: str, width: int, heads: int, inputs: int, outputs: int, depth: int) -> Named:
    yield from _linear(f"{root}proj_in", width, inputs)
    yield from _linear(f"{root}proj_out", outputs, width)
    yield from _norm(f"{root}norm_out", outputs)
    for number in range(depth):
        layer, inner = f"{root}layers.{number}", heads * HEAD
        yield from _norm(f"{layer}.0.norm1", width)
        yield from _norm(f"{layer}.0.norm2", width)
        yield f"{layer}.0.to_q.weight", (inner, width)
        yield f"{layer}.0.to_kv.weight", (2 * inner, width)
        yield f"{layer}.0.to_out.weight", (width, inner)
        yield from _norm(f"{layer}.1.0", width)
        yield f"{layer}.1.1.weight", (4 * width, width)
        yield f"{layer}.1.3.weight", (width, 4 * width)


def _lora(width: int, seen: int, rank: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part, inputs in (("q", width), ("k", seen), ("v", seen), ("out", width)):
        yield f"to_{part}_lora.down.weight", (rank, inputs)
        yield f"to_{part}_lora.up.weight", (width, rank)


def _linear(name: str, outputs: int, inputs: int) -> Named:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Named:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
