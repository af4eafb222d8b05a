"""A prompt in windows of 75 tokens, cut as captions are (training/families/windows.py), and at `BREAK`."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.networks import split_embeddings
from personal_avatar.prompts import emphasis
from personal_avatar.standalone.embeddings import Embedding, Place, embedding_for
from personal_avatar.training.families.windows import COMMA, WINDOW, Unit, fill, row

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Said(Unit):
    """One token, or an embedding with a place for each of its vectors, and how much it is emphasised."""

    weight: float
    embedding: Embedding | None = None


Window = tuple[Said, ...]


def windows_of(model: DiffusionModel, text: str, files: Mapping[str, Path]) -> list[Window]:
    """One empty window for an empty prompt. `files`: embeddings by name. Raises `GenerationFailed`."""
    comma = model.tokenizers[0].convert_tokens_to_ids(COMMA)
    found = [window for section in _sections(model, text, files) for window in fill(section, comma)]
    return found[:-1] if len(found) > 1 and not found[-1] else found


def _sections(model: DiffusionModel, text: str, files: Mapping[str, Path]) -> list[list[Said]]:
    sections: list[list[Said]] = [[]]
    for piece, weight in emphasis(text):
        for number, part in enumerate(BREAK.split(piece)):
            if number:
                sections.append([])
            sections[-1] += _units(model, part, weight, files)
    return sections


def _units(model: DiffusionModel, text: str, weight: float, files: Mapping[str, Path]) -> list[Said]:
    units: list[Said] = []
    for part, name in split_embeddings(text, files):
        if name is None:
            ids = model.tokenizers[0](part, add_special_tokens=False, truncation=False, verbose=False).input_ids
            units += [Said((token,), weight) for token in ids]
        else:
            embedding = embedding_for(model, name, files[name])
            units.append(Said((0,) * embedding.words, weight, embedding))
    return units


def token_rows(model: DiffusionModel, windows: Sequence[Window]) -> list[torch.Tensor]:
    """int64 (windows, 77) on the device, for each text encoder."""
    import torch

    rows = [[row(window, tokenizer) for window in windows] for tokenizer in model.tokenizers]
    return [torch.tensor(each, device=model.compute.device) for each in rows]


def places(windows: Sequence[Window]) -> list[Place]:
    """Where embeddings stand in `token_rows`."""
    found = []
    for number, window in enumerate(windows):
        column = 1
        for unit in window:
            if unit.embedding is not None:
                found.append(Place(number, column, unit.embedding))
            column += len(unit.tokens)
    return found


def weights(window: Window) -> list[float]:
    """Emphasis of all 77 tokens of a window."""
    inner = [unit.weight for unit in window for _ in unit.tokens]
    return [1.0, *inner, *[1.0] * (WINDOW + 1 - len(inner))]
