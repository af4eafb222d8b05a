"""The report as one HTML file: pictures and charts inside, light and dark, readable on a phone, no script."""
from __future__ import annotations

import html
from pathlib import Path

from personal_avatar.domain import Advice, PhotoReport, PhotoVerdict, Portrait
from personal_avatar.reports import parts
from personal_avatar.reports.content import Report
from personal_avatar.reports.parts import fine
from personal_avatar.storage import write_bytes
from personal_avatar.wording import NOTHING, can_say, score, text

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
        parts.use(report.network, report.files),
        parts.words(parts.MEANINGS) if report.likeness else "",
    )
    return parts.document(report.title, html.escape(report.subject), sections, report.language)


# -- numbers


def _summary(report: Report) -> str:
    facts = ((html.escape(name), html.escape(value)) for name, value in report.facts)
    told = (parts.likeness_cards(report.likeness) if report.likeness else "") + parts.facts(facts)
    best = "".join(
        parts.image(one.restored or one.path, PORTRAIT_PX, f"{number}: {report.style_name(one)}")
        for number, one in enumerate(report.portraits[:BEST], start=1)
    )
    return parts.short(told, best)


# -- photos


def _photos(photos: PhotoReport) -> str:
    items = "".join(_photo(verdict) for verdict in photos.photos)
    count = f"<p>{parts.said('usable', count=len(photos.accepted), of=len(photos.photos))}</p>"
    advice = parts.bullets(_advised(advice) for advice in photos.advice)
    return parts.section("photos", f'{count}{advice}<div class="photos">{items}</div>')


def _photo(verdict: PhotoVerdict) -> str:
    state = "yes" if verdict.accepted else "no"
    word = parts.said("used") if verdict.accepted else _reasons(verdict)
    similarity = parts.said("alike", value=score(verdict.similarity)) if verdict.similarity is not None else ""
    lines = (html.escape(verdict.detail), similarity, html.escape(verdict.path.name))
    notes = "".join(f"<small>{line}</small>" for line in lines if line)
    return (
        f'<figure class="photo {state}">{parts.image(verdict.path, PHOTO_PX, verdict.path.name)}'
        f"<figcaption><strong>{word}</strong>{notes}</figcaption></figure>"
    )


def _reasons(verdict: PhotoVerdict) -> str:
    def told(language: str) -> str:
        found = (text(f"reason.{reason.value}", language).rstrip(".。") for reason in verdict.reasons)
        return html.escape(text("list.between", language).join(found))

    return parts.each(told)


def _advised(advice: Advice) -> str:
    """By its code in every language; in English where the table does not have it."""
    key = f"advice.{advice.code}"
    if not can_say(key, advice.values):
        return html.escape(advice.text)
    return parts.each(lambda language: html.escape(text(key, language, **advice.values)))


# -- training


def _training(report: Report) -> str:
    likeness = report.likeness
    marks = (("mark.real", likeness.ceiling), ("mark.before", likeness.floor)) if likeness else ()
    return parts.section("training", parts.curves(report.curves.likeness, marks, report.curves.loss))


# -- portraits


def _portraits(report: Report) -> str:
    items = "".join(_portrait(number, portrait, report) for number, portrait in enumerate(report.portraits, start=1))
    return parts.section("portraits", f'<div class="portraits">{items}</div>')


def _portrait(number: int, portrait: Portrait, report: Report) -> str:
    likeness = fine(portrait.likeness) if portrait.likeness is not None else ""
    style = html.escape(report.style_name(portrait))
    label = f"{number}: {report.style_name(portrait)}, {likeness or NOTHING}"
    seed = parts.said("seed", seed=portrait.seed)
    scores = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in portrait.scores.items())
    return (
        f'<figure class="portrait">{parts.image(portrait.path, PORTRAIT_PX, label)}<figcaption>'
        f"<strong>{number}</strong> <b>{likeness or parts.said('noface')}</b> <span>{style}</span>"
        f"<details><summary>{parts.said('details')}</summary><small>{seed}. {html.escape(scores)}</small>"
        f"<code>{html.escape(portrait.prompt)}</code></details></figcaption></figure>"
    )


def _restored(report: Report) -> str:
    """Pairs of pictures; only restorations that kept the likeness are there at all."""
    before, after = (parts.at_once(key) for key in ("report.restored.before", "report.restored.after"))
    pairs = "".join(
        f'<figure class="pair">{parts.image(portrait.path, PORTRAIT_PX, before)}'
        f"{parts.image(portrait.restored, PORTRAIT_PX, after)}<figcaption>{_change(portrait)}</figcaption></figure>"
        for portrait in report.portraits
        if portrait.restored is not None
    )
    note = f"<p>{parts.said('restored.note')}</p>"
    return parts.section("restored", f'{note}<div class="pairs">{pairs}</div>' if pairs else "")


def _change(portrait: Portrait) -> str:
    after = portrait.scores.get("restored")
    if after is None or portrait.likeness is None:
        return parts.said("change")
    return parts.said("change.likeness", before=fine(portrait.likeness), after=fine(after))
