"""The WebUI's modules, as far as our hooks use them; what a test looks at it puts into their place."""
from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

OURS = "personal_avatar.webui"
MODULES = (
    "call_queue", "devices", "images", "lowvram", "processing", "script_callbacks", "scripts", "sd_hijack", "sd_models",
    "sd_samplers", "sd_unet", "sd_vae", "shared",
)
Loaded = Callable[[str], Any]


class ScriptRunner:
    alwayson_scripts: list[Any]


class Options:
    """Settings as the WebUI keeps them."""

    def __init__(self, **data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return self.data[name]


@pytest.fixture()
def stood_in(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`modules` of a WebUI that does nothing."""
    parent = ModuleType("modules")
    for name in MODULES:
        module = ModuleType(f"modules.{name}")
        setattr(parent, name, module)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    state = SimpleNamespace(
        interrupted=False, skipped=False, stopping_generation=False, job="", job_no=0, job_count=1,
        sampling_step=0, sampling_steps=0,
    )
    values: dict[str, dict[str, Any]] = {
        "call_queue": {"queue_lock": threading.Lock()},
        "devices": {"device": "cpu", "without_autocast": nullcontext},
        "lowvram": {"is_enabled": lambda model: False},
        "scripts": {"Script": object, "ScriptRunner": ScriptRunner, "AlwaysVisible": object()},
        "sd_hijack": {"model_hijack": SimpleNamespace(apply_circular=lambda tiling: None)},
        "sd_models": {"apply_token_merging": lambda model, ratio: None},
        "sd_unet": {"current_unet": None},
        "shared": {
            "state": state, "sd_model": SimpleNamespace(sd_checkpoint_info=None),
            "cmd_opts": SimpleNamespace(no_prompt_history=False),
            "opts": Options(save_init_img=True, live_previews_enable=True, img2img_background_color="#ffffff"),
        },
    }
    for name, found in values.items():
        vars(getattr(parent, name)).update(found)
    monkeypatch.setitem(sys.modules, "modules", parent)
    return parent


@pytest.fixture()
def loaded(stood_in: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    """Loads a module of ours anew over the WebUI's; the studio, the restorers and sharing are left out."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(OURS)}
    for name in before:
        del sys.modules[name]
    for name in ("register", "restorers", "sharing"):
        sys.modules[f"{OURS}.{name}"] = ModuleType(f"{OURS}.{name}")
    yield lambda name: importlib.import_module(f"{OURS}.{name}")
    for name in [name for name in sys.modules if name.startswith(OURS)]:
        del sys.modules[name]
    sys.modules.update(before)
