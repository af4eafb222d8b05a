"""The report as one HTML file: pictures and charts inside, light and dark, readable on a phone, no script."""
from __future__ import annotations

import html
from pathlib import Path

from personal_avatar.domain import PhotoReport, PhotoVerdict, Portrait
from personal_avatar.reports import parts
from personal_avatar.reports.content import Report
from personal_avatar.storage import write_bytes
from personal_avatar.wording import score

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
        parts.words(parts.MEANINGS) if report.likeness else "",
    )
    return parts.document(report.title, report.subject, sections)


# -- numbers


def _summary(report: Report) -> str:
    told = (parts.likeness_cards(report.likeness) if report.likeness else "") + parts.facts(report.facts)
    best = "".join(
        parts.image(one.restored or one.path, PORTRAIT_PX, f"portrait {number}: {report.style_name(one)}")
        for number, one in enumerate(report.portraits[:BEST], start=1)
    )
    return parts.short(told, best)


# -- photos


def _photos(photos: PhotoReport) -> str:
    items = "".join(_photo(verdict) for verdict in photos.photos)
    count = f"<p>{len(photos.accepted)} of {len(photos.photos)} photos can be used.</p>"
    advice = parts.bullets(advice.text for advice in photos.advice)
    return parts.section("Photos", f'{count}{advice}<div class="photos">{items}</div>')


def _photo(verdict: PhotoVerdict) -> str:
    state = "yes" if verdict.accepted else "no"
    word = "used" if verdict.accepted else ", ".join(_spoken(reason.value) for reason in verdict.reasons)
    similarity = f"likeness to the others {score(verdict.similarity)}" if verdict.similarity is not None else ""
    lines = (verdict.detail, similarity, verdict.path.name)
    notes = "".join(f"<small>{html.escape(line)}</small>" for line in lines if line)
    return (
        f'<figure class="photo {state}">{parts.image(verdict.path, PHOTO_PX, verdict.path.name)}'
        f"<figcaption><strong>{html.escape(word)}</strong>{notes}</figcaption></figure>"
    )


def _spoken(code: str) -> str:
    return code.replace("_", " ").lower()


# -- training


def _training(report: Report) -> str:
    likeness = report.likeness
    marks = (("real pictures", likeness.ceiling), ("before", likeness.floor)) if likeness else ()
    return parts.section("Training", parts.curves(report.curves.likeness, marks, report.curves.loss))


# -- portraits


def _portraits(report: Report) -> str:
    items = "".join(_portrait(number, portrait, report) for number, portrait in enumerate(report.portraits, start=1))
    return parts.section("Portraits, most alike first", f'<div class="portraits">{items}</div>')


def _portrait(number: int, portrait: Portrait, report: Report) -> str:
    likeness = f"{portrait.likeness:.3f}" if portrait.likeness is not None else "no face found"
    style = html.escape(report.style_name(portrait))
    label = f"{number}: {report.style_name(portrait)}, likeness {likeness}"
    scores = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in portrait.scores.items())
    return (
        f'<figure class="portrait">{parts.image(portrait.path, PORTRAIT_PX, label)}<figcaption>'
        f"<strong>{number}</strong> <b>{likeness}</b> <span>{style}</span>"
        f"<details><summary>Details</summary><small>Seed {portrait.seed}. {html.escape(scores)}</small>"
        f"<code>{html.escape(portrait.prompt)}</code></details></figcaption></figure>"
    )


def _restored(report: Report) -> str:
    """Pairs of pictures; only restorations that kept the likeness are there at all."""
    pairs = "".join(
        f'<figure class="pair">{parts.image(portrait.path, PORTRAIT_PX, "before")}'
        f"{parts.image(portrait.restored, PORTRAIT_PX, 'after')}<figcaption>{_change(portrait)}</figcaption></figure>"
        for portrait in report.portraits
        if portrait.restored is not None
    )
    note = "<p>A restored face is kept only when it looks no less like the person than before.</p>"
    return parts.section("Restored faces", f'{note}<div class="pairs">{pairs}</div>' if pairs else "")


def _change(portrait: Portrait) -> str:
    after = portrait.scores.get("restored")
    if after is None or portrait.likeness is None:
        return "before and after"
    return f"likeness {portrait.likeness:.3f} before, {after:.3f} after"


# -- what to do with it


def _usage(report: Report) -> str:
    code = f"<pre><code>{html.escape(report.network)}</code></pre>"
    line = f"<p>Write this into a prompt:</p>{code}" if report.network else ""
    return parts.section("Use it", line + parts.files(report.files))
