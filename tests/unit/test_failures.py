"""Every failure has a name, says what to do in three languages, and has a place in HTTP."""
from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar import errors
from personal_avatar.api.intake import TooManyValues, TooSlow
from personal_avatar.api.origins import CrossSite
from personal_avatar.api.problems import TITLES, Forbidden, KeyReused, Unauthorised, WrongMethod
from personal_avatar.errors import AvatarError, usual_hint
from personal_avatar.standalone.app import PortTaken
from personal_avatar.standalone.door import NotOurFile
from personal_avatar.studio.addresses import CallbackRefused
from personal_avatar.ui.failures import OWN_HINTS
from personal_avatar.ui.texts import LANGUAGES, text

PACKAGE = Path(errors.__file__).parent
KINDS = [kind for kind in errors._all_errors(AvatarError) if kind.__module__ == errors.__name__]
PROMISED = {
    "OUT_OF_VRAM", "OUT_OF_MEMORY", "DISK_FULL", "NO_FACE", "TOO_FEW_PHOTOS", "BASE_NOT_FOUND", "BASE_UNSUPPORTED",
    "NAN_LOSS", "SELFTEST", "KILLED", "CRASHED", "PLAN_TOO_LARGE", "CONSENT_MISSING",
}


def test_the_failures_that_are_promised_are_there() -> None:
    assert {kind.code for kind in KINDS} >= PROMISED


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.code))
def test_a_failure_has_a_title_in_every_language_and_a_status_that_has_a_meaning(kind: type[AvatarError]) -> None:
    for key in (f"error.{kind.code}.title", *([f"error.{kind.code}.hint"] if kind.default_hint else [])):
        words = [text(key, language) for language in LANGUAGES]
        assert all(word.strip() for word in words)
        assert len(set(words)) == 3, f"{key} is not translated"
    assert kind.http_status in TITLES


@pytest.mark.parametrize("code", ["BASE_NOT_FOUND", "NOT_TAKEN"])
def test_to_put_a_file_back_is_said_in_every_language(code: str) -> None:
    assert f"error.{code}.back" in OWN_HINTS
    assert len({text(f"error.{code}.back", language) for language in LANGUAGES}) == len(LANGUAGES)


def test_both_ways_out_of_a_failure_of_cudnn_are_said_in_every_language() -> None:
    assert "error.OUT_OF_VRAM.cudnn" in OWN_HINTS
    for language in LANGUAGES:
        assert {"8.0", "fp16", "fp32"} <= set(re.findall(r"fp\d+|\d\.\d", text("error.OUT_OF_VRAM.cudnn", language)))


@pytest.mark.parametrize("kind", [
    TooManyValues, TooSlow, CrossSite, Unauthorised, Forbidden, KeyReused, CallbackRefused, NotOurFile, PortTaken,
])
def test_what_the_doors_refuse_has_a_hint_of_its_own(kind: type[AvatarError]) -> None:
    (above,) = kind.__bases__
    assert len({usual_hint(one, language) for one in (kind, above) for language in LANGUAGES}) == 2 * len(LANGUAGES)


def test_a_failure_without_a_hint_of_its_own_has_that_of_the_one_above_it() -> None:
    assert [usual_hint(WrongMethod, language) for language in LANGUAGES] == [
        text("error.BAD_INPUT.hint", language) for language in LANGUAGES
    ]


def test_hints_are_looked_for_when_they_are_asked_for() -> None:
    program = (
        "import personal_avatar.errors as errors, personal_avatar.texts as texts; read = texts.table.cache_info; "
        "before = read().currsize; errors.NoFace('None.'); print(before, read().currsize)"
    )
    said = subprocess.check_output([sys.executable, "-S", "-c", program], text=True, cwd=PACKAGE.parent)
    assert said.split() == ["0", "1"]


def raised() -> Iterator[tuple[str, str, ast.Call]]:
    """(file:line, class, call) wherever one of our errors is made."""
    names = {kind.__name__ for kind in KINDS}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node.func.id, node


def test_every_failure_says_what_to_do() -> None:
    """Where no hint is known for the class, the one who raises it gives one."""
    without = {kind.__name__ for kind in KINDS if not kind.default_hint}
    silent = [
        place for place, name, call in raised()
        if name in without and len(call.args) < 2 and "hint" not in {word.arg for word in call.keywords}
    ]
    assert without == {"AvatarError"} and silent == []


def test_who_has_cancelled_something_knows_what_to_do() -> None:
    assert errors.Cancelled("The job was cancelled.").hint == ""
