"""What is said of a finished picture is said of that one alone."""
from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from personal_avatar.errors import RestorerMissing
from personal_avatar.identities import IdentitySettings
from personal_avatar.studio.restored import REPAINTED, RESTORED
from PIL import Image

from tests.unit.webui.conftest import Loaded


class Generation:
    """What is written to of the WebUI's `p`."""

    def __init__(self) -> None:
        self.extra_generation_params: dict[str, Any] = {"Steps": 3}
        self.comments: dict[str, int] = {}

    def comment(self, text: str) -> None:
        self.comments[text] = 1


@pytest.fixture()
def finishing(loaded: Loaded) -> Any:
    return loaded("identity.finishing")


def finished(finishing: Any, p: Generation, *answers: Any) -> list[dict[str, Any]]:
    """What is said of pictures whose faces are restored; `answers`: what is told of each, or what goes wrong."""
    said = []
    finishing.wish(p, IdentitySettings(restore={"enabled": True}))
    for answer in answers:

        def restored(p: Any, *_: Any, answer: Any = answer) -> Any:
            if isinstance(answer, Exception):
                raise answer
            finishing.notes.tell(p, answer)
            return _[-1]

        finishing._finished = restored
        finishing.finish(p, SimpleNamespace(image=Image.new("RGB", (8, 8))))
        said.append({name: value for name, value in p.extra_generation_params.items() if value is not None})
    return said


def test_what_went_wrong_with_one_picture_is_not_said_of_the_next(finishing: Any) -> None:
    p, notes = Generation(), finishing.notes
    notes.warn(p, ["of all"])
    first, second, third = finished(
        finishing, p, RestorerMissing("No restorer."), [(RESTORED, "1")], RestorerMissing("No restorer.")
    )
    assert first[notes.WARNING].startswith("of all | No restorer.") and first[notes.WARNING] == third[notes.WARNING]
    assert second[notes.WARNING] == "of all" and len(p.comments) == 2


def test_what_was_done_to_one_picture_is_not_said_of_the_next(finishing: Any) -> None:
    p = Generation()
    done = [(RESTORED, "1"), (REPAINTED, "2")]
    first, second = finished(finishing, p, done, RestorerMissing("No restorer."))
    assert (first[RESTORED], first[REPAINTED]) == ("1", "2") and not {RESTORED, REPAINTED} & set(second)


def test_nothing_is_said_of_the_last_picture_once_the_work_is_stopped(finishing: Any, stood_in: ModuleType) -> None:
    p = Generation()
    finished(finishing, p, [(RESTORED, "1")])
    stood_in.shared.state.interrupted = True
    assert finished(finishing, p, [(RESTORED, "1")]) == [{"Steps": 3}]


def test_of_a_plain_picture_nothing_is_said(finishing: Any) -> None:
    p = Generation()
    finishing.finish(p, SimpleNamespace(image=None))
    assert p.extra_generation_params == {"Steps": 3} and not p.comments
