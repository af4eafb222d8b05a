"""Words that a text encoder does not have yet: how captions get them, and the only rows of its table that train."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class NewWords(nn.Module):
    """Stands in the place of a token embedding: ids from `first_id` on are `rows` (count, width), float32 and trained;
    all others are looked up in the frozen table, which stays what it is."""

    def __init__(self, table: nn.Embedding, rows: torch.Tensor, first_id: int) -> None:
        super().__init__()
        self.table = table
        self.rows = nn.Parameter(rows.detach().float().clone())
        self.first_id = first_id

    @property
    def weight(self) -> torch.Tensor:
        """The frozen table, as whoever asks a text encoder for its width or number format expects it."""
        return self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        new = ids >= self.first_id
        known = self.table(torch.where(new, 0, ids))
        rows = self.rows[(ids - self.first_id).clamp(0, len(self.rows) - 1)]
        return torch.where(new.unsqueeze(-1), rows.to(known.dtype), known)


class ExpandingTokenizer:
    """A tokenizer for which `word` in a caption stands for several new tokens, `new_ids`; switched off, it is the one
    that it holds."""

    def __init__(self, tokenizer: Any, word: str, count: int) -> None:
        names = [f"<personal-avatar-{number}>" for number in range(count)]
        tokenizer.add_tokens(names)
        self.tokenizer = tokenizer
        self.new_ids: list[int] = tokenizer.convert_tokens_to_ids(names)
        self.enabled = True
        self._pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])", re.IGNORECASE)
        self._spelled = " ".join(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["tokenizer"], name)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def __call__(self, text: str | Sequence[str], **options: Any) -> Any:
        return self.tokenizer(self.expanded(text) if self.enabled else text, **options)

    def expanded(self, text: str | Sequence[str]) -> str | list[str]:
        """Captions with the new tokens in the place of the word, wherever it stands alone."""
        if isinstance(text, str):
            return self._pattern.sub(self._spelled, text)
        return [self._pattern.sub(self._spelled, one) for one in text]


def first_rows(table: torch.Tensor, ids: Sequence[int], count: int, seed: int) -> torch.Tensor:
    """`count` vectors to begin with, float32 (count, width): the rows `ids` of the table in order, each repeated when
    there are fewer and neighbours averaged when there are more. A little seeded noise, a twentieth of the table's
    spread, keeps repeated ones from being and staying the same."""
    known = table.detach()[list(ids)].float().cpu()
    cuts = [(at * len(known) // count, (at + 1) * len(known) // count) for at in range(count)]
    means = torch.stack([known[first : max(first + 1, end)].mean(dim=0) for first, end in cuts])
    noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(seed))
    return means + 0.05 * float(known.std()) * noise
