"""How a job that goes on is told: a sentence, a badge, a bar."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import ONE_PHOTO
from personal_avatar.errors import Killed
from personal_avatar.jobs.job import HALTED, SILENT
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio.works import TRAIN
from personal_avatar.ui.markup import badge, duration, progress_bar, stored_error_box, tag
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import has
from personal_avatar.ui.wishes import can_go_on, ending, kept_nothing
from personal_avatar.wording import share

KINDS = {
    State.QUEUED: "wait",
    State.RUNNING: "busy",
    State.PAUSED: "rest",
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.CANCELLED: "warn",
}
UNITS = {TRAIN: "live.steps", ONE_PHOTO: "live.steps", CAPTION: "live.photos"}  # other kinds of jobs make pictures
STANDS = {SILENT: "live.silent", HALTED: "live.halted"}


def state_badge(view: JobView, scene: Scene) -> str:
    if view.stalled:
        return badge("warn", scene.say("state.stalled"))
    return badge(KINDS[view.status.state], scene.say(f"state.{view.status.state.value}"))


def stage_name(view: JobView, scene: Scene) -> str:
    """The stage in words; a stage that the table does not know as the job calls it."""
    stage = view.within or view.stage
    key = f"stage.{'parked' if view.parked else stage or 'start'}"
    return scene.say(key) if has(key) else stage


def headline(view: JobView, scene: Scene) -> str:
    """One sentence: where the job stands, how far, how long."""
    state = view.status.state
    if state is State.QUEUED:
        return " · ".join(_waiting(view, scene))
    if state not in (State.RUNNING, State.PAUSED):
        return scene.say(f"state.{state.value}")
    words = [stage_name(view, scene) if state is State.RUNNING else scene.say("state.paused")]
    if _counts(view):
        words.append(scene.say(UNITS.get(view.job.kind, "live.pictures"), n=view.step, total=view.total_steps))
    if asked := ending(view, scene):
        words.append(scene.say(asked))
    if view.stalled:
        words.append(standstill(view, scene))
    elif not asked and view.eta_s and state is State.RUNNING:
        words.append(scene.say("live.eta", time=duration(view.eta_s, scene.language)))
    return " · ".join(words)


def _counts(view: JobView) -> bool:
    """Whether its stage is one that has steps; of others nobody knows how far they are."""
    return view.total_steps > 0 and not view.past_loop


def standstill(view: JobView, scene: Scene) -> str:
    """Why a running job makes no steps, and what to do."""
    return scene.say(STANDS[view.stalled], time=duration(view.silent_s, scene.language))


def _waiting(view: JobView, scene: Scene) -> Iterator[str]:
    """The place in the queue, and when its turn and its end are expected, as far as that is known."""
    yield scene.say("live.queued", position=view.position) if view.position else scene.say("state.queued")
    if view.starts_in_s:
        yield scene.say("live.starts", time=duration(view.starts_in_s, scene.language))
    if view.eta_s:
        yield scene.say("live.ends", time=duration(view.eta_s, scene.language))


def announcement(view: JobView, scene: Scene) -> str:
    """What a screen reader is told: changes with the stage and every tenth of the way, not with every step."""
    if view.status.state is not State.RUNNING:
        return f"{scene.title(view)}: {scene.say('state.' + view.status.state.value)}"
    tenth = int(view.progress * 10) / 10
    stands = f", {scene.say('state.stalled')}" if view.stalled else ""
    far = f", {share(tenth)}" if _counts(view) else ""
    return f"{scene.title(view)}: {stage_name(view, scene)}{far}{stands}"


def progress_html(view: JobView, scene: Scene) -> str:
    """Badge, sentence and bar of a job; the named error of one that failed."""
    head = tag("div", state_badge(view, scene), tag("strong", escape(scene.title(view))), class_="pa-head")
    if view.status.state not in ACTIVE:
        return head + failure_html(view, scene)
    return head + tag("p", escape(headline(view, scene)), class_="pa-sentence") + bar(view, scene)


def bar(view: JobView, scene: Scene) -> str:
    """How far a job is; empty for one that rests before it knows: a bar of unknown length moves."""
    known = _counts(view)
    if view.status.state is State.PAUSED and not known:
        return ""
    return progress_bar(view.progress, headline(view, scene), known=known)


def failure_html(view: JobView, scene: Scene) -> str:
    """The named error of a job that failed, and whether it can go on from where it was; that nothing was kept of one
    that was cancelled; empty for any other."""
    if not view.status.error:
        return ""
    if kept_nothing(view, scene):
        return stored_error_box(view.status.error, scene.language, scene.say("jobs.keptnothing"))
    if not can_go_on(view, scene):
        return stored_error_box(view.status.error, scene.language)
    advice = scene.say("jobs.finishes" if view.done else "jobs.cangoon")
    if view.status.error.get("code") == Killed.code:  # its own advice is to start the job again
        return stored_error_box(view.status.error, scene.language, advice)
    return stored_error_box(view.status.error, scene.language) + tag("p", escape(advice), class_="pa-note")


def status_html(scene: Scene) -> str:
    """The strip above the panels, with what our script needs: whether to look again soon, and what to read out."""
    lines = "".join(tag("li", escape(f"{scene.title(view)}: {headline(view, scene)}")) for view in scene.foremost[:4])
    spoken = ". ".join(announcement(view, scene) for view in (scene.foremost or scene.views)[:1])
    return tag(
        "div",
        tag("ul", lines) if lines else "",
        class_="pa-strip",
        data_pa_busy="1" if scene.busy else "0",
        data_pa_say=spoken,
    )
