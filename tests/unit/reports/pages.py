"""What is read of a page."""
from __future__ import annotations

import re
from html.parser import HTMLParser

from personal_avatar.wording import LANGUAGES

VOID = {"meta", "img", "br", "link", "input", "line", "circle", "polyline"}


class Tags(HTMLParser):
    """Checks that tags are closed in order, and collects attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def in_language(page_html: str, language: str) -> str:
    """What is read of a page: its texts but for those of other languages, which the style sheet hides."""
    others = "|".join(one for one in LANGUAGES if one != language)
    body = page_html.partition("<main>")[2]
    while (shorter := re.sub(rf'<(span|div) class="(?:{others})"[^>]*>(?:(?!<\1[ >]).)*?</\1>', "", body)) != body:
        body = shorter
    return Tags(f"<main>{body.removesuffix('</body></html>')}").text
