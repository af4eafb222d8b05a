"""The user's own styles without a WebUI: a `styles.csv` as the WebUI writes it (name, prompt, negative_prompt)."""
from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from pathlib import Path

from personal_avatar.domain import Style
from personal_avatar.styles.library import own_styles

LOG = logging.getLogger(__name__)


def read_styles(path: Path) -> tuple[Style, ...]:
    """Styles in the order of the file; none when there is no file, those before it where it is damaged. Rows without a
    name or a text are separators."""
    if not path.is_file():
        return ()
    rows = ([row.get(name, "") for name in ("name", "prompt", "negative_prompt")] for row in _rows(path))
    return own_styles((name, prompt, negative) for name, prompt, negative in rows
                      if name.strip() and (prompt or negative).strip())


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            for row in csv.DictReader(file):
                yield {key: value or "" for key, value in row.items() if key}
        except csv.Error as error:
            LOG.warning("%s cannot be read to its end: %s", path, error)
