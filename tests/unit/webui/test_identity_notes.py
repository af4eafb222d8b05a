"""What a picture says of a person that could not be put into it."""
from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from personal_avatar.errors import NoFace, OutOfVram
from personal_avatar.webui.identity import notes


class Generation:
    """What is written to of the WebUI's `p`."""

    def __init__(self, **said: Any) -> None:
        self.extra_generation_params = said
        self.comments: list[str] = []

    def comment(self, text: str) -> None:
        self.comments.append(text)


def test_a_refusal_says_why_and_takes_back_what_was_claimed() -> None:
    p = Generation(Steps=3)
    notes.begin(p)
    notes.tell(p, [("Personal Avatar identity", "instantid")])
    notes.refuse(p, NoFace("No face was found in the photo."))
    assert p.extra_generation_params == {"Steps": 3, notes.ERROR: p.extra_generation_params[notes.ERROR]}
    assert p.extra_generation_params[notes.ERROR].startswith("NO_FACE: No face was found in the photo. Use a picture")
    assert isinstance(notes.problem_of(p), NoFace) and "without the person" in p.comments[0]


def test_the_style_of_a_portrait_is_not_taken_back() -> None:
    p = Generation(**{"Personal Avatar": "anna", "Personal Avatar style": "oil", "Personal Avatar start": "0"})
    notes.begin(p)
    assert p.extra_generation_params == {"Personal Avatar": "anna", "Personal Avatar style": "oil"}


def test_errors_of_libraries_get_their_names(caplog: pytest.LogCaptureFixture) -> None:
    p = Generation()
    notes.refuse(p, RuntimeError("CUDA out of memory. Tried to allocate"))
    assert isinstance(notes.problem_of(p), OutOfVram) and not caplog.records
    notes.refuse(p, KeyError("nobody foresaw this"))
    assert "CRASHED" in p.extra_generation_params[notes.ERROR] and caplog.records[0].exc_info


def test_a_refused_picture_is_not_quoted_in_full() -> None:
    p = Generation()
    notes.refuse(p, NoFace("x" * 100_000))
    assert len(p.extra_generation_params[notes.ERROR]) == notes.LONGEST


def test_a_warning_is_said_once() -> None:
    p = Generation()
    for sentences in (["one", "two"], ["two"], ["three\n lines"]):
        notes.warn(p, sentences)
    assert p.extra_generation_params[notes.WARNING] == "one | two | three lines"
    assert len(p.comments) == 3


def test_a_new_generation_forgets_also_when_a_plot_copied_the_last_one() -> None:
    first = Generation(Steps=3)
    notes.begin(first)
    cell = copy(first)
    notes.begin(cell)
    notes.refuse(cell, NoFace("No face."))
    assert first.extra_generation_params == {"Steps": 3} and notes.problem_of(first) is None
    again = copy(cell)
    notes.begin(again)
    assert again.extra_generation_params == {"Steps": 3} and notes.problem_of(again) is None
