"""Pictures on the page: made servable, with their alternative texts."""

from __future__ import annotations

from html import escape
from pathlib import Path
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

    def tidy(self) -> None:
        """Remove the copies of pictures that are gone: what was erased shall not be left among temporary files."""
        for key in [key for key in self._served if not key[0].exists()]:
            Path(self._served.pop(key)).unlink(missing_ok=True)

    def figure(self, path: Path, alt: str, caption: str) -> str:
        """A list item with picture and caption."""
        picture = f'<img src="{self.url(path)}" alt="{escape(alt)}" loading="lazy">'
        return tag("li", picture, tag("div", escape(caption), class_="pa-caption"), class_="pa-figure")
