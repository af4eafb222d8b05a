"""Texts in windows of 75 tokens, as the WebUI reads long prompts: cut after a comma where one is near, never within the
vectors of one word. Each window is read by itself; what is read of them stands side by side.

Source: modules/sd_hijack_clip.py of the WebUI 1.10.1, with 20 as its setting `comma_padding_backtrack` is at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from personal_avatar.captions.tokens import MOST

if TYPE_CHECKING:
    import torch

WINDOW = 75
TOKENS = WINDOW + 2  # with the marks of beginning and end
COMMA_REACH = 20
COMMA = ",</w>"


@dataclass(frozen=True)
class Unit:
    """One token, or those of a word that has several vectors; never torn apart."""

    tokens: tuple[int, ...]


U = TypeVar("U", bound=Unit)


def windows_of(tokenizer: Any, captions: Sequence[str]) -> list[list[tuple[Unit, ...]]]:
    """For each caption its windows, at least one; nothing of what is beyond `MOST` tokens."""
    comma = tokenizer.convert_tokens_to_ids(COMMA)
    return [fill(first(units, MOST), comma) for units in units_of(tokenizer, captions)]


def units_of(tokenizer: Any, captions: Sequence[str]) -> list[list[Unit]]:
    """All of each caption. A tokenizer may have a word of several tokens, `new_ids`; see new_words.py."""
    together = tuple(getattr(tokenizer, "new_ids", ()))
    plain = {"add_special_tokens": False, "truncation": False, "verbose": False}
    return [_units(tokenizer(caption, **plain).input_ids, together) for caption in captions]


def _units(ids: Sequence[int], together: tuple[int, ...]) -> list[Unit]:
    found, at = [], 0
    while at < len(ids):
        whole = len(together) if together and tuple(ids[at : at + len(together)]) == together else 1
        found.append(Unit(tuple(ids[at : at + whole])))
        at += whole
    return found


def size(units: Sequence[Unit]) -> int:
    """How many tokens they are."""
    return sum(len(unit.tokens) for unit in units)


def first(units: Sequence[U], most: int) -> list[U]:
    """Those from the front that are no more than `most` tokens together."""
    kept: list[U] = []
    for unit in units:
        most -= len(unit.tokens)
        if most < 0:
            break
        kept.append(unit)
    return kept


def fill(units: Sequence[U], comma: int) -> list[tuple[U, ...]]:
    """Windows one after the other; at least one. `comma`: its token."""
    done: list[tuple[U, ...]] = []
    current: list[U] = []
    for unit in units:
        while size(current) + len(unit.tokens) > WINDOW:
            end = _end(current, unit, comma)
            done.append(tuple(current[:end]))
            current = current[end:]
        current.append(unit)
    return [*done, tuple(current)]


def _end(current: Sequence[Unit], following: Unit, comma: int) -> int:
    """Where a window ends: behind a comma among the last 20 tokens of a full one, else with its last token."""
    behind = 0
    if size(current) < WINDOW or following.tokens == (comma,):
        return len(current)
    for at in range(len(current) - 1, -1, -1):
        behind += len(current[at].tokens)
        if behind > COMMA_REACH:
            break
        if current[at].tokens == (comma,):
            return at + 1
    return len(current)


def row(window: Sequence[Unit], tokenizer: Any) -> list[int]:
    """77 ids: begin, tokens, end, and the tokenizer's padding."""
    tokens = [token for unit in window for token in unit.tokens]
    filling = [tokenizer.pad_token_id] * (WINDOW - len(tokens))
    return [tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id, *filling]


def side_by_side(read: Mapping[str, torch.Tensor], texts: int) -> dict[str, torch.Tensor]:
    """What was read of the windows of `texts` texts, all of equally many, one text's after the other's: "states"
    (windows, 77, width) becomes (texts, 77 * windows of each, width); of all else the first window's counts."""
    found = {name: one.unflatten(0, (texts, -1))[:, 0] for name, one in read.items()}
    states = read["states"]
    return {**found, "states": states.reshape(texts, -1, states.shape[-1])}
