"""How many numbers a training changes, and how large the file is that it writes; counted from shapes. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from personal_avatar.domain import BaseModelFile
from personal_avatar.training.families.detect import UNET, VAE
from personal_avatar.training.families.files import Shapes
from personal_avatar.training.planning.plan import LoraPlan, TextualInversionPlan, TrainPlan

AVERAGED = "model_ema."
OUTSIDE_UNET = ("time_embed.", "label_emb.", "input_blocks.0.0.", "out.2.")
ATTENTION = ("transformer_blocks.", ".proj_in.", ".proj_out.")
EARLY = "input_blocks."
OF_TEXT = re.compile(r"\.(layers|resblocks)\.\d+\..*(_proj|fc1|fc2|c_fc)\.weight$")
TOGETHER = re.compile(r"\.resblocks\.\d+\..*\.in_proj_weight$")  # queries, keys and values in one tensor
FP32, HALF = 4, 2


class Extent(NamedTuple):
    """What a LoRA reaches in the UNet, `late`: not in its first half; `text`: in the text encoders, too; `dora`: with
    magnitudes."""

    rank: int
    conv_rank: int
    late: bool
    text: bool
    dora: bool

    @staticmethod
    def of(plan: LoraPlan) -> Extent:
        return Extent(plan.rank, plan.conv_rank, plan.blocks != "all", plan.trains_text, plan.dora)


def trained_numbers(plan: TrainPlan, shapes: Shapes) -> int:
    """How many numbers are trained."""
    if isinstance(plan, LoraPlan):
        return low_ranks(shapes, Extent.of(plan))
    if isinstance(plan, TextualInversionPlan):
        return plan.vectors * sum(_widths(shapes))
    return whole(shapes) - count(shapes, VAE) if plan.trains_text else count(shapes, UNET)


def file_bytes(plan: TrainPlan, shapes: Shapes, base: BaseModelFile) -> int:
    """Of the file that will be written: fp16 for a LoRA, fp32 for its magnitudes and for an embedding; a checkpoint in
    the number format of the base, without its averaged weights."""
    if isinstance(plan, LoraPlan):
        extent = Extent.of(plan)
        return HALF * low_ranks(shapes, extent) + (FP32 - HALF) * magnitudes(shapes, extent)
    if isinstance(plan, TextualInversionPlan):
        return FP32 * trained_numbers(plan, shapes)
    averaged = count(shapes, AVERAGED)
    return round(base.path.stat().st_size * (1 - averaged / max(1, whole(shapes) + averaged)))


def whole(shapes: Shapes) -> int:
    """Numbers in a checkpoint, without its averaged weights, which nobody loads."""
    return sum(size_of(shape) for key, shape in shapes.items() if not key.startswith(AVERAGED))


def size_of(shape: tuple[int, ...]) -> int:
    """Numbers in a tensor."""
    numbers = 1
    for size in shape:
        numbers *= size
    return numbers


def count(shapes: Shapes, prefix: str) -> int:
    """Numbers in all tensors whose names begin so."""
    return sum(size_of(shape) for key, shape in shapes.items() if key.startswith(prefix))


def text_width(shapes: Shapes) -> int:
    """Numbers for each word of a caption, of all text encoders together."""
    return sum(_widths(shapes))


def _widths(shapes: Shapes) -> list[int]:
    """Width of a word in each text encoder."""
    tables = (".token_embedding.weight",)
    return [shape[1] for key, shape in shapes.items() if key.endswith(tables) and len(shape) == 2]


def low_ranks(shapes: Shapes, extent: Extent) -> int:
    """Of a LoRA, with the magnitudes of DoRA."""
    products = sum(layer.rank * (layer.outputs + layer.columns) for layer in _layers(shapes, extent))
    return products + magnitudes(shapes, extent)


def magnitudes(shapes: Shapes, extent: Extent) -> int:
    """Of DoRA: one for each input; none of another LoRA."""
    return sum(layer.inputs for layer in _layers(shapes, extent)) if extent.dora else 0


class _Layer(NamedTuple):
    """That a LoRA reaches; or several, whose weights are one tensor. `columns`: inputs x kernel."""

    rank: int
    outputs: int
    columns: int
    inputs: int


def _layers(shapes: Shapes, extent: Extent) -> Iterator[_Layer]:
    for key, shape in shapes.items():
        if key.startswith(UNET):
            found = _of_unet(key[len(UNET) :], shape, extent)
        else:
            found = _of_text(key, shape, extent.rank) if extent.text and not key.startswith(VAE) else None
        if found is not None:
            yield found


def _of_unet(name: str, shape: tuple[int, ...], extent: Extent) -> _Layer | None:
    if len(shape) < 2 or name.startswith(OUTSIDE_UNET) or (extent.late and name.startswith(EARLY)):
        return None
    rank = extent.rank if any(mark in name for mark in ATTENTION) else extent.conv_rank
    return _Layer(rank, shape[0], size_of(shape[1:]), shape[1]) if rank else None


def _of_text(name: str, shape: tuple[int, ...], rank: int) -> _Layer | None:
    if TOGETHER.search(name):
        return _Layer(rank, shape[0], 3 * shape[1], 3 * shape[1])
    return _Layer(rank, shape[0], shape[1], shape[1]) if len(shape) == 2 and OF_TEXT.search(name) else None
