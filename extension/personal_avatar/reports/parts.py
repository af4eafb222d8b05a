"""What the pages have in common: the document around them, sections, facts, cards of likeness, curves, pictures.

Everything is inside: style sheet and pictures; no script, nothing is fetched. Texts are escaped here.
"""
from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

from personal_avatar.domain import Likeness
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture, source_of
from personal_avatar.provenance import marked
from personal_avatar.reports.svg import Chart, Point, chart, smoothed, thinned
from personal_avatar.wording import score, share

STYLE_SHEET = Path(__file__).resolve().parents[1] / "assets" / "report.css"
MEANINGS = {
    "Likeness": "Mean cosine similarity of a face recogniser's embeddings to pictures of the person that were not"
    " trained on: 1 is the same picture.",
    "Before training": "The untrained checkpoint, on the same prompts and seeds.",
    "Real pictures": "Photos of the person, passed once through the checkpoint's own encoder and decoder, against the"
    " held-out ones: these themselves and, of few, further ones that were trained on. The best that this checkpoint"
    " could show.",
}


@cache
def style_sheet() -> str:
    """Read once: while a job runs, its program may be updated."""
    return STYLE_SHEET.read_text(encoding="utf-8")


def document(title: str, subject: str, sections: Iterable[str]) -> str:
    """The whole HTML file around `sections`."""
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style_sheet()}</style></head><body><main>"
        f"<header><h1>{name}</h1><p>{html.escape(subject)}</p></header>{''.join(sections)}</main></body></html>"
    )


def section(name: str, content: str) -> str:
    """`content` under a heading; nothing when there is no content."""
    return f"<section><h2>{html.escape(name)}</h2>{content}</section>" if content else ""


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values side by side."""
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    return f'<dl class="facts">{lines}</dl>' if lines else ""


def bullets(sentences: Iterable[str]) -> str:
    lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{lines}</ul>" if lines else ""


def files(paths: Iterable[object]) -> str:
    """A list of paths."""
    lines = "".join(f"<li><code>{html.escape(str(path))}</code></li>" for path in paths)
    return f"<p>Files:</p><ul>{lines}</ul>" if lines else ""


def words(meanings: Mapping[str, str]) -> str:
    """The last section: names and what they stand for."""
    return section("What the words mean", f'<div class="words">{facts(meanings.items())}</div>')


def short(told: str, pictures: str) -> str:
    """The first section: numbers on the left, pictures on the right."""
    shown = f'<div class="best">{pictures}</div>' if pictures else ""
    return section("In short", f'<div class="short"><div>{told}</div>{shown}</div>' if told or shown else "")


def likeness_cards(likeness: Likeness) -> str:
    """Before, after, best possible, and how far between the two the training came."""
    recovered, filled = share(likeness.recovered), min(max(likeness.recovered, 0.0), 1.0)
    cards = {"Before training": likeness.floor, "After training": likeness.after, "Real pictures": likeness.ceiling}
    told = ((name, score(value)) for name, value in cards.items())
    numbers = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in told)
    meter = (
        f'<div class="meter" role="img" aria-label="{recovered} of the way">'
        f'<i style="width:{filled:.1%}"></i></div>'
    )
    way = f"<p>{recovered} of the way from the untrained checkpoint to real pictures of the person.</p>"
    return f'<div class="cards">{numbers}</div>{meter}{way}'


def curves(scores: Sequence[Point], marks: Sequence[tuple[str, float]], loss: Sequence[Point]) -> str:
    """Likeness of the saved checkpoints and loss, side by side; nothing without two points."""
    charts = (
        ("Likeness of each saved checkpoint", chart(Chart("Likeness", scores, marks, dots=True))),
        ("Loss", chart(Chart("Loss", thinned(smoothed(loss)), background=thinned(loss)))),
    )
    figures = "".join(f"<figure><figcaption>{name}</figcaption>{drawn}</figure>" for name, drawn in charts if drawn)
    return f'<div class="charts">{figures}</div>' if figures else ""


def image(path: Path, side_px: int, label: str) -> str:
    """An `<img>` with the picture inside, at most `side_px` a side, which says of its making what the file says; a grey
    box when the file cannot be read."""
    from PIL import Image

    try:
        picture, made = Image.fromarray(load_picture(path)), source_of(path)
    except UnreadablePhoto:
        return f'<div class="gone" role="img" aria-label="{html.escape(label)}">not readable</div>'
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    data = BytesIO()
    picture.save(data, "JPEG", quality=88)
    shown = marked(data.getvalue(), made) if made else data.getvalue()
    source = "data:image/jpeg;base64," + base64.b64encode(shown).decode("ascii")
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="{source}" {size} loading="lazy" alt="{html.escape(label)}">'
