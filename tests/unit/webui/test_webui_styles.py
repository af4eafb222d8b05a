"""The user's own styles, as the WebUI keeps them and as its settings say."""
from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.webui.conftest import OURS, Loaded

BESIDE = ("checkpoints", "generation", "interrogators", "posing", "published", "upscalers")


@pytest.mark.parametrize(("options", "expected"), [
    ({"enable_prompt_comments": True}, "{subject}, colour ink"),
    ({"enable_prompt_comments": False}, "{subject}, colour #3 ink"),
    ({}, "{subject}, colour ink"),
])
def test_comments_are_cut_as_the_settings_say(
    loaded: Loaded, stood_in: ModuleType, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], expected: str
) -> None:
    for name in ("paths", "extensions"):
        monkeypatch.setitem(sys.modules, f"modules.{name}", ModuleType(name))
        setattr(stood_in, name, sys.modules[f"modules.{name}"])
    for name in BESIDE:
        sys.modules[f"{OURS}.{name}"] = ModuleType(name)
    rows = [
        SimpleNamespace(name="Mine", prompt="{prompt}, colour #3\nink", negative_prompt=None, path="styles.csv"),
        SimpleNamespace(name="----", prompt=None, negative_prompt=None, path="do_not_save"),
    ]
    stood_in.shared.opts = SimpleNamespace(**options)
    stood_in.shared.prompt_styles = SimpleNamespace(styles={row.name: row for row in rows})
    assert [style.prompt for style in loaded("host").WebuiHost().styles()] == [expected]
