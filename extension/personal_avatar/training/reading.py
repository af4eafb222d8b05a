"""Captions as what the UNet reads of them. On a graphics card the text encoders come for it and go again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from personal_avatar.training.families.model import Conditioning, DiffusionModel

TEXTS_AT_ONCE = 16  # captions; the text encoders of SDXL take 20 MB for each


@dataclass(frozen=True)
class TextStates:
    """Conditionings by caption; `states[name][row_of[caption]]`, on the device of the model."""

    states: Conditioning
    row_of: dict[str, int]

    def of(self, captions: Sequence[str]) -> Conditioning:
        """Row by row: a list of rows would be sent to a graphics card, which would be waited for."""
        import torch

        rows = [self.row_of[caption] for caption in captions]
        return {name: torch.stack([tensor[row] for row in rows]) for name, tensor in self.states.items()}


def text_states(
    model: DiffusionModel, captions: Iterable[str], clip_skip: int = 1, on_group: Callable[[], None] = lambda: None
) -> TextStates:
    """Every different caption encoded once, without gradients, a few at a time. `on_group` is called before and may
    raise to stop; a graphics card may be given away there, so that what is encoded waits in main memory."""
    different = list(dict.fromkeys(captions))
    found = []
    with model.reading():
        for at in range(0, len(different), TEXTS_AT_ONCE):
            on_group()
            found.append(_encoded(model, different[at : at + TEXTS_AT_ONCE], clip_skip))
    return _together(model, found, different)


def read(model: DiffusionModel, captions: Iterable[str], clip_skip: int = 1) -> TextStates:
    """`text_states` of what is asked for again and again, as prompts are for the pictures of each checkpoint: encoded
    once for good unless the text encoders are trained, each by itself, so that what stands beside it does not matter to
    the last bit."""
    different = list(dict.fromkeys(captions))
    known = {} if model.trains_text else model.texts
    missing = [caption for caption in different if (caption, clip_skip) not in known]
    if missing:
        with model.reading():
            known |= {(caption, clip_skip): _encoded(model, [caption], clip_skip) for caption in missing}
    return _together(model, [known[caption, clip_skip] for caption in different], different)


def _encoded(model: DiffusionModel, captions: list[str], clip_skip: int) -> Conditioning:
    """Of captions that are encoded together, in main memory."""
    import torch

    with torch.no_grad():
        return {name: one.cpu() for name, one in model.encode_text(captions, clip_skip).items()}


def _together(model: DiffusionModel, parts: Sequence[Conditioning], captions: Sequence[str]) -> TextStates:
    import torch

    device = model.compute.device
    states = {name: torch.cat([part[name] for part in parts]).to(device) for name in parts[0]}
    return TextStates(states, {caption: row for row, caption in enumerate(captions)})
