"""Captions as what the UNet reads of them. On a graphics card the text encoders come for it and go again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.windows import TOKENS, WINDOW, side_by_side

if TYPE_CHECKING:
    import torch

TEXTS_AT_ONCE = 16  # captions; the text encoders of SDXL take 20 MB for each window of one
STATES, EMPTY = "states", "empty"


@dataclass(frozen=True)
class TextStates:
    """Conditionings by caption, on the device of the model. "states" (windows, 77, width): those of one caption after
    those of the other, `windows_of` them; "empty" (77, width), where they are of different length: what stands behind
    shorter ones; all else `states[name][row_of[caption]]`."""

    states: Conditioning
    row_of: dict[str, int]
    windows_of: dict[str, range]

    @staticmethod
    def of_captions(states: Conditioning, captions: Sequence[str], windows: Sequence[int]) -> TextStates:
        """`states` in the order of `captions`, each of so many `windows`."""
        ends = [sum(windows[: number + 1]) for number in range(len(windows))]
        places = [range(end - count, end) for end, count in zip(ends, windows, strict=True)]
        rows = {caption: row for row, caption in enumerate(captions)}
        return TextStates(states, rows, dict(zip(captions, places, strict=True)))

    def windows(self, captions: Sequence[str]) -> list[int]:
        """In how many each caption was read."""
        return [len(self.windows_of[caption]) for caption in captions]

    def of(self, captions: Sequence[str], least: int = 1) -> Conditioning:
        """As `DiffusionModel.encode_text` answers, row by row: a list of rows would be sent to a graphics card, which
        would be waited for."""
        import torch

        most = max(least, *self.windows(captions))
        windows = torch.stack([one for caption in captions for one in self._filled(caption, most)])
        return side_by_side({STATES: windows}, len(captions)) | {
            name: torch.stack([tensor[self.row_of[caption]] for caption in captions])
            for name, tensor in self.states.items()
            if name not in (STATES, EMPTY)
        }

    def _filled(self, caption: str, count: int) -> Iterator[torch.Tensor]:
        """So many windows of a caption. No words stay none, however long: also where a family reads zeros for them."""
        own = [self.states[STATES][row] for row in self.windows_of[caption]]
        yield from own
        for _ in range(count - len(own)):
            yield self.states[EMPTY] if caption else own[0]


def how_long(model: DiffusionModel, captions: Sequence[str]) -> tuple[str, ...]:
    """What else than captions and checkpoint tells what the UNet reads: those longer than one window once ended with
    it."""
    return ("windows",) if any(length > WINDOW for length in model.lengths(captions)) else ()


def text_states(
    model: DiffusionModel, captions: Iterable[str], clip_skip: int = 1, on_group: Callable[[], None] = lambda: None
) -> TextStates:
    """Every different caption encoded once, without gradients, a few at a time. `on_group` is called before and may
    raise to stop; a graphics card may be given away there, so that what is encoded waits in main memory."""
    different = list(dict.fromkeys(captions))
    windows, found = model.windows(different), []
    with model.reading():
        for at in range(0, len(different), TEXTS_AT_ONCE):
            on_group()
            found += _encoded(model, different[at : at + TEXTS_AT_ONCE], clip_skip)
        empty = _empty(model, clip_skip) if _differ(windows) else {}
    return _together(model, found, empty, different, windows)


def read(model: DiffusionModel, captions: Iterable[str], clip_skip: int = 1) -> TextStates:
    """`text_states` of what is asked for again and again, as prompts are for the pictures of each checkpoint: encoded
    once for good unless the text encoders are trained, each by itself, so that what stands beside it does not matter to
    the last bit."""
    different = list(dict.fromkeys(captions))
    windows = model.windows(different)
    known = {} if model.trains_text else model.texts
    wanted = [*different, *([None] if _differ(windows) else [])]
    missing = [one for one in wanted if (one, clip_skip) not in known]
    if missing:
        with model.reading():
            for one in missing:
                alone = _empty(model, clip_skip) if one is None else _encoded(model, [one], clip_skip)[0]
                known[one, clip_skip] = alone
    empty = known[None, clip_skip] if _differ(windows) else {}
    return _together(model, [known[caption, clip_skip] for caption in different], empty, different, windows)


def _differ(windows: Sequence[int]) -> bool:
    return len(set(windows)) > 1


def _encoded(model: DiffusionModel, captions: list[str], clip_skip: int) -> list[Conditioning]:
    """Of captions that are encoded together, each by itself, in main memory: "states" (windows, 77, width), of all else
    one row."""
    import torch

    with torch.no_grad():
        found = {name: one.cpu() for name, one in model.encode_text(captions, clip_skip).items()}
    states = found.pop(STATES).unflatten(1, (-1, TOKENS))
    return [
        {STATES: states[row, :count], **{name: one[row : row + 1] for name, one in found.items()}}
        for row, count in enumerate(model.windows(captions))
    ]


def _empty(model: DiffusionModel, clip_skip: int) -> Conditioning:
    import torch

    with torch.no_grad():
        return {EMPTY: model.encode_empty(clip_skip).cpu()}


def _together(
    model: DiffusionModel, parts: Sequence[Conditioning], empty: Conditioning, captions: Sequence[str],
    windows: Sequence[int],
) -> TextStates:
    import torch

    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} | empty
    states = {name: one.to(model.compute.device) for name, one in joined.items()}
    return TextStates.of_captions(states, captions, windows)
