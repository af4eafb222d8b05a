"""What the panel "Rank" shows of a ranking: progress, the pictures in an order and within limits, more like one."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from personal_avatar.albums.entries import PARTS, Entry, Wanted, arranged
from personal_avatar.errors import AvatarError, NotFound
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.ranking.order import OVERALL
from personal_avatar.ui.clip_download import ClipDownload
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.making import likeness_words
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.presses import button
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import LANGUAGES, text

AVATAR, SORT, LIKE, PRESS = "rank_avatar", "rank_sort", "rank_like", "rank_more"
LIMITS = ("overall", "likeness", "quality")
SHOWN = 60  # pictures at once
ON_CARD = ("second", "prompt", "quality", "diversity")


def limit(part: str) -> str:
    """The name under which the lowest value of a part is read."""
    return f"rank_min_{part}"


def is_there(scene: Scene) -> bool:
    """Whether there is a ranking with pictures."""
    return bool(scene.ranking and (scene.ranking.result or {}).get("images"))


def orders(scene: Scene) -> dict[str, Any]:
    """Parts in words; the chosen one stays when the language changes."""
    words = {part: scene.say(f"part.{part}") for part in PARTS}
    return {"choices": list(words.values()), "value": words[order(scene)], "visible": is_there(scene)}


def order(scene: Scene) -> str:
    """The part that was chosen, in whatever language."""
    named = {text(f"part.{part}", language): part for part in PARTS for language in LANGUAGES}
    return named.get(str(scene.values.get(SORT)), OVERALL)


def limits(scene: Scene) -> dict[str, float]:
    """The lowest values that are wanted, by part; 0 is no limit, as an emptied field holds it."""
    values = {part: scene.values.get(limit(part)) for part in LIMITS}
    return {part: float(value) for part, value in values.items() if isinstance(value, int | float) and value}


# -- how it goes


def progress(scene: Scene, clip: ClipDownload) -> str:
    """The job's progress, what it had to remark; before any, what there is to do."""
    view = scene.ranking
    if view is None:
        lines = "".join(tag("li", escape(scene.say(f"rank.tip.{number}"))) for number in (1, 2, 3))
        return tag("div", tag("h3", escape(scene.say("rank.none"))), tag("ul", lines), class_="pa-empty")
    return progress_html(view, scene) + clip.remarks(scene.told(view).sentences, scene)


# -- the pictures


def entries(scene: Scene) -> list[Entry]:
    """Pictures of the ranking in the order and within the limits that were chosen; those most like one if asked for."""
    if scene.ranking is None or not is_there(scene):
        return []
    every = scene.studio.gallery.of(scene.ranking.job.id)
    known = {entry.number: entry for entry in every}
    like = str(scene.values.get(LIKE) or "")
    if like.isdecimal() and int(like) in known:
        near = scene.studio.rankings.nearest(scene.ranking.job.id, int(like), SHOWN)
        return [known[int(like)], *(known[number] for number, _ in near if number in known)]
    return arranged(every, order(scene), Wanted(limits(scene)))


def gallery(scene: Scene, shelf: Shelf) -> str:
    """The first pictures, with their scores."""
    if not is_there(scene) or scene.ranking is None:
        return ""
    found = entries(scene)
    like = bool(scene.values.get(LIKE))
    every = len((scene.ranking.result or {})["images"])
    key = "rank.like" if like else "rank.count.note"
    note = tag("p", escape(scene.say(key, n=len(found), all=every, shown=min(SHOWN, len(found)))), class_="pa-note")
    back = button(PRESS, "pa-rank-back", scene.say("rank.back"), scene.say("rank.back"), like="") if like else ""
    cards = [_card(scene, shelf, entry, place) for place, entry in enumerate(found[:SHOWN], start=1)]
    return note + back + tag("ul", *cards, class_="pa-gallery")


def _card(scene: Scene, shelf: Shelf, entry: Entry, place: int) -> str:
    name, likeness = entry.name, likeness_words(entry.likeness, scene)
    parts = [f"{scene.say(f'part.{part}')} {value:.2f}" for part in ON_CARD
             if (value := entry.score(part)) is not None]
    overall = entry.score(OVERALL)
    head = tag("strong", escape(f"{overall:.2f}" if overall is not None else "–")) + f" · {escape(likeness)}"
    more = button(PRESS, f"pa-rank-like-{entry.number}", scene.say("rank.more"),
                  scene.say("rank.more.of", name=name), like=str(entry.number))
    try:
        picture = f'<img src="{shelf.url(scene.studio.gallery.thumbnail(entry))}" alt="{escape(name)}" loading="lazy">'
    except (AvatarError, OSError):
        picture = tag("div", escape(scene.say("results.gone")), class_="pa-thumb pa-none")
    caption = tag("div", head, tag("div", escape(" · ".join(parts)), class_="pa-note"),
                  tag("div", escape(name), class_="pa-note"), more, class_="pa-caption")
    return tag("li", tag("span", str(place), class_="pa-place"), picture, caption, class_="pa-figure")


# -- taking along


def take(scene: Scene, count: int, named: str, move: bool) -> str:
    """Copy or move the best ones; says what was done. Raises `NotFound`, `BadInput`."""
    if not named.strip() or scene.ranking is None:
        raise Refusal(NotFound, "ranknotarget")
    chosen = entries(scene)[: max(0, count)]
    done = scene.studio.rankings.take(
        [entry.shown for entry in chosen], Path(named.strip().strip('"')).expanduser(), move,
        [entry.name for entry in chosen],
    )
    return box("good", scene.say("rank.taken", n=len(done), folder=named.strip()))


def table(scene: Scene) -> Path:
    """All pictures that are shown, with every score, as a file for download."""
    if scene.ranking is None:
        raise Refusal(NotFound, "nopictures")
    job_id, filters = scene.ranking.job.id, [f"{part}>={value:.6f}" for part, value in limits(scene).items()]
    target = scene.studio.jobs.folder(job_id) / ARTIFACTS_FOLDER / f"ranked-{job_id[:8]}.csv"
    target.write_text(scene.studio.rankings.table(job_id, order(scene), filters), encoding="utf-8-sig")
    return target
