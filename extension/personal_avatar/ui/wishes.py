"""What a user can ask of a job: to be next, to pause, to go on, to end. Panels "Train" and "Jobs" have the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personal_avatar.errors import AvatarError, BadInput
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio.works import TRAIN, can_pause
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page
from personal_avatar.ui.presses import Pressed, button, listen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene

NEXT, REST, GO_ON, KEEP, DROP = "next", "pause", "resume", "cancel", "discard"
PANEL = {"train": ("train.cancel", "train.discard"), "jobs": ("jobs.cancel", "jobs.discard")}
# Buttons that take each other's place share an id, so that the keyboard stays where it was.
PLACES = {NEXT: "next", REST: "rest", GO_ON: "rest", KEEP: "cancel", DROP: "discard"}


def build(page: Page, panel: str, message: Any) -> None:
    """Let the buttons of one panel work; failures are told in `message`."""
    listen(page, f"{panel}_wish", ask, [], message)


def buttons(view: JobView, scene: Scene, panel: str) -> list[str]:
    """HTML of what can be asked now."""
    return [_button(wish, view, scene, panel) for wish in possible(view, scene)]


def possible(view: JobView, scene: Scene) -> tuple[str, ...]:
    """In the order of the buttons; nothing of a job that is gone."""
    state, control = view.status.state, _control(view, scene)
    if control is None:
        return ()
    if state is State.FAILED:
        return (GO_ON,) if can_go_on(view, scene) else ()
    if state not in ACTIVE or control.asked(DISCARD):
        return ()
    drop = (DROP,) if view.job.kind == TRAIN and _has_begun(view) else ()
    if control.asked(CANCEL):
        return drop
    if state is State.PAUSED or control.asked(PAUSE):
        return (GO_ON, KEEP, *drop)
    sooner = (NEXT,) if view.position > 1 else ()
    return (*sooner, REST, KEEP, *drop) if can_pause(view.job) else (*sooner, KEEP, *drop)


def _has_begun(view: JobView) -> bool:
    """Whether there may be something to keep or to discard."""
    return view.status.state is State.RUNNING or bool(view.status.taken_at or view.status.started_at)


def can_go_on(view: JobView, scene: Scene) -> bool:
    """Whether a failed job can be taken up again."""
    return scene.studio.queue.can_go_on(view)


def kept_nothing(view: JobView, scene: Scene) -> bool:
    """Whether a training that was cancelled was to keep what was done, and had nothing to keep."""
    control = _control(view, scene)
    if control is None or view.job.kind != TRAIN or view.status.state is not State.CANCELLED:
        return False
    return not view.result and not control.asked(DISCARD)


def ending(view: JobView, scene: Scene) -> str:
    """The key of what a running job has been asked to do as soon as it can; "" for nothing."""
    control = _control(view, scene)
    if control is None or view.status.state is not State.RUNNING:
        return ""
    if control.asked(CANCEL):
        return "live.cancelling"
    return "live.pausing" if control.asked(PAUSE) else ""


def ask(scene: Scene, value: Pressed) -> list[Any]:
    """A second click finds that it was asked already, and changes nothing. Raises what the queue raises."""
    wish, job_id = value.get("do"), value.get("job")
    if wish not in PLACES or not isinstance(job_id, str):
        raise Refusal(BadInput, "oldpage")
    queue, view = scene.studio.queue, scene.studio.jobs.view(job_id)
    if _is_asked(wish, view, scene):
        return []
    if wish == NEXT:
        queue.prioritise(job_id)
    elif wish == REST:
        queue.pause(job_id)
    elif wish == GO_ON:
        queue.resume(job_id)
    else:
        queue.cancel(job_id, keep_checkpoint=wish == KEEP)
    return []


def _is_asked(wish: str, view: JobView, scene: Scene) -> bool:
    """Whether it has been asked for, or has come about."""
    state, control = view.status.state, Control(_folder(view, scene))
    if wish == NEXT:
        return state in (State.QUEUED, State.RUNNING) and view.position <= 1
    if wish == REST:
        return state is State.PAUSED or control.asked(PAUSE)
    if wish == GO_ON:
        return state in (State.QUEUED, State.RUNNING) and not control.asked(PAUSE)
    return state is State.CANCELLED or control.asked(CANCEL if wish == KEEP else DISCARD)


def _button(wish: str, view: JobView, scene: Scene, panel: str) -> str:
    keep = PANEL[panel][0] if _has_begun(view) else "jobs.cancel"
    keys = {NEXT: "jobs.next", REST: "jobs.pause", GO_ON: "jobs.resume", KEEP: keep, DROP: PANEL[panel][1]}
    words = scene.say(keys[wish])
    dom_id = f"pa-{panel}-{PLACES[wish]}-{view.job.id}"
    kind = "pa-once pa-main" if wish == GO_ON else "pa-once"
    return button(f"{panel}_wish", dom_id, words, f"{words}: {scene.title(view)}", kind, do=wish, job=view.job.id)


def row(view: JobView, scene: Scene, panel: str) -> str:
    """The buttons side by side; empty when nothing can be asked."""
    found = buttons(view, scene, panel)
    return tag("div", *found, class_="pa-buttons") if found else ""


def _folder(view: JobView, scene: Scene) -> Path:
    return scene.studio.jobs.folder(view.job.id)


def _control(view: JobView, scene: Scene) -> Control | None:
    """None when the job was deleted meanwhile."""
    try:
        return Control(_folder(view, scene))
    except AvatarError:
        return None
