"""What the pages have in common: the document around them, sections, facts, cards of likeness, curves, pictures.

Everything is inside: style sheet and pictures; no script, nothing is fetched. A page holds its texts in every language
and shows those of the one that its address ends with, as `report.html#vi`, else of that which `document` is given; see
report.css. `said` makes them of keys of the table; names and values of others are HTML already.
"""
from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path

from personal_avatar.domain import Likeness
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture, source_of
from personal_avatar.provenance import marked
from personal_avatar.reports.svg import Chart, Point, chart, smoothed, thinned
from personal_avatar.wording import DEFAULT, LANGUAGE_NAMES, LANGUAGES, score, share, text

STYLE_SHEET = Path(__file__).resolve().parents[1] / "assets" / "report.css"
MEANINGS = ("likeness", "before", "real")
fine = partial(score, digits=3)


@cache
def style_sheet() -> str:
    """Read once: while a job runs, its program may be updated."""
    return STYLE_SHEET.read_text(encoding="utf-8")


def each(write: Callable[[str], str], tag: str = "span") -> str:
    """HTML in every language, of which one is shown; once where all are the same."""
    written = {language: write(language) for language in LANGUAGES}
    if len(set(written.values())) == 1:
        return written[DEFAULT]
    return "".join(f'<{tag} class="{one}" lang="{one}">{told}</{tag}>' for one, told in written.items())


def said(key: str, **values: object) -> str:
    """The text of `report.<key>`."""
    return each(lambda language: html.escape(text(f"report.{key}", language, **values)))


def at_once(key: str) -> str:
    """The text of `key` in all languages, for an attribute, of which the style sheet can hide nothing."""
    return " / ".join(text(key, one) for one in LANGUAGES)


def document(title: str, subject: str, sections: Iterable[str], language: str = DEFAULT) -> str:
    """The whole HTML file around `sections`; `subject` is HTML. `language`: in which it begins."""
    begins = language if language in LANGUAGES else DEFAULT
    name = html.escape(title)
    others = "".join(f'<i id="{language}"></i>' for language in LANGUAGES)
    return (
        f'<!doctype html><html lang="{begins}"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style_sheet()}</style></head><body>{others}<main>{_languages()}"
        f"<header><h1>{name}</h1><p>{subject}</p></header>{''.join(sections)}</main></body></html>"
    )


def _languages() -> str:
    links = "".join(f'<a href="#{one}" lang="{one}">{name}</a>' for one, name in LANGUAGE_NAMES.items())
    return f'<nav aria-label="{at_once("page.language")}">{links}</nav>'


def section(key: str, content: str, **values: object) -> str:
    """`content` under a heading, the text of `key`; nothing when there is no content."""
    return f"<section><h2>{said(key, **values)}</h2>{content}</section>" if content else ""


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values side by side, both HTML."""
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<dl class="facts">{lines}</dl>' if lines else ""


def bullets(sentences: Iterable[str]) -> str:
    """A list of HTML."""
    lines = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    return f"<ul>{lines}</ul>" if lines else ""


def files(paths: Iterable[object]) -> str:
    """A list of paths."""
    lines = "".join(f"<li><code>{html.escape(str(path))}</code></li>" for path in paths)
    return f"<p>{said('files')}</p><ul>{lines}</ul>" if lines else ""


def use(prompt: str, paths: Iterable[object]) -> str:
    """The section that says how what was trained is used: what to write into a prompt, and the files."""
    line = f"<p>{said('write')}</p><pre><code>{html.escape(prompt)}</code></pre>" if prompt else ""
    return section("use", line + files(paths))


def words(meanings: Iterable[str]) -> str:
    """The last section: names and what they stand for."""
    return section("words", f'<div class="words">{facts((said(one), said(f"{one}.means")) for one in meanings)}</div>')


def short(told: str, pictures: str) -> str:
    """The first section: numbers on the left, pictures on the right."""
    shown = f'<div class="best">{pictures}</div>' if pictures else ""
    return section("short", f'<div class="short"><div>{told}</div>{shown}</div>' if told or shown else "")


def likeness_cards(likeness: Likeness) -> str:
    """Before, after, best possible, and how far between the two the training came."""
    recovered, filled = share(likeness.recovered), min(max(likeness.recovered, 0.0), 1.0)
    cards = {"before": likeness.floor, "after": likeness.after, "real": likeness.ceiling}
    told = ((said(name), score(value)) for name, value in cards.items())
    numbers = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in told)
    meter = f'<div class="meter" aria-hidden="true"><i style="width:{filled:.1%}"></i></div>'  # told below
    return f'<div class="cards">{numbers}</div>{meter}<p>{said("way", share=recovered)}</p>'


def curves(scores: Sequence[Point], marks: Sequence[tuple[str, float]], loss: Sequence[Point]) -> str:
    """Likeness of the saved checkpoints and loss, side by side; nothing without two points. `marks`: with keys."""
    def likeness(language: str) -> Chart:
        named = [(text(f"report.{key}", language), height) for key, height in marks]
        return Chart("likeness", scores, named, dots=True)

    charts = (
        ("curve.likeness", _charts(likeness)),
        ("loss", _charts(lambda language: Chart("loss", thinned(smoothed(loss)), background=thinned(loss)))),
    )
    figures = "".join(f"<figure><figcaption>{said(key)}</figcaption>{drawn}</figure>" for key, drawn in charts if drawn)
    return f'<div class="charts">{figures}</div>' if figures else ""


def _charts(wanted: Callable[[str], Chart]) -> str:
    def drawn(language: str) -> str:
        found = wanted(language)
        title, steps = (text(f"report.{key}", language) for key in (found.title, "steps"))
        return chart(replace(found, title=title, x_label=steps, language=language))

    return each(drawn, "div")


def image(path: Path, side_px: int, label: str) -> str:
    """An `<img>` with the picture inside, at most `side_px` a side, which says of its making what the file says; a grey
    box when the file cannot be read."""
    from PIL import Image

    try:
        picture, made = Image.fromarray(load_picture(path)), source_of(path)
    except UnreadablePhoto:
        return f'<div class="gone" role="img" aria-label="{html.escape(label)}">{said("unreadable")}</div>'
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    data = BytesIO()
    picture.save(data, "JPEG", quality=88)
    shown = marked(data.getvalue(), made) if made else data.getvalue()
    source = "data:image/jpeg;base64," + base64.b64encode(shown).decode("ascii")
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="{source}" {size} loading="lazy" alt="{html.escape(label)}">'
