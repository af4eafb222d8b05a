"""The choice of method and goal, and settings that follow it without taking back what the user set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from personal_avatar.domain import Engine, Family, Goal, Method
from personal_avatar.environment import free
from personal_avatar.environment.free import Free
from personal_avatar.errors import WrongState
from personal_avatar.studio import Studio
from personal_avatar.studio.plans import taken_by
from personal_avatar.studio.trainings import Trainings
from personal_avatar.training.planning import plan as plans
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS, TrainPlan, plan_for
from personal_avatar.training.planning.presets import preset_for
from personal_avatar.ui import plan as plan_panel
from personal_avatar.ui.markup import duration
from personal_avatar.ui.page import same
from personal_avatar.ui.plan import GOAL
from personal_avatar.ui.texts import DEFAULT, LANGUAGES, text
from personal_avatar.wording import memory, size

from tests.unit.ui.test_ui_panels import laid_out
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
SETTINGS = sorted({name for kind in PLANS.values() for name in kind.__fields__} - {GOAL})


@pytest.fixture(autouse=True)
def nothing_kept(studio: Studio) -> None:
    """Whoever opens the page was never here before."""
    shutil.rmtree(studio.host.folders().data / "drafts", ignore_errors=True)


def shown(visitor: Visitor) -> set[str]:
    return {name for name in SETTINGS if visitor.prop(f"plan_{name}", "visible")}


@pytest.mark.parametrize("method", list(Method))
def test_a_method_shows_its_own_settings(visit: Visit, method: Method) -> None:
    visitor = visit(key="f1" * 16)
    visitor.enter(method=method.value)
    visitor.refresh()
    assert shown(visitor) == set(PLANS[method].__fields__) - {GOAL}
    assert "Time" in visitor.text("estimate")


def is_shown(visitor: Visitor, plan: TrainPlan) -> None:
    for name in shown(visitor):
        assert same(visitor.value(f"plan_{name}"), getattr(plan, name)), name


BASES = {
    "small": {"native_px": 192}, "sd1": {}, "sd2": {"family": Family.SD2, "native_px": 768},
    "sd2-epsilon": {"family": Family.SD2, "prediction": "epsilon"}, "sdxl": {"family": Family.SDXL, "native_px": 1024},
}


@pytest.mark.parametrize("kind", BASES)
def test_the_page_shows_the_settings_that_a_training_will_have(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    base = replace(studio.host.checkpoint(), native_px=512)
    base = replace(base, **BASES[kind])
    monkeypatch.setattr(studio.host, "checkpoint", lambda: base)
    visitor = visit(key="fa" * 16)
    for method in Method:
        for goal in [goal for goal in Goal if goal is not Goal.STYLE]:
            visitor.enter(method=method.value, goal=goal.value)
            visitor.refresh()
            assert shown(visitor) == set(PLANS[method].__fields__) - {GOAL}
            is_shown(visitor, plan_for(base, method, {GOAL: goal.value}))


@pytest.mark.parametrize("method", list(Method))
def test_the_rate_that_is_shown_follows_the_optimiser_as_the_training_does(
    visit: Visit, studio: Studio, method: Method
) -> None:
    visitor, base = visit(key="fb" * 16), studio.host.checkpoint()
    visitor.enter(method=method.value)
    visitor.refresh()
    usual = str(visitor.value("plan_optimiser"))
    for optimiser in (*OPTIMISERS, usual):
        visitor.enter(plan_optimiser=optimiser)
        visitor.refresh()
        if optimiser == "muon" and method not in (Method.LORA, Method.DREAMBOOTH_LORA):
            assert "muon is for LoRA" in visitor.text("estimate")
        else:
            is_shown(visitor, plan_for(base, method, {"optimiser": optimiser}))
    visitor = visit(key="fa" * 16)
    visitor.enter(method=method.value, plan_dora=True)
    visitor.refresh()
    is_shown(visitor, plan_for(base, method, {"dora": True} if hasattr(PLANS[method](), "dora") else {}))


def test_a_rate_in_a_message_is_the_one_that_is_shown(visit: Visit) -> None:
    visitor = visit(key="fc" * 16)
    visitor.enter(plan_optimiser="prodigy", plan_text_encoder_learning_rate=1e-5)
    visitor.refresh()
    assert visitor.value("plan_learning_rate") == 1.0
    rate, of_text = (f"“{text(key)}”" for key in ("plan.learning_rate", "plan.te_learning_rate"))
    assert f"Set {of_text} to 1, which is {rate} here" in visitor.text("estimate")


@pytest.mark.parametrize("settings", [
    {"plan_warmup_steps": 100, "plan_steps": 50}, {"plan_trigger_word": "person"}, {"plan_gpus": 2},
    {"plan_learning_rate": 99.0},
])
@pytest.mark.parametrize("language", LANGUAGES)
def test_where_a_training_would_not_start_its_estimate_says_so_and_no_time(
    visit: Visit, language: str, settings: dict[str, object]
) -> None:
    visitor = visit(key="fe" * 16, accept=language)
    times = visitor.text("compare_takes")
    visitor.enter(**settings)
    visitor.refresh()
    title = text("error.INVALID_SETTINGS.title", language)
    assert title in visitor.text("estimate") and text("estimate.time", language) not in visitor.text("estimate")
    assert times and times not in visitor.text("compare_takes")


def planned(visitor: Visitor, studio: Studio, name: str) -> dict[str, object]:
    """What a training by that name is started with."""
    visitor.click("start")
    (view,) = [view for view in studio.jobs.views() if view.job.title == name]
    with suppress(WrongState):  # it is quick
        studio.queue.cancel(view.job.id)
    return dict(view.job.payload["plan"])


@pytest.mark.slow
def test_a_rate_that_was_typed_is_sent_also_where_it_is_what_others_would_have(visit: Visit, studio: Studio) -> None:
    visitor = laid_out(visit, "fd" * 16, "Ilse")
    usual = preset_for(studio.host.checkpoint(), Method.LORA)["learning_rate"]
    assert visitor.value("plan_learning_rate") != usual
    visitor.enter(plan_learning_rate=usual)
    assert planned(visitor, studio, "Ilse") == {GOAL: Goal.FACE.value, "learning_rate": usual}


@pytest.mark.slow
@pytest.mark.parametrize(("language", "code"), [("Tiếng Việt", "vi"), ("English", "en")])
def test_reports_are_asked_for_in_the_language_of_the_page(
    visit: Visit, studio: Studio, language: str, code: str
) -> None:
    visitor = laid_out(visit, ("ea" if code == "vi" else "eb") * 16, f"Mai {code}")
    visitor.speak(language)
    planned(visitor, studio, f"Mai {code}")
    (view,) = [view for view in studio.jobs.views() if view.job.title == f"Mai {code}"]
    assert view.job.payload["language"] == code


@pytest.mark.slow
@pytest.mark.parametrize("as_it_stood", [False, True])
def test_what_was_typed_stays_and_is_sent_although_the_same_is_proposed(
    visit: Visit, studio: Studio, as_it_stood: bool
) -> None:
    name = "Jutta" if as_it_stood else "Karla"
    visitor = laid_out(visit, ("e1" if as_it_stood else "e2") * 16, name)
    usual = visitor.value("plan_optimiser")
    typed = visitor.value("plan_learning_rate") if as_it_stood else 1.0  # which is what prodigy takes
    visitor.put("plan_learning_rate", typed)
    for optimiser in ("prodigy", "adafactor", usual):
        visitor.put("plan_optimiser", optimiser)
        assert visitor.value("plan_learning_rate") == typed, optimiser
    for goal, method in ((Goal.FACE_BEST, Method.DREAMBOOTH), (Goal.FACE, Method.LORA)):
        visitor.enter(goal=goal.value, method=method.value)
        visitor.refresh()
    found = planned(visitor, studio, name)
    assert found == {GOAL: Goal.FACE.value, "optimiser": usual, "learning_rate": typed}


def test_the_browser_is_told_which_touches_were_heard(visit: Visit) -> None:
    visitor = visit(key="e5" * 16)
    usual = visitor.value("plan_steps")
    visitor.refresh()
    assert not visitor.value("heard"), "nothing was touched"
    visitor.enter(touched='personal_avatar_plan_steps:7 "><b>:8')
    visitor.refresh()
    heard = visitor.value("heard")
    assert 'data-pa-heard="personal_avatar_plan_steps:7 ' in heard and "<b>" not in heard
    visitor.enter(touched="", goal=Goal.FACE_QUICK.value)
    visitor.refresh()
    assert visitor.value("plan_steps") == usual


def test_a_number_that_was_only_passed_through_follows_the_goal(visit: Visit) -> None:
    visitor = visit(key="e4" * 16)
    usual = visitor.value("plan_steps")
    visitor.pass_through("plan_steps")
    visitor.enter(goal=Goal.FACE_QUICK.value)
    visitor.refresh()
    assert visitor.value("plan_steps") < usual


def test_what_was_only_proposed_follows_also_after_the_server_was_started_anew(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit(key="e3" * 16)
    assert visitor.value("plan_learning_rate") != 1.0
    monkeypatch.setattr(visitor, "_session", "another")  # what the server kept of this tab is gone
    visitor.refresh()
    visitor.put("plan_optimiser", "prodigy")
    assert visitor.value("plan_learning_rate") == 1.0


def test_the_estimate_is_of_the_settings_that_are_filled_in(visit: Visit) -> None:
    visitor = visit(key="f6" * 16)
    for method in (Method.DREAMBOOTH, Method.LORA, Method.TEXTUAL_INVERSION):
        visitor.enter(method=method.value)
        visitor.refresh()
        at_once = visitor.text("estimate")
        visitor.refresh()
        assert visitor.text("estimate") == at_once and "Steps" in at_once


def test_an_optimiser_that_cannot_run_here_is_told_before_the_start_in_the_users_language(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free, "surely_cardless", lambda: True)
    visitor = visit(key="f8" * 16, accept="vi")
    visitor.enter(plan_optimiser="adamw8bit")
    visitor.refresh()
    assert "adamw8bit cần card đồ họa NVIDIA" in visitor.text("estimate")


@pytest.mark.parametrize(("method", "settings", "told"), [
    (Method.LORA, {}, False), (Method.LORA, {"goal": Goal.FACE_QUICK.value}, True),
    (Method.LORA, {"plan_prior_weight": 0.0}, True), (Method.DREAMBOOTH_LORA, {"goal": Goal.FACE_QUICK.value}, False),
    (Method.TEXTUAL_INVERSION, {}, False),
])
def test_before_a_training_that_holds_nobody_the_page_says_what_that_means(
    visit: Visit, method: Method, settings: dict[str, object], told: bool
) -> None:
    visitor = visit(key="f7" * 16)
    visitor.enter(method=method.value, **settings)
    visitor.refresh()
    assert ("Nothing holds other people" in visitor.text("estimate")) == told


def test_each_method_and_goal_is_told_in_the_users_language(visit: Visit) -> None:
    for accept, word in (("en", "a small file"), ("vi", "tệp nhỏ"), ("zh", "文件小")):
        visitor = visit(key="f2" * 16, accept=accept)
        methods, goals = visitor.prop("method", "choices"), visitor.prop("goal", "choices")
        assert [code for _, code in methods] == [method.value for method in Method]
        assert [code for _, code in goals] == [goal.value for goal in Goal if goal is not Goal.STYLE]
        assert word in methods[0][0] and len({words for words, _ in goals}) == len(goals)


def test_a_goal_fills_the_form_and_what_the_user_set_stays(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def preset_for(base: object, method: Method, goal: Goal = Goal.FACE) -> dict[str, object]:
        return {"steps": 100, "batch_size": 1} if goal is Goal.FACE_QUICK else {"steps": 700, "batch_size": 4}

    monkeypatch.setattr(plans, "preset_for", preset_for)
    plan_panel._planned.cache_clear()
    visitor = visit(key="f3" * 16)
    visitor.enter(plan_batch_size=3, goal=Goal.FACE_QUICK.value)
    visitor.refresh()
    assert (visitor.value("plan_steps"), visitor.value("plan_batch_size")) == (100, 3)
    visitor.enter(method=Method.DREAMBOOTH.value)
    visitor.refresh()
    visitor.speak("中文")
    visitor.enter(goal=Goal.FACE.value)
    visitor.refresh()
    assert (visitor.value("plan_steps"), visitor.value("plan_batch_size")) == (700, 3)
    assert visitor.value("method") == Method.DREAMBOOTH.value
    plan_panel._planned.cache_clear()


def test_what_was_set_for_one_method_is_there_when_it_is_chosen_again(visit: Visit) -> None:
    visitor = visit(key="f4" * 16)
    visitor.enter(plan_rank=48)
    visitor.refresh()
    visitor.enter(method=Method.TEXTUAL_INVERSION.value)
    visitor.refresh()
    assert visitor.prop("plan_rank", "visible") is False and visitor.prop("plan_vectors", "visible") is True
    visitor.enter(method=Method.LORA.value)
    visitor.refresh()
    assert (visitor.prop("plan_rank", "visible"), visitor.value("plan_rank")) == (True, 48)


@pytest.mark.parametrize(("accept", "words"), [
    ("en", ("Resolution (px): 128", "Steps: 90")), ("vi", ("Số bước: 90",)), ("zh", ("步数: 90",)),
])
def test_below_the_button_stands_what_of_ones_own_settings_a_comparison_takes(
    visit: Visit, accept: str, words: tuple[str, ...]
) -> None:
    visitor = visit(key="f8" * 16, accept=accept)
    assert not any(one in visitor.text("compare_takes") for one in words)
    visitor.enter(goal=Goal.FACE_QUICK.value, method=Method.DREAMBOOTH.value)
    visitor.refresh()
    assert not any(one in visitor.text("compare_takes") for one in words)
    visitor.enter(plan_steps=90, plan_resolution_px=128)
    visitor.refresh()
    assert all(one in visitor.text("compare_takes") for one in words)


def test_what_a_comparison_needs_is_told_below_its_button_and_what_a_method_needs_by_its_name(
    visit: Visit, studio: Studio
) -> None:
    visitor = visit(key="f9" * 16)
    visitor.enter(goal=Goal.FACE_QUICK.value, method=Method.LORA.value)
    visitor.refresh()
    plan = {"goal": Goal.FACE_QUICK.value}
    each = [studio.estimate(10, method, plan) for method in Method]
    found = studio.sizing.of_comparison(10, plan)
    assert found["seconds"] == pytest.approx(sum(one["seconds"] for one in each))
    assert found["memory_gb"] == max(one["memory_gb"] for one in each)
    told = visitor.text("compare_takes")
    assert all(one in told for one in (
        duration(found["seconds"], "en"), memory(found["memory_gb"]), size(sum(one["file_mb"] for one in each))
    ))
    assert text("method.lora") in visitor.text("estimate") and duration(each[0]["seconds"], "en") != duration(
        found["seconds"], "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_comparison_needs_is_of_the_methods_that_find_room(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    plan = {"goal": Goal.FACE_QUICK.value, "batch_size": 24}
    monkeypatch.setattr(free, "measured", lambda ours=(), index=0: Free("ram", 1.6, 4.0))
    found = studio.sizing.of_comparison(10, plan)
    going = [method for method in Method if method not in found["left_out"]]
    assert Method.DREAMBOOTH in found["left_out"] and Method.LORA in going
    each = [studio.estimate(10, method, taken_by(method.value, plan)) for method in going]
    assert found["seconds"] == pytest.approx(sum(one["seconds"] for one in each))
    assert studio.sizing.of_comparison(10, plan, Engine.KOHYA)["left_out"] == []
    visitor = visit(key="f2" * 16, accept=language)
    visitor.enter(goal=Goal.FACE_QUICK.value, plan_batch_size=24)
    visitor.refresh()
    told = visitor.text("compare_takes")
    assert duration(found["seconds"], language) in told
    assert text("compare.no_room", language, method=text("method.dreambooth", language)) in told
    monkeypatch.setattr(free, "measured", lambda ours=(), index=0: Free("ram", 0.01, 4.0))
    visitor.refresh()
    told = visitor.text("compare_takes")
    assert text("compare.refused", language, why="") in told and "4.0 GB" in told
    assert ("needs about" in told) == (language == DEFAULT)


def test_where_settings_of_another_method_keep_a_comparison_from_starting_it_says_why(
    visit: Visit, studio: Studio
) -> None:
    visitor = visit(key="f1" * 16)
    visitor.enter(method=Method.DREAMBOOTH.value)
    visitor.refresh()
    longer, shorter = visitor.value("plan_steps"), plan_for(studio.host.checkpoint(), Method.LORA, {}).steps
    assert shorter < longer
    visitor.enter(plan_warmup_steps=shorter)
    visitor.refresh()
    words = "would be no longer than its warm-up"
    assert words not in visitor.text("estimate")
    assert visitor.text("compare_takes").startswith("Compare all methods would not start: The training " + words)
    visitor.enter(method=Method.LORA.value)
    visitor.refresh()
    assert words in visitor.text("estimate") and words not in visitor.text("compare_takes")


def folded(visitor: Visitor) -> dict[str, list[str]]:
    """Settings by the heading that they stand under, in the order of the page; "" for those in sight."""
    found: dict[str, list[str]] = {}
    for group, name in visitor.settings("plan"):
        found.setdefault(group, []).append(name)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_that_are_folded_away_stand_under_headings_in_the_users_language(visit: Visit, language: str) -> None:
    visitor = visit(key="e7" * 16, accept=language)
    found = folded(visitor)
    assert set(found.pop("")) == {"steps", "resolution_px", "rank", "vectors", "init_word"}
    groups = ("pace", "learned", "photos", "others", "judged", "noise", "means")
    assert list(found) == [text(f"plan.group.{group}", language) for group in groups]
    together = list(found.values())
    assert {"batch_size", "learning_rate"} <= set(together[0]) and {"alpha", "text_encoder_learning_rate"} <= set(
        together[1])
    assert all("prior" in name or name == "class_pictures" for name in together[3])
    assert max(map(len, together)) <= 9
    for method in Method:
        visitor.enter(method=method.value)
        visitor.refresh()
        assert all(shown(visitor) & set(names) for names in together), "no heading stands over nothing"


@pytest.mark.parametrize("kind", PLANS.values())
def test_each_setting_of_a_training_that_is_folded_away_has_a_heading(kind: type[TrainPlan]) -> None:
    for name, field in kind.__fields__.items():
        extra = field.field_info.extra
        assert bool(extra["advanced"]) == bool(extra["group"]), name
        assert extra["group"] in ("", PLANS[Method.LORA].__fields__.get(name, field).field_info.extra["group"]), name


def test_the_engine_is_asked_for_where_there_is_a_choice(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visit(key="f5" * 16).prop("engine", "visible") is False
    monkeypatch.setattr(Trainings, "engines", lambda self: tuple(Engine))
    visitor = visit(key="f5" * 16)
    assert visitor.prop("engine", "visible") is True
    assert [code for _, code in visitor.prop("engine", "choices")] == ["diffusers", "kohya"]
