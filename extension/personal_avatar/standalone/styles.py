"""The user's own styles without a WebUI: a `styles.csv` as the WebUI writes it (name, prompt, negative_prompt)."""
from __future__ import annotations

import csv
from pathlib import Path

from personal_avatar.domain import Style
from personal_avatar.styles.library import own_style


def read_styles(path: Path) -> tuple[Style, ...]:
    """Styles in the order of the file; none when there is no file. Rows without a name or a text are separators."""
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]
    return tuple(
        own_style(row["name"], row.get("prompt", ""), row.get("negative_prompt", ""))
        for row in rows
        if row.get("name", "").strip() and (row.get("prompt", "") or row.get("negative_prompt", "")).strip()
    )
