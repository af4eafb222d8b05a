"""The origins that were allowed on the WebUI's command line are allowed to our routes, as its own CORS reads them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

FRIEND, EVIL = "https://friend.example", "https://evil.example"
Given = Callable[[str | None, str | None], Callable[[str], bool]]


@pytest.fixture()
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    options, modules = SimpleNamespace(), ModuleType("modules")
    modules.shared = SimpleNamespace(cmd_opts=options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "modules", modules)
    monkeypatch.delitem(sys.modules, "personal_avatar.webui.origins", raising=False)

    def rule(listed: str | None, pattern: str | None) -> Callable[[str], bool]:
        options.cors_allow_origins, options.cors_allow_origins_regex = listed, pattern
        found: Callable[[str], bool] = importlib.import_module("personal_avatar.webui.origins").allowed
        return found

    yield rule
    sys.modules.pop("personal_avatar.webui.origins", None)


@pytest.mark.parametrize(("listed", "pattern"), [
    (None, None), ("", ""), ("*", None), (FRIEND, None), (f"http://a.example,{FRIEND}", None), ("null", None),
    (None, r"https://[a-z]+\.example"), (None, r"https://fr"), ("http://a.example", r"https://friend\.example"),
])
def test_the_webuis_own_options_say_whose_pages_are_let_in(
    given: Given, listed: str | None, pattern: str | None
) -> None:
    named = {"allow_origins": listed.split(",")} if listed else {}
    more = {"allow_origin_regex": pattern} if pattern else {}
    cors = CORSMiddleware(Starlette(), **named, **more)  # type: ignore[arg-type]
    rule = given(listed, pattern)
    for origin in (FRIEND, EVIL, "null", f"{FRIEND}.evil.example"):
        assert rule(origin) == cors.is_allowed_origin(origin), origin


def test_nobody_is_let_in_where_nothing_was_said(given: Given) -> None:
    assert not any(map(given(None, None), (FRIEND, "null", "")))
