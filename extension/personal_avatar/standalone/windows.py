"""A prompt in windows of 75 tokens, as the WebUI cuts it: after a comma where one is near, at `BREAK`, never within
the vectors of an embedding."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.networks import split_embeddings
from personal_avatar.prompts import emphasis
from personal_avatar.standalone.embeddings import Embedding, Place, embedding_for

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

WINDOW = 75
COMMA_REACH = 20
COMMA = ",</w>"
BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Unit:
    """One token, or an embedding with a place for each of its vectors; never torn apart."""

    tokens: tuple[int, ...]
    weight: float
    embedding: Embedding | None = None


Window = tuple[Unit, ...]


def windows_of(model: DiffusionModel, text: str, files: Mapping[str, Path]) -> list[Window]:
    """One empty window for an empty prompt. `files`: embeddings by name. Raises `GenerationFailed`."""
    comma = model.tokenizers[0].convert_tokens_to_ids(COMMA)
    found = [window for section in _sections(model, text, files) for window in fill(section, comma)]
    return found[:-1] if len(found) > 1 and not found[-1] else found


def _sections(model: DiffusionModel, text: str, files: Mapping[str, Path]) -> list[list[Unit]]:
    sections: list[list[Unit]] = [[]]
    for piece, weight in emphasis(text):
        for number, part in enumerate(BREAK.split(piece)):
            if number:
                sections.append([])
            sections[-1] += _units(model, part, weight, files)
    return sections


def _units(model: DiffusionModel, text: str, weight: float, files: Mapping[str, Path]) -> list[Unit]:
    units: list[Unit] = []
    for part, name in split_embeddings(text, files):
        if name is None:
            ids = model.tokenizers[0](part, add_special_tokens=False, truncation=False, verbose=False).input_ids
            units += [Unit((token,), weight) for token in ids]
        else:
            embedding = embedding_for(model, name, files[name])
            units.append(Unit((0,) * embedding.words, weight, embedding))
    return units


def fill(units: Sequence[Unit], comma: int) -> list[Window]:
    """Windows one after the other; at least one."""
    done: list[Window] = []
    current: list[Unit] = []
    for unit in units:
        while _size(current) + len(unit.tokens) > WINDOW:
            end = _end(current, unit, comma)
            done.append(tuple(current[:end]))
            current = current[end:]
        current.append(unit)
    return [*done, tuple(current)]


def _end(current: Sequence[Unit], following: Unit, comma: int) -> int:
    """Where a window ends: behind a comma among the last 20 tokens of a full one, else with its last token."""
    behind = 0
    if _size(current) < WINDOW or following.tokens == (comma,):
        return len(current)
    for at in range(len(current) - 1, -1, -1):
        behind += len(current[at].tokens)
        if behind > COMMA_REACH:
            break
        if current[at].tokens == (comma,):
            return at + 1
    return len(current)


def _size(units: Sequence[Unit]) -> int:
    return sum(len(unit.tokens) for unit in units)


def token_rows(model: DiffusionModel, windows: Sequence[Window]) -> list[torch.Tensor]:
    """int64 (windows, 77) on the device, for each text encoder: begin, tokens, end, and its tokenizer's padding."""
    import torch

    ends = [(each.bos_token_id, each.eos_token_id, each.pad_token_id) for each in model.tokenizers]
    rows = [[_row(window, *marks) for window in windows] for marks in ends]
    return [torch.tensor(each, device=model.compute.device) for each in rows]


def _row(window: Window, begin: int, end: int, padding: int) -> list[int]:
    tokens = [token for unit in window for token in unit.tokens]
    return [begin, *tokens, end, *[padding] * (WINDOW - len(tokens))]


def places(windows: Sequence[Window]) -> list[Place]:
    """Where embeddings stand in `token_rows`."""
    found = []
    for row, window in enumerate(windows):
        column = 1
        for unit in window:
            if unit.embedding is not None:
                found.append(Place(row, column, unit.embedding))
            column += len(unit.tokens)
    return found


def weights(window: Window) -> list[float]:
    """Emphasis of all 77 tokens of a window."""
    inner = [unit.weight for unit in window for _ in unit.tokens]
    return [1.0, *inner, *[1.0] * (WINDOW + 1 - len(inner))]
