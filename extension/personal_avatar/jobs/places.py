"""The same folders have other names on another machine, or after a move: paths in documents are put from the one into
the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Places:
    """`pairs`: (here, there), files or folders; the longest that fits a text is taken."""

    pairs: tuple[tuple[str, str], ...]

    def there(self, data: Any) -> Any:
        """`data` (JSON) with every text that is a path of ours as that of the other place."""
        return _moved(data, _longest_first(self.pairs))

    def here(self, data: Any) -> Any:
        """The other way."""
        return _moved(data, _longest_first((there, here) for here, there in self.pairs))


def _longest_first(pairs: Any) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: len(pair[0]), reverse=True)


def _moved(data: Any, pairs: list[tuple[str, str]]) -> Any:
    if isinstance(data, dict):
        return {key: _moved(value, pairs) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_moved(value, pairs) for value in data]
    return _text(data, pairs) if isinstance(data, str) else data


def _text(text: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        if text == old:
            return new
        if text.startswith(old) and text[len(old)] in "/\\":
            return str(Path(new, *text[len(old) + 1 :].replace("\\", "/").split("/")))
    return text
