"""Prompts of any length, with emphasis and embeddings, as what the UNet reads.

As in the WebUI: windows of 75 tokens one after the other, each encoder's states of emphasised tokens multiplied and
brought back to their mean in the window; SDXL's pooled state is the first window's, its empty negative prompt is zeros.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.networks import embeddings_in
from personal_avatar.standalone.embeddings import put_in
from personal_avatar.standalone.windows import Window, places, token_rows, weights, windows_of
from personal_avatar.training.families.windows import side_by_side

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import Conditioning, DiffusionModel


def encode_pair(
    model: DiffusionModel, prompt: str, negative_prompt: str, embeddings: Path | None = None,
    clip_skip: int = 1,
) -> tuple[Conditioning, Conditioning]:
    """(conditional, unconditional), one row each, each as long as its text. `embeddings`: where words are looked up;
    `clip_skip` as in `DiffusionModel.encode_text`.

    Raises `GenerationFailed` for an embedding of another family.
    """
    files = embeddings_in(embeddings) if embeddings is not None else {}
    with_prompt, without = (
        _encoded(model, windows_of(model, text, files), clip_skip) for text in (prompt, negative_prompt)
    )
    if model.zero_without_words and not negative_prompt:
        without = {name: tensor.new_zeros(tensor.shape) for name, tensor in without.items()}
    return with_prompt, without


def _encoded(model: DiffusionModel, windows: Sequence[Window], clip_skip: int) -> Conditioning:
    """"states" (1, 77 * windows, width) and, where the family has it, "pooled" (1, width); float32."""
    import torch

    with torch.no_grad(), ExitStack() as stack:
        for number, encoder in enumerate(model.text_encoders.values()):
            stack.enter_context(put_in(encoder, number, places(windows)))
        text = model.encode_tokens(token_rows(model, windows), clip_skip)
    states = text["states"].float()
    for row, window in enumerate(windows):
        if any(unit.weight != 1.0 for unit in window):
            states[row] = _emphasised(model, states[row], weights(window))
    return side_by_side({name: one.float() for name, one in text.items()} | {"states": states}, 1)


def _emphasised(model: DiffusionModel, states: torch.Tensor, factors: list[float]) -> torch.Tensor:
    """`states` (77, width), each token's row times its factor, then each encoder's part scaled to its old mean."""
    import torch

    widths = [encoder.get_input_embeddings().weight.shape[-1] for encoder in model.text_encoders.values()]
    column = torch.tensor(factors, device=states.device)[:, None]
    return torch.cat([_with_mean(part * column, part) for part in states.split(widths, 1)], 1)


def _with_mean(raised: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    mean = float(raised.mean())
    return raised * (float(before.mean()) / mean) if abs(mean) > 1e-6 else raised
