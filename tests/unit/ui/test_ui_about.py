"""Name, noun and consent: each page shows those of the draft, and writes there only what its user said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from personal_avatar.standalone.app import build_app
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.slow
ANN, BOB, NOBODY = ("Ann", "woman", True), ("Bob", "man", False), ("", "person", False)


def lay_out(visitor: Visitor, who: tuple[str, str, bool], *photos: Path) -> None:
    visitor.choose_files(*photos)
    visitor.enter(**dict(zip(("name", "noun", "consent"), who, strict=True)))
    visitor.click("check")
    visitor.wait(lambda: f"{len(photos)} of {len(photos)} accepted" in visitor.text("report"))


def about(visitor: Visitor) -> tuple[Any, ...]:
    return tuple(visitor.value(name) for name in ("name", "noun", "consent"))


def trained(studio: Studio) -> list[str]:
    return [view.job.title for view in studio.jobs.views()]


def test_what_was_said_of_one_person_is_gone_with_the_photos_whoever_erased_them(visit: Visit, studio: Studio) -> None:
    visitor = visit(key="a1" * 16)
    lay_out(visitor, ANN, *GOOD[:3])
    (studio.host.folders().data / "drafts" / ("a1" * 16) / "draft.json").unlink()
    visitor.refresh()
    assert about(visitor) == NOBODY
    visitor.choose_files(*GOOD[3:5])
    visitor.upload()
    visitor.wait(lambda: "2 of 2 accepted" in visitor.text("report"))
    visitor.click("start")
    assert "Consent is missing" in visitor.text("train_message") and trained(studio) == []


def test_clear_leaves_no_name_and_no_consent_even_if_they_were_not_sent(visit: Visit) -> None:
    visitor = visit(key="a2" * 16)
    visitor.enter(name="Ann", noun="woman", consent=True)
    visitor.click("clear")
    assert about(visitor) == NOBODY
    visitor.refresh()
    assert about(visitor) == NOBODY


def test_a_second_page_shows_who_is_laid_out_on_the_first(visit: Visit) -> None:
    second, first = visit(key="a3" * 16), visit(key="a3" * 16)
    lay_out(first, ANN, *GOOD[:3])
    second.refresh()
    assert about(second) == ANN
    first.click("clear")
    lay_out(first, BOB, *GOOD[:2])
    second.refresh()
    assert about(second) == BOB


@pytest.mark.parametrize(("button", "key"), [("start", "b4" * 16), ("compare", "c4" * 16), ("check", "d4" * 16)])
def test_a_page_that_has_not_looked_since_says_nothing_of_photos_it_does_not_know(
    visit: Visit, studio: Studio, button: str, key: str
) -> None:
    first = visit(key=key)
    lay_out(first, ANN, *GOOD[:3])
    second = visit(key=key)
    first.click("clear")
    lay_out(first, BOB, *GOOD[3:5])
    second.click(button)
    assert about(visit(key=key)) == BOB and trained(studio) == []


def test_a_page_that_was_opened_before_the_name_was_typed_wipes_nothing(visit: Visit, studio: Studio) -> None:
    first, second = visit(key="a5" * 16), visit(key="a5" * 16)
    lay_out(first, ANN, *GOOD[:3])
    second.click("start")
    assert about(visit(key="a5" * 16)) == ANN
    first.wait(lambda: "Ann is ready" in first.text("training"))


def test_a_name_that_is_being_typed_stays_whatever_is_refreshed(visit: Visit) -> None:
    visitor, other = visit(key="a6" * 16), visit(key="a6" * 16)
    visitor.enter(name="An")
    lay_out(other, BOB, *GOOD[:2])
    visitor.refresh()
    assert about(visitor) == ("An", "man", False)


def test_after_a_restart_of_the_server_settings_and_names_stay_and_consent_is_that_of_the_draft(
    visit: Visit, studio: Studio
) -> None:
    visitor = visit(key="a7" * 16)
    lay_out(visitor, ANN, *GOOD[:3])
    visitor.enter(name="Anna", plan_steps=77, plan_rank=5)
    write_json(studio.host.folders().data / "drafts" / ("a7" * 16) / "draft.json", {"name": "Bob", "photos": []})
    with TestClient(build_app(studio)) as restarted:
        visitor.move(restarted)
        visitor.refresh()
        assert about(visitor) == ("Anna", "woman", False)
        assert (visitor.value("plan_steps"), visitor.value("plan_rank")) == (77, 5)
        visitor.refresh()
        assert (visitor.value("plan_steps"), visitor.value("plan_rank")) == (77, 5)
