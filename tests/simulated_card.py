"""The memory that a step would take of a card, without one: a UNet of the standard size on torch's meta device, whose
tensors have sizes and no numbers, cast as autocast of CUDA casts. What it cannot show: workspaces of the card's own
kernels, and what torch's allocator keeps in pieces."""
from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import torch
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.families.detect import XL_CLIP_L, XL_OPEN_CLIP
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.families.halves import may_be_half, take_halves
from personal_avatar.training.families.text import clip_encoder, open_clip_encoder
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.methods import lora
from personal_avatar.training.methods.lora_targets import ATTENTION_PARENTS, Target, products_within
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.checkpoint import checkpoint

from tests.pretended_card import IN_FULL, IN_HALF

BLOCK = 512  # bytes that a card gives out at once
RANK = 32
WORDS = 77


class Held(TorchDispatchMode):
    """Bytes of all tensors that live, now and at most, besides `known` ones."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen = {one.untyped_storage()._cdata for one in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_iter(made):
            if isinstance(one, torch.Tensor) and one.device.type == "meta":
                self._add(one.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, taken = storage._cdata, -(-storage.nbytes() // BLOCK) * BLOCK
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += taken
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key, taken)

    def _gone(self, key: int, taken: int) -> None:
        self._seen.discard(key)
        self.now -= taken


class Autocast(TorchFunctionMode):
    """Trained weights are cast once, as long as the outermost one lasts."""

    _copies: ClassVar[dict[int, torch.Tensor]] = {}
    _within: ClassVar[int] = 0

    def __init__(self, half: torch.dtype) -> None:
        super().__init__()
        self._half = half

    def __enter__(self) -> Any:
        Autocast._within += 1
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        Autocast._within -= 1
        if not Autocast._within:
            self._copies.clear()
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in IN_HALF or name in IN_FULL:
            wanted = self._half if name in IN_HALF else torch.float32
            args, kwargs = tree_map(lambda one: self._cast(one, wanted), (args, kwargs))
        return func(*args, **kwargs)

    def _cast(self, one: Any, wanted: torch.dtype) -> Any:
        if not isinstance(one, torch.Tensor) or not one.is_floating_point() or one.dtype is wanted:
            return one
        if not (one.is_leaf and one.requires_grad):
            return one.to(wanted)
        return self._copies.setdefault(id(one), one.to(wanted))


def kept_gb(base: BaseModelFile, side_px: int, rows: int, half: torch.dtype | None, *, checkpointed: bool) -> float:
    """What one step of a LoRA takes besides the weights, gradients among it; products in `half`, None for fp32."""
    unet = _unet(base, half or torch.float32)
    targets = [Target("lora_unet", path, path, RANK, 16.0) for path in products_within(unet, ATTENTION_PARENTS)]
    model: Any = SimpleNamespace(modules=lambda: {"lora_unet": unet})
    plan: Any = SimpleNamespace(dora=False)
    list(lora._inject(model, targets, plan))
    return _most_gb(unet, _asked(base, side_px, rows, half or torch.float32), half, checkpointed, 1)


def kept_by_dreambooth_gb(
    base: BaseModelFile, side_px: int, rows: int, half: torch.dtype, *, checkpointed: bool, passes: int
) -> float:
    """The same of Dreambooth; `passes`: there and back, one after the other, before the step is made."""
    unet = _unet(base, torch.float32).requires_grad_(True)
    return _most_gb(unet, _asked(base, side_px, rows, half), half, checkpointed, passes)


def text_gb(base: BaseModelFile, rows: int) -> tuple[float, float]:
    """SDXL's text encoders in half precision: what they take, and what a step that trains words takes besides."""
    shapes = read_shapes(base.path)
    first = clip_encoder(shapes, XL_CLIP_L, None, base)
    second = open_clip_encoder(shapes, XL_OPEN_CLIP, base, drop=0, projected=True)
    with torch.device("meta"):
        encoders = [encoder.build().requires_grad_(False) for encoder in (first, second)]
    for encoder in encoders:
        take_halves(encoder)
        for name in may_be_half(encoder):
            encoder.get_parameter(name).data = encoder.get_parameter(name).data.half()
    weights = [one for encoder in encoders for one in (*encoder.parameters(), *encoder.buffers())]
    held = Held(weights)
    with held:
        torch.stack([_trained_words(encoder, rows) for encoder in encoders]).sum().backward()
    return sum(one.nbytes for one in weights) / 1e9, held.most / 1e9


def _trained_words(encoder: Any, rows: int) -> torch.Tensor:
    ids = torch.empty(rows, WORDS, dtype=torch.long, device="meta")
    encoder.get_input_embeddings().register_forward_hook(lambda _, __, words: words.requires_grad_(True))
    found: torch.Tensor = encoder(ids, output_hidden_states=True).hidden_states[-2].sum()
    return found


def _most_gb(unet: Any, asked: tuple[Any, ...], half: torch.dtype | None, checkpointed: bool, passes: int) -> float:
    unet.train()
    if checkpointed:
        _checkpoint(unet, half)
    held = Held(unet.parameters())
    with held, _fused_attention():
        for _ in range(passes):
            with _products(half):
                answer = unet(*asked).sample.float()
            answer.pow(2).mean().backward()
            del answer
    return held.most / 1e9


def _unet(base: BaseModelFile, dtype: torch.dtype) -> Any:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(**unet_config(read_shapes(base.path), {}, base)).to(dtype).requires_grad_(False)


def _asked(base: BaseModelFile, side_px: int, rows: int, dtype: torch.dtype) -> tuple[Any, ...]:
    side, width = side_px // 8, {Family.SD1: 768, Family.SD2: 1024, Family.SDXL: 2048}[base.family]
    noisy, times = torch.empty(rows, 4, side, side, device="meta"), torch.empty(rows, dtype=torch.long, device="meta")
    words = torch.empty(rows, WORDS, width, device="meta", dtype=dtype)
    added = None
    if base.family is Family.SDXL:
        pooled = torch.empty(rows, 1280, device="meta", dtype=dtype)
        added = {"text_embeds": pooled, "time_ids": torch.empty(rows, 6, device="meta")}
    return noisy.to(dtype), times, words, None, None, None, None, added


def _products(half: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if half is None else Autocast(half)


def _checkpoint(unet: Any, half: torch.dtype | None) -> None:
    def anew(block: Any, *given: Any) -> Any:
        def run(*again: Any) -> Any:
            with _products(half):
                return block(*again)

        return checkpoint(run, *given, use_reentrant=False)

    unet.enable_gradient_checkpointing()
    for module in unet.modules():
        if hasattr(module, "_gradient_checkpointing_func"):
            module._gradient_checkpointing_func = anew


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Which never holds its scores."""

    def scaled_dot_product_attention(query: Any, key: Any, value: Any, **options: Any) -> Any:
        return torch.ops.aten._scaled_dot_product_efficient_attention(query, key, value, None, True)[0]

    with mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", scaled_dot_product_attention):
        yield
