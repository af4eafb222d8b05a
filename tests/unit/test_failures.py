"""Every failure has a name, says what to do in three languages, and has a place in HTTP."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar import errors
from personal_avatar.api.problems import TITLES
from personal_avatar.errors import AvatarError
from personal_avatar.ui.failures import OWN_HINTS
from personal_avatar.ui.texts import LANGUAGES, text

PACKAGE = Path(errors.__file__).parent
KINDS = [kind for kind in errors._all_errors(AvatarError) if kind.__module__ == errors.__name__]
PROMISED = {
    "OUT_OF_VRAM", "OUT_OF_MEMORY", "DISK_FULL", "NO_FACE", "TOO_FEW_PHOTOS", "BASE_NOT_FOUND", "BASE_UNSUPPORTED",
    "NAN_LOSS", "SELFTEST", "KILLED", "CRASHED", "PLAN_TOO_LARGE", "CONSENT_MISSING",
}
# Who has cancelled something knows what to do.
COMPLETE = {"Cancelled"}


def test_the_failures_that_are_promised_are_there() -> None:
    assert {kind.code for kind in KINDS} >= PROMISED


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.code))
def test_a_failure_has_a_title_in_every_language_and_a_status_that_has_a_meaning(kind: type[AvatarError]) -> None:
    said = [f"error.{kind.code}.title", *([f"error.{kind.code}.hint"] if kind.default_hint else [])]
    for key in said:
        words = [text(key, language) for language in LANGUAGES]
        assert all(word.strip() for word in words)
        assert len(set(words)) == 3, f"{key} is not translated"
    assert kind.http_status in TITLES


@pytest.mark.parametrize("code", [
    "OUT_OF_VRAM", "OUT_OF_MEMORY", "PLAN_TOO_LARGE", "DISK_FULL", "NOT_WRITABLE", "VAE_NOT_FOUND", "NOT_TAKEN",
])
def test_the_hint_of_the_table_is_that_of_the_error(code: str) -> None:
    kind = next(kind for kind in KINDS if kind.code == code)
    assert text(f"error.{code}.hint", "en") == kind.default_hint


@pytest.mark.parametrize("kind", [errors.BaseNotFound, errors.NotTaken])
def test_to_put_a_file_back_is_said_in_every_language(kind: type[errors.BaseNotFound] | type[errors.NotTaken]) -> None:
    assert text(f"error.{kind.code}.back", "en") == kind.PUT_BACK
    assert f"error.{kind.code}.back" in OWN_HINTS


def test_both_ways_out_of_a_failure_of_cudnn_are_said_in_every_language() -> None:
    assert text("error.OUT_OF_VRAM.cudnn", "en") == errors.OutOfVram.CUDNN
    assert "error.OUT_OF_VRAM.cudnn" in OWN_HINTS
    for language in LANGUAGES:
        assert {"8.0", "fp16", "fp32"} <= set(re.findall(r"fp\d+|\d\.\d", text("error.OUT_OF_VRAM.cudnn", language)))


def raised() -> Iterator[tuple[str, str, ast.Call]]:
    """(file:line, class, call) wherever one of our errors is made."""
    names = {kind.__name__ for kind in KINDS}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node.func.id, node


def test_every_failure_says_what_to_do() -> None:
    """Where the class has no hint of its own, the one who raises it gives one."""
    without = {kind.__name__ for kind in KINDS if not kind.default_hint} - COMPLETE
    silent = [
        place for place, name, call in raised()
        if name in without and len(call.args) < 2 and "hint" not in {word.arg for word in call.keywords}
    ]
    assert silent == []
