"""How jobs on the same photos ended: the results that are compared, and the failures that stand among them."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import ONE_PHOTO
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore, JobView
from personal_avatar.studio.works import COMPARED
from personal_avatar.wording import DEFAULT, LANGUAGES

if TYPE_CHECKING:
    from personal_avatar.reports.comparison import Row


def compared(views: Iterable[JobView]) -> list[Row]:
    """What each method made of the photos and the checkpoint of the newest job of an avatar that ended, best first.

    A method that failed on them last has a row that says so, whatever it made of them earlier.
    """
    from personal_avatar.reports.comparison import comparable, place_of

    ended = newest_first(view for view in views if _made(view) or _failed(view))
    alike = [view for view in ended if _asked(view) == _asked(ended[0])]
    anchor = next((view.result for view in alike if _made(view)), None) or {}
    failures = {view.job.id: {**place_of(anchor), **_failure(view)} for view in alike if _failed(view)}
    found = (view.result if _made(view) else failures.get(view.job.id) for view in ended)
    return comparable([result for result in found if result])


def beside(view: JobView, views: Iterable[JobView]) -> list[Row]:
    """What each method made of the photos and the checkpoint of that one job, as `compared`: what the other jobs of its
    avatar were given others for is left out, however new it is. Empty before the job has ended."""
    from personal_avatar.reports.comparison import place_of

    def stands(other: JobView) -> bool:
        if not (_made(view) and _made(other)):
            return _asked(other) == _asked(view)
        return _asked(other) == _asked(view) and place_of(other.result or {}) == place_of(view.result or {})

    if not (_made(view) or _failed(view)):
        return []
    return compared(other for other in views if other.job.avatar_id == view.job.avatar_id and stands(other))


def views_of(jobs: JobStore, avatar_id: str, states: Collection[State] | None = None) -> Iterator[JobView]:
    """Trainings of an avatar, and what is measured beside them."""
    return (view for kind in COMPARED for view in jobs.views(states=states, kind=kind, avatar_id=avatar_id))


def language_of(views: Iterable[JobView]) -> str:
    """That in which the newest of some jobs was asked for."""
    newest = next(iter(newest_first(views)), None)
    asked = _training(newest).get("language") if newest else DEFAULT
    return str(asked) if asked in LANGUAGES else DEFAULT


def newest_first(views: Iterable[JobView]) -> list[JobView]:
    """Jobs of several kinds in the order of the lists."""
    return sorted(views, key=lambda view: view.job.created_at, reverse=True)


def _made(view: JobView) -> bool:
    """Also where it was cancelled and what was done until then was kept."""
    return view.status.state in (State.SUCCEEDED, State.CANCELLED) and bool(view.result)


def _failed(view: JobView) -> bool:
    return view.status.state is State.FAILED and bool(view.status.error)


def _training(view: JobView) -> dict[str, Any]:
    """What was asked for; of photos alone it is what a training of them would have been."""
    payload = view.job.payload
    return dict(payload.get("training", {}) if view.job.kind == ONE_PHOTO else payload)


def _asked(view: JobView) -> tuple[Any, Any]:
    """Photos, which are named by what they hold, and the checkpoint's name."""
    training = _training(view)
    return training.get("photos"), (training.get("base") or {}).get("title")


def _failure(view: JobView) -> dict[str, Any]:
    training = _training(view)
    method = ONE_PHOTO if view.job.kind == ONE_PHOTO else training.get("method", "")
    return {"method": method, "engine": training.get("engine", ""), "error": view.status.error}
