"""Texts in windows of 75 tokens, as the WebUI reads long prompts: cut after a comma where one is near, never within the
vectors of one word. Each window is read by itself; what is read of them stands side by side.

Source: modules/sd_hijack_clip.py of the WebUI 1.10.1, with 20 as its setting `comma_padding_backtrack` is at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from personal_avatar.captions.tokens import MOST

if TYPE_CHECKING:
    import torch

WINDOW = 75
TOKENS = WINDOW + 2  # with the marks of beginning and end
COMMA_REACH = 20
COMMA = ",</w>"
# Of one caption, where no word has several vectors: a window that ends behind a comma has some tokens less.
MOST_WINDOWS = 1 + -(-(MOST - WINDOW) // (WINDOW - COMMA_REACH + 1))
MOST_KNOWN = 2048  # captions of which is remembered how they are cut


@dataclass(frozen=True)
class Unit:
    """One token, or those of a word that has several vectors; never torn apart."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """A caption in its windows, at least one, without what is beyond `MOST` tokens; `length`: tokens with that."""

    windows: tuple[tuple[Unit, ...], ...]
    length: int


U = TypeVar("U", bound=Unit)
_known: WeakKeyDictionary[Any, dict[tuple[str, int, bool], Cut]] = WeakKeyDictionary()


def cut(tokenizer: Any, caption: str) -> Cut:
    """Looked up once as long as the tokenizer has the same words: it may get more, and be an `ExpandingTokenizer` that
    is switched off; see new_words.py."""
    known = _known.setdefault(tokenizer, {})
    key = caption, len(tokenizer), getattr(tokenizer, "enabled", False)
    if key not in known:
        if len(known) >= MOST_KNOWN:
            known.pop(next(iter(known)))
        units = _units(tokenizer, caption)
        windows = fill(first(units, MOST), tokenizer.convert_tokens_to_ids(COMMA))
        known[key] = Cut(tuple(windows), size(units))
    return known[key]


def _units(tokenizer: Any, caption: str) -> list[Unit]:
    """All of a caption. A tokenizer may have a word of several tokens, `new_ids`; see new_words.py."""
    ids = tokenizer(caption, add_special_tokens=False, truncation=False, verbose=False).input_ids
    together = tuple(getattr(tokenizer, "new_ids", ()))
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
    """77 ids: begin, tokens, end, and what the tokenizer fills up with."""
    tokens = [token for unit in window for token in unit.tokens]
    filling = [tokenizer.pad_token_id] * (WINDOW - len(tokens))
    return [tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id, *filling]


def side_by_side(read: Mapping[str, torch.Tensor], texts: int) -> dict[str, torch.Tensor]:
    """What was read of the windows of `texts` texts, all of equally many, one text's after the other's: "states"
    (windows, 77, width) becomes (texts, 77 * windows of each, width); of all else the first window's counts."""
    found = {name: one.unflatten(0, (texts, -1))[:, 0] for name, one in read.items()}
    states = read["states"]
    return {**found, "states": states.reshape(texts, -1, states.shape[-1])}
