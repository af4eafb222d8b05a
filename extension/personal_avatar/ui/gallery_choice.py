"""What the panel "Results" shows: of which runs, in which order, within which limits, on which page."""

from __future__ import annotations

from typing import Any

from personal_avatar.albums.entries import PARTS, RANK, SORTS, Entry, Wanted, arranged
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.store import JobView
from personal_avatar.ui.markup import clock
from personal_avatar.ui.people import avatars_by_label
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import LANGUAGES, text

PAGE = 24  # pictures on one page of the gallery
RUN, SORT, AT, PICKED = "run", "results_sort", "results_page", "results_picked"
NEWEST = "results.newest"
SEVERAL = (NEWEST, "results.favourites", "results.everything")
BEFORE_ID = " · "
NEWEST = "results.newest"
SEVERAL = (NEWEST, "results.favourites", "results.everything")
BEFORE_ID = " · "
ONLY = {"results_only_favourites": "results.only.favourites", "results_only_restored": "results.only.restored"}


def limit(part: str) -> str:
    """The name under which a filter's value is read."""
    return f"results_min_{part}"


def order_key(sort: str) -> str:
    """The key of the words for an order."""
    return "results.sort.rank" if sort == RANK else f"part.{sort}"


def order_named(words: Any) -> str:
    """The order that is called so in any language; by rank when nothing is."""
    named = {text(order_key(sort), language): sort for sort in SORTS for language in LANGUAGES}
    return named.get(words, RANK)


# -- which runs


def run_label(view: JobView, scene: Scene) -> str:
    """What the page calls a run. Number of pictures and title may change: `_run_called` finds it by its end alone."""
    count = len(_pictures(scene, view))
    return f"{scene.title(view)} · {count} · {clock(view.job.created_at)}{BEFORE_ID}{_short(view)}"


def _short(view: JobView) -> str:
    return view.job.id[:8]


def _run_called(scene: Scene, words: Any) -> JobView | None:
    """The run that was once called so; None when it is gone."""
    _, known, end = str(words or "").rpartition(BEFORE_ID)
    return next((view for view in scene.results if _short(view) == end), None) if known else None


def labels(scene: Scene) -> list[str]:
    """Everything that can be shown, by the names that the page gives it."""
    people = [scene.say("results.of", name=name) for name in _avatars_with_pictures(scene)]
    return [scene.say(key) for key in SEVERAL] + people + [run_label(view, scene) for view in scene.results]


def label_now(scene: Scene) -> str:
    """What the page now calls what was chosen, in whatever language; the newest run once that is gone."""
    wanted = scene.values.get(RUN)
    if (key := next((key for key in SEVERAL if _is_said(wanted, key)), None)) is not None:
        return scene.say(key)
    if (name := _person_called(scene, wanted)) is not None:
        return scene.say("results.of", name=name)
    view = _run_called(scene, wanted)
    return run_label(view, scene) if view else scene.say(NEWEST)


def _avatars_with_pictures(scene: Scene) -> dict[str, str]:
    """Ids by names."""
    painted = {view.job.avatar_id for view in scene.results}
    return {name: avatar.id for name, avatar in avatars_by_label(scene).items() if avatar.id in painted}


def shown_runs(scene: Scene) -> list[JobView]:
    """The runs whose pictures are wanted, newest first; none when the one that was chosen is gone."""
    wanted = scene.values.get(RUN)
    if _is_said(wanted, "results.everything") or shows_favourites(scene):
        return scene.results
    if not wanted or _is_said(wanted, NEWEST):
        return scene.results[:1]
    if (name := _person_called(scene, wanted)) is not None:
        avatar_id = _avatars_with_pictures(scene)[name]
        return [view for view in scene.results if view.job.avatar_id == avatar_id]
    view = _run_called(scene, wanted)
    return [view] if view else []


def _person_called(scene: Scene, words: Any) -> str | None:
    """The avatar's name of which all pictures are called so."""
    people = _avatars_with_pictures(scene)
    said = (name for name in people if words in {text("results.of", language, name=name) for language in LANGUAGES})
    return next(said, None)


def shows_favourites(scene: Scene) -> bool:
    return _is_said(scene.values.get(RUN), "results.favourites")


def chosen_run(scene: Scene) -> JobView | None:
    """The one run that is shown; None when pictures of several may be shown, or there is none."""
    several = shows_favourites(scene) or _is_said(scene.values.get(RUN), "results.everything")
    runs = shown_runs(scene)
    return runs[0] if len(runs) == 1 and not several else None


def _is_said(words: Any, key: str) -> bool:
    return words in {text(key, language) for language in LANGUAGES}


# -- which pictures


def all_entries(scene: Scene) -> list[Entry]:
    """Pictures of the runs that are shown, without any filter of the panel."""
    found = [entry for view in shown_runs(scene) for entry in _pictures(scene, view)]
    return [entry for entry in found if entry.favourite] if shows_favourites(scene) else found


def entries(scene: Scene) -> list[Entry]:
    """Those within the limits, in the wanted order."""
    return arranged(all_entries(scene), order_named(scene.values.get(SORT)), _wanted(scene))


def picked(scene: Scene) -> list[Entry]:
    """The chosen pictures of all runs, in the order in which they were chosen."""
    known = {entry.key: entry for view in scene.results for entry in _pictures(scene, view)}
    return [known[key] for key in keys_in(scene.values.get(PICKED)) if key in known]


def keys_in(words: Any) -> list[str]:
    return str(words or "").split()


def favourites(scene: Scene) -> list[Entry]:
    """Of all runs, newest first."""
    found = (entry for view in scene.results for entry in _pictures(scene, view))
    return arranged(entry for entry in found if entry.favourite)


def _wanted(scene: Scene) -> Wanted:
    limits = {part: float(scene.values.get(limit(part)) or 0.0) for part in PARTS}
    least = {part: value for part, value in limits.items() if value > 0}
    liked, restored = (bool(scene.values.get(name)) for name in ONLY)
    return Wanted(least, favourites=liked, restored=restored)


def _pictures(scene: Scene, view: JobView) -> tuple[Entry, ...]:
    """None of a run that was erased a moment ago."""
    try:
        return scene.studio.gallery.of(view.job.id)
    except AvatarError:
        return ()
