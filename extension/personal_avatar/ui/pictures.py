"""Pictures on the page: made servable, with their alternative texts, and with what the large view needs."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from personal_avatar.ui.markup import tag


class Shelf:
    """A gr.HTML whose pictures the page may load.

    gradio serves nothing from our folders by itself; what is shown is copied to its folder of temporary files first,
    which also works where the data folder has a dot in its path.
    """

    def __init__(self, dom_id: str, *, visible: bool = True) -> None:
        self.component = gr.HTML(elem_id=dom_id, visible=visible)
        self._served: dict[tuple[Path, int], str] = {}

    def url(self, path: Path) -> str:
        """Address of a picture, relative to the page; raises OSError when the file is gone."""
        key = (path, path.stat().st_mtime_ns)
        if key not in self._served or not Path(self._served[key]).exists():
            self._served[key] = self.component.make_temp_copy_if_needed(str(path))
        return "file=" + quote(self._served[key])

    def figure(self, path: Path, alt: str, caption: str, large: dict[str, Any] | None = None, mark: str = "") -> str:
        """A list item with picture and caption; with `large` it opens our large view, which shows these facts."""
        picture = f'<img src="{self.url(path)}" alt="{escape(alt)}" loading="lazy">'
        if large is not None:
            data = escape(json.dumps(large, ensure_ascii=False))
            opener = f'type="button" class="pa-open" data-pa-large="{data}" aria-haspopup="dialog"'
            picture = f"<button {opener}>{picture}</button>"
        return tag("li", mark, picture, tag("div", escape(caption), class_="pa-caption"), class_="pa-figure")
