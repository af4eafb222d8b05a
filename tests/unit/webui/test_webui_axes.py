"""What the axes of an X/Y/Z plot change of an identity, whether its accordion is on or off."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from personal_avatar.identities import IdentitySettings

WEBUIS = ("modules", "personal_avatar.webui.register", "personal_avatar.webui.restorers")
AXES = "personal_avatar.webui.identity.axes"
Changed = Callable[[IdentitySettings, dict[str, Any]], IdentitySettings]


@pytest.fixture()
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Changed]:
    for name in WEBUIS:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["modules"].scripts = SimpleNamespace(scripts_data=[])  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, AXES, raising=False)
    axes = importlib.import_module(AXES)
    yield lambda settings, changes: axes.changed(SimpleNamespace(**{axes.CHANGES: changes}), settings)
    sys.modules.pop(AXES, None)


@pytest.mark.parametrize("on", [True, False])
def test_an_axis_of_persons_paints_them_whether_the_accordion_is_on_or_off(changed: Changed, on: bool) -> None:
    found = changed(IdentitySettings(enabled=on, references=("photo.png",)), {"person": "Anna"})
    assert found.enabled and found.avatar == "Anna" and found.references == ()


def test_an_axis_of_restorers_brings_nobody_into_pictures_whose_accordion_is_off(changed: Changed) -> None:
    lies_there = IdentitySettings(enabled=False, references=("photo.png",), avatar="anna")
    axis = {"restore.model": "GFPGAN"}
    found = changed(lies_there, dict(axis))
    assert found.enabled and found.restore.enabled and (found.references, found.avatar) == ((), "")
    used = changed(IdentitySettings(enabled=True, references=("photo.png",)), dict(axis))
    assert used.restore.enabled and used.references == ("photo.png",)
    both = changed(lies_there, {**axis, "person": "Bert"})
    assert (both.avatar, both.references) == ("Bert", ())
