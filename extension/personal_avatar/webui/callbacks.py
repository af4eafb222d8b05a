"""The WebUI's callbacks without its `on_...` functions: those search all modules for their caller, 0.1 s each."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modules import script_callbacks

SCRIPT = str(Path(__file__).parents[3] / "scripts" / "personal_avatar.py")


def add(category: str, function: Callable[..., Any]) -> None:
    """What `script_callbacks.on_<category>(function)` does; `category` such as `ui_tabs`."""
    known = script_callbacks.callback_map[f"callbacks_{category}"]
    script_callbacks.add_callback(known, function, category=category, filename=SCRIPT)


@contextmanager
def added(category: str, function: Callable[..., Any]) -> Iterator[None]:
    """A callback for the duration of the `with` block."""
    add(category, function)
    try:
        yield
    finally:
        script_callbacks.remove_callbacks_for_function(function)
