"""What stands beside the photos' inputs: how the check stands, what the set covers, and what would make it better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

from personal_avatar.domain import Coverage
from personal_avatar.ui.judging import judging
from personal_avatar.ui.markup import box, progress_bar, stored_error_box, tag
from personal_avatar.ui.photo_files import MOST_MB
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.working import CHECK, JUDGE

# Where each angle stands in the picture of them: (row, column), as somebody would see the head turn.
PLACES = {
    "up": (1, 3), "profile_left": (2, 1), "left": (2, 2), "front": (2, 3), "right": (2, 4), "profile_right": (2, 5),
    "down": (3, 3),
}  # fmt: skip
ANGLES = "angles"
GROUPS = (ANGLES, "distances", "light", "expressions")
COUNTED = ("scenes", "clothes")


def summary_html(scene: Scene) -> str:
    """Nothing yet, a check that goes on, a check that failed, or what came of it."""
    draft, checking = scene.draft, scene.checking
    if checking is not None:
        words = scene.say("photos.checking", done=checking.done, total=checking.total)
        return tag("div", tag("p", escape(words)), progress_bar(checking.done / max(1, checking.total), words))
    error = scene.desk.work.error(scene.key, CHECK) or scene.desk.work.error(scene.key, JUDGE)
    told = stored_error_box(error, scene.language) if error else ""
    if draft.report is None:
        return told or (_laid_out(scene) if draft.photos else _advice_before(scene))
    return told + _judged(scene)


def _judged(scene: Scene) -> str:
    draft = scene.draft
    accepted, total = len(draft.accepted), len(draft.photos)
    words = scene.say("photos.summary", accepted=accepted, total=total)
    if judging(scene.desk, scene.key) is not None:
        words += f" · {scene.say('photos.judging')}"
    lines = "".join(tag("li", escape(line)) for line in _advice(scene))
    return tag(
        "div",
        box("good" if accepted else "bad", words),
        _left_out(scene),
        tag("ul", lines, class_="pa-advice") if lines else "",
        data_pa_spoken=words,
    )


def _laid_out(scene: Scene) -> str:
    return box("info", scene.say("photos.laidout", n=len(scene.draft.photos)), scene.say("photos.laidout.info"))


def _left_out(scene: Scene) -> str:
    names = scene.draft.left_out
    return box("warn", scene.say("photos.leftout", most=MOST_MB), ", ".join(names)) if names else ""


def _advice_before(scene: Scene) -> str:
    lines = [scene.say(f"photos.tip.{number}") for number in (1, 2, 3, 4)]
    items = "".join(tag("li", escape(line)) for line in lines)
    return tag("div", tag("h3", escape(scene.say("photos.tips"))), tag("ul", items), class_="pa-empty")


def _advice(scene: Scene) -> list[str]:
    """What would make the set better, in the user's language."""
    report = scene.draft.report
    if report is None:
        return []
    counts = Counter(reason.value for verdict in report.photos for reason in verdict.reasons)
    reasons = scene.say("list.between").join(
        f"{count} × {scene.say(f'reason.{code}').rstrip('.。')}" for code, count in counts.most_common()
    )
    return [scene.say(f"advice.{one.code}", **{**one.values, "reasons": reasons}) for one in report.advice]


def lacking_html(scene: Scene) -> str:
    """What a training with the accepted photos would be refused for; empty until there are some."""
    draft = scene.draft
    if not draft.accepted or scene.checking is not None:
        return ""
    lacking = [] if draft.name else ["name"]
    if not draft.consent and not scene.studio.invention.statement(draft.accepted):
        lacking.append("consent")
    what = scene.say("list.between").join(scene.say(f"photos.lacking.{one}") for one in lacking)
    return box("info", scene.say("photos.lacking", what=what)) if lacking else ""


# -- coverage


def coverage_html(scene: Scene) -> str:
    """A folded picture of what the accepted photos show; what is missing is said in words, too."""
    found = scene.draft.report.coverage if scene.draft.report else None
    if found is None or not found.photos:
        return ""
    groups = [_group(name, getattr(found, name), scene) for name in GROUPS]
    title = tag("summary", escape(scene.say("cover.title", n=found.photos)))
    return tag(
        "details", title, tag("div", *groups, _numbers(found, scene), class_="pa-coverage"), id="pa-coverage", open=True
    )


def _group(name: str, counts: Mapping[str, int], scene: Scene) -> str:
    if not counts:
        return ""
    heading = scene.say(f"cover.{name}")
    most = max(1, *counts.values())
    chips = [_chip(word, count, most, scene) for word, count in counts.items()]
    kind = "pa-chips pa-compass" if name == ANGLES else "pa-chips"
    return tag("div", tag("h3", escape(heading)), tag("ul", *chips, class_=kind, aria_label=heading))


def _chip(word: str, count: int, most: int, scene: Scene) -> str:
    """The fuller its colour, the more photos; none is a dashed frame."""
    row, column = PLACES.get(word, (0, 0))
    place = f"grid-row:{row};grid-column:{column};" if row else ""
    return tag(
        "li", tag("span", escape(scene.say(f"cover.{word}"))), " ", tag("strong", str(count)),
        class_="pa-chip" if count else "pa-chip pa-lacking", style=f"{place}--pa-share:{count / most:.2f}",
    )  # fmt: skip


def _numbers(found: Coverage, scene: Scene) -> str:
    told = [(name, getattr(found, name)) for name in COUNTED]
    rows = [
        tag("li", tag("span", escape(scene.say(f"cover.{name}"))), " ", tag("strong", str(count)), class_="pa-chip")
        for name, count in told
        if count is not None
    ]
    heading = tag("h3", escape(scene.say("cover.variety")))
    return tag("div", heading, tag("ul", *rows, class_="pa-chips")) if rows else ""
