"""Panel "Train": what will be trained on what, how long it takes, and the start; how it goes is in training.py."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.domain import ONE_PHOTO, Method
from personal_avatar.errors import AvatarError, ConsentMissing, NoCheckpoint, TooFewPhotos, WrongState
from personal_avatar.jobs.store import Job
from personal_avatar.problems import BETWEEN
from personal_avatar.studio import TrainRequest
from personal_avatar.studio.plans import WAYS, shared_out, taken_by
from personal_avatar.studio.requests import PAGE
from personal_avatar.ui import alone, begun, training
from personal_avatar.ui.about import About
from personal_avatar.ui.comparison import left_out_html
from personal_avatar.ui.labels import problem
from personal_avatar.ui.markup import box, duration, error_box, facts, tag, title_of, words_of
from personal_avatar.ui.offer import Offers, changes_in_words
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.plan import GOAL, Chosen, PlanForm, Seen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.wording import memory, method_name, size

USUAL_PHOTOS = 10


def build(page: Page, tabs: gr.Tabs, about: About) -> None:
    """The panel, inside the current tab. `about`: the widgets of the photos' panel for name, noun and consent."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            _inputs(page, about)
        with gr.Column(scale=3, min_width=300):
            training.build(page, tabs)


def _inputs(page: Page, about: About) -> None:
    page.show(gr.HTML(elem_id=elem_id("train_what")), lambda scene: {"value": _what(scene)})
    tiny = page.say(gr.Button(text("train.tiny"), visible=False, elem_id=elem_id("tiny")), value="train.tiny")
    page.show(tiny, lambda scene: {"visible": isinstance(scene.checkpoint, NoCheckpoint)})
    form = PlanForm(page)
    estimate = gr.HTML(elem_id=elem_id("estimate"))
    page.show(estimate, lambda scene: {"value": _estimate(scene, form.chosen(scene))})
    with gr.Row():
        start = gr.Button(text("train.start"), variant="primary", elem_id=elem_id("start"))
        compare = gr.Button(text("train.compare"), elem_id=elem_id("compare"))
    untrained = alone.build(page, form.for_all)
    takes = gr.HTML(elem_id=elem_id("compare_takes"))
    page.show(takes, lambda scene: {"value": _of_all(scene, form.for_all(scene)) + _takes(scene, form.for_all(scene))})
    page.say(start, value="train.start")
    page.say(compare, value="train.compare")
    message = page.passing(gr.HTML(elem_id=elem_id("train_message")))
    form.connect(message)
    job = begun.build(page)
    offers, values = Offers(page, form, job), [page.seen, *about.inputs, *form.components]

    def train(scene: Scene, seen: Seen, *raw: Any, anyway: bool = False) -> str:
        request = _request(scene, form.chosen(scene, about.noted(scene, raw), seen))
        request = replace(request, even_if_too_large=anyway)
        return begun.noted(lambda: scene.studio.trainings.start(request))

    def begin(scene: Scene, *raw: Any) -> list[Any]:
        return offers.tried(scene, lambda: train(scene, *raw))

    def begin_all(scene: Scene, with_photos: bool, seen: Seen, *raw: Any) -> list[Any]:
        request = _request(scene, form.for_all(scene, about.noted(scene, raw), seen))
        left_out: dict[str, AvatarError] = {}

        def compare() -> Job:
            started = scene.studio.comparing.start(request, [way for way in WAYS if with_photos or way != ONE_PHOTO])
            left_out.update(started.left_out)
            return started.jobs[0]

        note = begun.noted(compare)
        return [left_out_html(left_out, scene), note]

    page.on(start.click, begin, values, [offers.place, job], message)
    page.on(compare.click, begin_all, [untrained, *values], [offers.place, job], message)
    offers.connect(train, values, message)
    page.on(tiny.click, _install, [], [], message)


def _of_all(scene: Scene, chosen: Chosen) -> str:
    """What a comparison will need, or why it would not start; empty where the box above says why."""
    if isinstance(scene.checkpoint, AvatarError):
        return ""
    try:
        _differences(scene, replace(chosen, plan=taken_by(chosen.method.value, chosen.plan)))
        shares = shared_out(chosen.plan, [method.value for method in Method], scene.checkpoint)  # see `_takes`
    except AvatarError:
        return ""
    try:
        for way, share in shares.items():
            _differences(scene, replace(chosen, method=Method(way), plan=share.plan))
        found = scene.studio.sizing.of_comparison(_photos(scene), chosen.plan, chosen.engine)
    except AvatarError as error:
        return _why_not(error, scene)
    time = duration(found["seconds"], scene.language)
    said = [scene.say("compare.estimate", time=time, memory=memory(found["memory_gb"]), size=size(found["file_mb"]))]
    said += [scene.say("compare.no_room", method=method_name(method, scene.language)) for method in found["left_out"]]
    why = alone.why_not_html(scene, chosen)
    said += [] if why else [scene.say("compare.besides")]
    return tag("p", escape(" ".join(said)), class_="pa-note") + why


def _why_not(error: AvatarError, scene: Scene) -> str:
    """Why a comparison would not start; in English where the page does not know it."""
    said, _, english = words_of(error, scene.language)
    why = scene.say("compare.refused", why=said or title_of(error, scene.language))
    return tag("p", escape(why), class_="pa-note") + (tag("p", escape(english), lang="en") if english else "")


def _differences(scene: Scene, chosen: Chosen) -> list[str]:
    """See `Trainings.differences`: raises what the start would."""
    return scene.studio.trainings.differences(chosen.engine, chosen.method, chosen.plan, scene.draft.class_noun)


def _photos(scene: Scene) -> int:
    """How many a training is reckoned with; before there are any, as many as are usual."""
    return len(scene.draft.accepted) or USUAL_PHOTOS


def _takes(scene: Scene, chosen: Chosen) -> str:
    """What of the user's own settings goes into a comparison; empty without any."""
    own = {name: value for name, value in chosen.plan.items() if name != GOAL}
    if not own or isinstance(scene.checkpoint, AvatarError):
        return ""
    told = [scene.say("compare.takes", settings=changes_in_words(own, scene))]
    try:
        shares = shared_out(chosen.plan, [method.value for method in Method], scene.checkpoint)
    except AvatarError as error:
        return error_box(error, scene.language)
    told += [
        scene.say("compare.leaves", method=method_name(way, scene.language), settings=changes_in_words(one.left, scene))
        for way, one in shares.items() if one.left
    ]
    return "".join(tag("p", escape(said), class_="pa-note") for said in told)


def _request(scene: Scene, chosen: Chosen) -> TrainRequest:
    """Raises what the page itself refuses."""
    draft = scene.desk.draft(scene.key)
    if scene.checking is not None:
        raise Refusal(WrongState, "checking")
    if not draft.accepted:
        raise Refusal(TooFewPhotos, "nochecked")
    if not draft.consent and not scene.studio.invention.statement(draft.accepted):
        raise Refusal(ConsentMissing, "noconsent", said="failure.no_consent")
    return TrainRequest(
        name=draft.name,
        photos=draft.accepted,
        class_noun=draft.class_noun,
        method=chosen.method,
        engine=chosen.engine,
        plan=chosen.plan,
        photo_settings=draft.settings,
        choices=draft.choices,
        consent=scene.say("photos.consent"),
        door=PAGE,
        language=scene.language,
    )


def _install(scene: Scene) -> list[Any]:
    scene.studio.install_tiny()
    return []


def _what(scene: Scene) -> str:
    """Who is trained on what; what is missing for it."""
    base = scene.checkpoint
    if isinstance(base, AvatarError):
        return _who(scene) + error_box(base, scene.language)
    return _who(scene) + facts([(scene.say("train.checkpoint"), base.title)])


def _who(scene: Scene) -> str:
    draft = scene.draft
    if draft.report is None:
        return box("info", scene.say("train.nophotos"), scene.say("train.nophotos.info"))
    counted = scene.say("photos.summary", accepted=len(draft.accepted), total=len(draft.photos))
    person = f"{draft.name or '–'} ({draft.class_noun})"
    told = facts([(scene.say("train.who"), person), (scene.say("tab.photos"), counted)])
    other = scene.studio.avatars.nearly(draft.name, TrainRequest.user_id)
    said = scene.say("train.nearly", other=other, name=draft.name) if other else ""
    return told + (tag("p", escape(said), class_="pa-note") if said else "")


def _estimate(scene: Scene, chosen: Chosen) -> str:
    """Of the chosen method: time, memory and size; empty without a checkpoint, and where it would not start what keeps
    it from that."""
    if isinstance(scene.checkpoint, AvatarError):
        return ""
    try:
        different = _differences(scene, chosen)
        found = scene.studio.estimate(_photos(scene), chosen.method, chosen.plan)
    except AvatarError as error:
        return error_box(error, scene.language)
    pairs = [
        (scene.say("train.method"), method_name(chosen.method, scene.language)),
        (scene.say("estimate.time"), duration(found.get("seconds"), scene.language)),
    ]
    for name, said in (("memory_gb", memory), ("file_mb", size)):
        if found.get(name):
            pairs.append((scene.say(f"estimate.{name}"), said(found[name])))
    if found.get("steps"):
        pairs.append((scene.say("plan.steps"), str(found["steps"])))
    told = "" if found["measured"] else tag("p", scene.say("estimate.guess"))
    told += "" if found["holds_others"] else tag("p", scene.say("estimate.others"))
    told += tag("p", scene.say("estimate.compile")) if found["compiles"] else ""
    return facts(pairs) + told + (_otherwise(different, scene) if different else "")


def _otherwise(different: list[str], scene: Scene) -> str:
    """What the engine does otherwise; in English where the page does not know it."""
    said = [problem(one, scene.language) for one in different]
    title = scene.say("train.otherwise")
    return box("info", title, BETWEEN.join(said)) if all(said) else box("info", title, english=BETWEEN.join(different))
