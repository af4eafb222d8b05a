"""The report as one HTML file: pictures and charts inside, light and dark, readable on a phone, no script."""
from __future__ import annotations

import base64
import html
from io import BytesIO
from pathlib import Path

from personal_avatar.domain import Likeness, PhotoReport, PhotoVerdict, Portrait
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture
from personal_avatar.reports.content import Report
from personal_avatar.reports.svg import Chart, chart, smoothed
from personal_avatar.storage import write_bytes

STYLE_SHEET = Path(__file__).resolve().parents[1] / "assets" / "report.css"
PHOTO_PX, PORTRAIT_PX, BEST = 200, 384, 4


def write_page(report: Report, path: Path) -> Path:
    """Write the page; answers `path`."""
    write_bytes(path, page(report).encode("utf-8"))
    return path


def page(report: Report) -> str:
    """The whole document. Parts without content are left out."""
    sections = (
        _summary(report),
        _photos(report.photos) if report.photos else "",
        _training(report),
        _portraits(report) if report.portraits else "",
        _restored(report),
        _usage(report),
        _words() if report.likeness else "",
    )
    title = html.escape(report.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}</style></head><body><main>"
        f"<header><h1>{title}</h1><p>{html.escape(report.subject)}</p></header>{''.join(sections)}</main></body></html>"
    )


def _section(name: str, content: str) -> str:
    return f"<section><h2>{html.escape(name)}</h2>{content}</section>" if content else ""


# -- numbers


def _summary(report: Report) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in report.facts)
    facts = f'<dl class="facts">{rows}</dl>' if rows else ""
    told = (_cards(report.likeness) if report.likeness else "") + facts
    best = "".join(
        _image(portrait.restored or portrait.path, PORTRAIT_PX, f"portrait {number}: {report.style_name(portrait)}")
        for number, portrait in enumerate(report.portraits[:BEST], start=1)
    )
    shown = f'<div class="best">{best}</div>' if best else ""
    return _section("In short", f'<div class="short"><div>{told}</div>{shown}</div>' if told or shown else "")


def _cards(likeness: Likeness) -> str:
    """Before, after, best possible, and how far between the two the training came."""
    share = min(max(likeness.recovered, 0.0), 1.0)
    cards = {"Before training": likeness.floor, "After training": likeness.after, "Real pictures": likeness.ceiling}
    numbers = "".join(f'<div class="card"><b>{value:.2f}</b><span>{name}</span></div>' for name, value in cards.items())
    meter = (
        f'<div class="meter" role="img" aria-label="{likeness.recovered:.0%} of the way">'
        f'<i style="width:{share:.1%}"></i></div>'
    )
    way = f"<p>{likeness.recovered:.0%} of the way from the untrained checkpoint to real pictures of the person.</p>"
    return f'<div class="cards">{numbers}</div>{meter}{way}'


# -- photos


def _photos(photos: PhotoReport) -> str:
    items = "".join(_photo(verdict) for verdict in photos.photos)
    advice = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in photos.advice)
    count = f"<p>{len(photos.accepted)} of {len(photos.photos)} photos can be used.</p>"
    return _section("Photos", count + (f"<ul>{advice}</ul>" if advice else "") + f'<div class="photos">{items}</div>')


def _photo(verdict: PhotoVerdict) -> str:
    state = "yes" if verdict.accepted else "no"
    word = "used" if verdict.accepted else ", ".join(_spoken(reason.value) for reason in verdict.reasons)
    similarity = f"likeness to the others {verdict.similarity:.2f}" if verdict.similarity is not None else ""
    lines = (verdict.detail, similarity, verdict.path.name)
    notes = "".join(f"<small>{html.escape(line)}</small>" for line in lines if line)
    return (
        f'<figure class="photo {state}">{_image(verdict.path, PHOTO_PX, verdict.path.name)}'
        f"<figcaption><strong>{html.escape(word)}</strong>{notes}</figcaption></figure>"
    )


def _spoken(code: str) -> str:
    return code.replace("_", " ").lower()


# -- training


def _training(report: Report) -> str:
    likeness = report.likeness
    marks = (("real pictures", likeness.ceiling), ("before", likeness.floor)) if likeness else ()
    loss, scores = report.curves.loss, report.curves.likeness
    charts = (
        ("Likeness of each saved checkpoint", chart(Chart("Likeness", scores, marks, dots=True))),
        ("Loss", chart(Chart("Loss", smoothed(loss), background=loss))),
    )
    figures = "".join(f"<figure><figcaption>{name}</figcaption>{drawn}</figure>" for name, drawn in charts if drawn)
    return _section("Training", f'<div class="charts">{figures}</div>' if figures else "")


# -- portraits


def _portraits(report: Report) -> str:
    items = "".join(_portrait(number, portrait, report) for number, portrait in enumerate(report.portraits, start=1))
    return _section("Portraits, most alike first", f'<div class="portraits">{items}</div>')


def _portrait(number: int, portrait: Portrait, report: Report) -> str:
    likeness = f"{portrait.likeness:.3f}" if portrait.likeness is not None else "no face found"
    style = html.escape(report.style_name(portrait))
    label = f"{number}: {report.style_name(portrait)}, likeness {likeness}"
    scores = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in portrait.scores.items())
    return (
        f'<figure class="portrait">{_image(portrait.path, PORTRAIT_PX, label)}<figcaption>'
        f"<strong>{number}</strong> <b>{likeness}</b> <span>{style}</span>"
        f"<details><summary>Details</summary><small>Seed {portrait.seed}. {html.escape(scores)}</small>"
        f"<code>{html.escape(portrait.prompt)}</code></details></figcaption></figure>"
    )


def _restored(report: Report) -> str:
    """Pairs of pictures; only restorations that kept the likeness are there at all."""
    pairs = "".join(
        f'<figure class="pair">{_image(portrait.path, PORTRAIT_PX, "before")}'
        f"{_image(portrait.restored, PORTRAIT_PX, 'after')}<figcaption>{_change(portrait)}</figcaption></figure>"
        for portrait in report.portraits
        if portrait.restored is not None
    )
    note = "<p>A restored face is kept only when it looks no less like the person than before.</p>"
    return _section("Restored faces", f'{note}<div class="pairs">{pairs}</div>' if pairs else "")


def _change(portrait: Portrait) -> str:
    after = portrait.scores.get("restored")
    if after is None or portrait.likeness is None:
        return "before and after"
    return f"likeness {portrait.likeness:.3f} before, {after:.3f} after"


# -- what to do with it


def _usage(report: Report) -> str:
    code = f"<pre><code>{html.escape(report.network)}</code></pre>"
    line = f"<p>Write this into a prompt:</p>{code}" if report.network else ""
    files = "".join(f"<li><code>{html.escape(str(path))}</code></li>" for path in report.files)
    return _section("Use it", line + (f"<p>Files:</p><ul>{files}</ul>" if files else ""))


_MEANINGS = {
    "Likeness": "Mean cosine similarity of a face recogniser's embeddings to pictures of the person that were not"
    " trained on: 1 is the same picture.",
    "Before training": "The untrained checkpoint, on the same prompts and seeds.",
    "Real pictures": "Those held-out pictures, passed once through the checkpoint's own encoder and decoder, against"
    " each other: the best that this checkpoint could show.",
}


def _words() -> str:
    rows = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(text)}</dd>" for word, text in _MEANINGS.items())
    return _section("What the words mean", f'<dl class="facts">{rows}</dl>')


def _image(path: Path, side_px: int, label: str) -> str:
    """An `<img>` with the picture inside, at most `side_px` a side; a grey box when the file cannot be read."""
    from PIL import Image

    try:
        picture = Image.fromarray(load_picture(path))
    except UnreadablePhoto:
        return f'<div class="gone" role="img" aria-label="{html.escape(label)}">not readable</div>'
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    data = BytesIO()
    picture.save(data, "JPEG", quality=88)
    source = "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="{source}" {size} loading="lazy" alt="{html.escape(label)}">'
