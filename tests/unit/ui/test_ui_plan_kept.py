"""How to train, kept with the draft: what the user chose is there when the page is opened anew, and goes with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from personal_avatar.domain import Goal, Method
from personal_avatar.errors import NoCheckpoint
from personal_avatar.standalone.app import build_app
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio
from personal_avatar.training.planning.plan import plan_for
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.plan_kept import allowed

from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]


def put(visitor: Visitor, name: str, value: Any) -> None:
    """Enter a value, or choose, be it the one that stood there; the page looks, as it does after each change."""
    visitor.enter(**{name: value}, touched=f"personal_avatar_{name}:1")
    visitor.refresh()
    visitor.enter(touched="")


def kept(studio: Studio, key: str) -> dict[str, Any]:
    found = json.loads((studio.host.folders().data / "drafts" / key / "draft.json").read_text())
    return dict(found["plan"])


def stored(studio: Studio, key: str, **plan: Any) -> None:
    """What some version left on disk."""
    write_json(studio.host.folders().data / "drafts" / key / "draft.json", {"name": "Linh", "plan": plan})


def test_method_goal_and_what_the_user_set_are_there_when_the_page_is_opened_anew(visit: Visit, studio: Studio) -> None:
    key = "a1" * 16
    visitor = visit(key=key)
    put(visitor, "plan_steps", 650)
    put(visitor, "plan_flip", True)
    visitor.enter(method=Method.DREAMBOOTH_LORA.value, goal=Goal.FACE_BEST.value)
    visitor.refresh()
    as_left = {name: visitor.value(f"plan_{name}") for name in ("steps", "flip", "rank", "learning_rate", "save_count")}
    chosen = {"method": "dreambooth-lora", "goal": "face-best", "steps": 650, "flip": True}
    assert kept(studio, key) == chosen, "what follows from the goal is not the user's"
    with TestClient(build_app(studio)) as another_server:
        for again in (visit(key=key), Visitor(another_server, key=key)):
            assert (again.value("method"), again.value("goal")) == ("dreambooth-lora", "face-best")
            assert {name: again.value(f"plan_{name}") for name in as_left} == as_left
            again.refresh()
            assert "Steps 650" in again.text("estimate")
            assert "Steps: 650" in again.text("compare_takes") and "Rank" not in again.text("compare_takes")
    assert kept(studio, key) == chosen


def test_what_came_back_goes_before_another_goals_and_the_rest_follows_it(visit: Visit, studio: Studio) -> None:
    key = "a2" * 16
    first = visit(key=key)
    put(first, "plan_steps", first.value("plan_steps"))  # as it stood: it is the user's nevertheless
    usual = first.value("plan_steps")
    again = visit(key=key)
    again.enter(goal=Goal.FACE_QUICK.value)
    again.refresh()
    quick = plan_for(studio.host.checkpoint(), Method.LORA, {"goal": Goal.FACE_QUICK.value, "steps": usual})
    assert quick.steps == again.value("plan_steps") == usual
    assert again.value("plan_rank") == quick.dict()["rank"] and again.value("plan_save_count") == quick.save_count


def test_a_field_that_was_emptied_or_holds_what_cannot_be_is_not_kept(visit: Visit, studio: Studio) -> None:
    key = "a3" * 16
    visitor = visit(key=key)
    usual = visitor.value("plan_learning_rate")
    put(visitor, "plan_learning_rate", 0.02)
    assert kept(studio, key) == {"learning_rate": 0.02}
    for value in (99.0, None):
        put(visitor, "plan_learning_rate", value)
        visitor.refresh()
        assert visitor.value("plan_learning_rate") == value and kept(studio, key) == {}
    assert visit(key=key).value("plan_learning_rate") == usual


@pytest.mark.parametrize("stranger", [
    {"colour": "blue"}, {"batch_size": 999}, {"batch_size": [2]}, {"optimiser": "newton"}, {"method": "telepathy"},
    {"goal": "fame"}, {"engine": 7},
])
def test_what_this_version_does_not_know_is_passed_over_and_the_rest_stays(
    visit: Visit, studio: Studio, stranger: dict[str, Any]
) -> None:
    key = "a4" * 16
    desk = Desk(studio, ask_folder=False)
    desk.clear(key)
    stored(studio, key, steps=90, save_count=2, **stranger)
    assert desk.draft(key).plan == {"steps": 90, "save_count": 2}
    with TestClient(build_app(studio)) as server:
        visitor = Visitor(server, key=key)
    assert (visitor.value("name"), visitor.value("plan_steps"), visitor.value("plan_save_count")) == ("Linh", 90, 2)
    assert (visitor.value("method"), visitor.value("goal")) == ("lora", "face")


def test_settings_that_do_not_go_with_the_rest_any_more_are_passed_over(visit: Visit, studio: Studio) -> None:
    key = "a5" * 16
    stored(studio, key, method="dreambooth", steps=90, warmup_steps=100, optimiser="muon", batch_size=3, rank=24)
    visitor = visit(key=key)
    assert kept(studio, key) == {"method": "dreambooth", "steps": 90, "batch_size": 3, "rank": 24}
    assert (visitor.value("plan_steps"), visitor.value("plan_batch_size")) == (90, 3)
    assert visitor.value("plan_warmup_steps") < 90 and visitor.value("plan_optimiser") != "muon"
    assert "Steps 90" in visitor.text("estimate")


def test_a_word_that_means_somebody_else_is_passed_over(visit: Visit, studio: Studio) -> None:
    key = "a6" * 16
    stored(studio, key, trigger_word="woman", steps=90)
    visitor = visit(key=key)
    assert kept(studio, key) == {"steps": 90} and "Steps 90" in visitor.text("estimate")


def test_where_the_settings_are_not_what_keeps_it_from_starting_all_stay() -> None:
    settings = {"steps": 90, "rank": 8}

    def refuse(some: dict[str, Any]) -> None:
        raise NoCheckpoint(f"None is loaded for {some}.")

    assert allowed(settings, refuse) == settings


def test_a_draft_of_an_earlier_version_opens_with_the_usual_plan(visit: Visit, studio: Studio) -> None:
    key = "a7" * 16
    usual = visit(key="a0" * 16).value("plan_steps")
    write_json(studio.host.folders().data / "drafts" / key / "draft.json", {"name": "Linh"})
    visitor = visit(key=key)
    assert (visitor.value("name"), visitor.value("plan_steps")) == ("Linh", usual)


def test_the_plan_goes_with_the_draft_in_every_tab(visit: Visit) -> None:
    key = "a8" * 16
    first, second = visit(key=key), visit(key=key)
    usual = first.value("plan_steps")
    put(first, "plan_steps", 650)
    put(first, "method", Method.DREAMBOOTH.value)
    second.refresh()
    assert (second.value("plan_steps"), second.value("method")) == (650, "dreambooth")
    put(second, "plan_steps", 700)
    first.refresh()
    assert first.value("plan_steps") == 700
    first.click("clear")
    for tab in (first, second, visit(key=key)):
        tab.refresh()
        assert (tab.value("plan_steps"), tab.value("method")) == (usual, "lora")


def test_a_button_takes_back_what_the_user_set_but_method_and_goal(visit: Visit, studio: Studio) -> None:
    key = "a9" * 16
    visitor, tab = visit(key=key), visit(key=key)
    assert visitor.prop("plan_back", "visible") is False
    put(visitor, "method", Method.DREAMBOOTH_LORA.value)
    put(visitor, "goal", Goal.FACE_QUICK.value)
    quick = plan_for(studio.host.checkpoint(), Method.DREAMBOOTH_LORA, {"goal": Goal.FACE_QUICK.value}).dict()
    assert visitor.prop("plan_back", "visible") is False
    put(visitor, "plan_steps", 650)
    put(visitor, "plan_optimiser", "prodigy")
    put(visitor, "plan_rank", quick["rank"])
    put(visitor, "plan_learning_rate", 99.0)  # which cannot be kept
    tab.refresh()
    assert visitor.prop("plan_back", "visible") and visitor.value("plan_learning_rate") != quick["learning_rate"]
    visitor.click("plan_back")
    assert kept(studio, key) == {"method": "dreambooth-lora", "goal": "face-quick"}
    tab.refresh()
    for page in (visitor, tab, visit(key=key)):
        held = {name: page.value(f"plan_{name}") for name in ("steps", "optimiser", "rank", "learning_rate")}
        assert held == {name: quick[name] for name in held}
        assert (page.value("method"), page.value("goal")) == ("dreambooth-lora", "face-quick")
        assert page.prop("plan_back", "visible") is False and page.text("compare_takes").count("Steps") == 0


def test_where_nothing_can_be_kept_the_open_page_keeps_it(visit: Visit) -> None:
    visitor = visit(key="")  # a browser without our script
    put(visitor, "plan_steps", 650)
    visitor.enter(goal=Goal.FACE_QUICK.value)
    visitor.refresh()
    assert visitor.value("plan_steps") == 650 and "Steps 650" in visitor.text("estimate")
