"""Prompts of any length and with emphasis, as the text states that the UNet reads.

As in the WebUI: 75 tokens a window, windows one after the other; the states of emphasised tokens are multiplied and the
window is brought back to its mean.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from personal_avatar.domain import Family
from personal_avatar.prompts import emphasis

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import Conditioning, DiffusionModel

WINDOW = 75


@dataclass(frozen=True)
class Window:
    """At most 75 tokens and the weight of each."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


def encode_pair(model: DiffusionModel, prompt: str, negative_prompt: str) -> tuple[Conditioning, Conditioning]:
    """(conditional, unconditional) states of one row each and of the same length."""
    if model.family is not Family.SD1:
        return model.encode_text([prompt]), model.encode_text([negative_prompt])
    both = [windows(model, text) for text in (prompt, negative_prompt)]
    longest = max(len(found) for found in both)
    filled = [[*found, *[Window((), ())] * (longest - len(found))] for found in both]
    return {"states": _states(model, filled[0])}, {"states": _states(model, filled[1])}


def windows(model: DiffusionModel, text: str) -> list[Window]:
    """The tokens of a prompt in windows; one empty window for an empty prompt."""
    tokens: list[int] = []
    weights: list[float] = []
    for piece, weight in emphasis(text):
        found = model.tokenizers[0](piece, add_special_tokens=False, truncation=False, verbose=False).input_ids
        tokens += found
        weights += [weight] * len(found)
    starts = range(0, max(len(tokens), 1), WINDOW)
    return [Window(tuple(tokens[at : at + WINDOW]), tuple(weights[at : at + WINDOW])) for at in starts]


def _states(model: DiffusionModel, parts: list[Window]) -> torch.Tensor:
    """float32 (1, 77 * windows, width)."""
    import torch

    tokenizer, (encoder,) = model.tokenizers[0], model.text_encoders.values()
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    rows = [[start, *part.tokens, *[end] * (WINDOW + 1 - len(part.tokens))] for part in parts]
    with torch.no_grad():
        states = encoder(torch.tensor(rows, device=model.compute.device))[0].float()
    for row, part in enumerate(parts):
        if any(weight != 1.0 for weight in part.weights):
            states[row] = _emphasised(states[row], part.weights)
    return states.reshape(1, -1, states.shape[-1])


def _emphasised(states: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """`states` (77, width), each token's row times its weight, then scaled to the old mean of the window."""
    import torch

    factors = torch.ones(len(states), 1, device=states.device)
    factors[1 : 1 + len(weights), 0] = torch.tensor(weights, device=states.device)
    raised = states * factors
    before, after = float(states.mean()), float(raised.mean())
    return raised * (before / after) if abs(after) > 1e-6 else raised
