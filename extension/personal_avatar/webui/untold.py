"""Work of the WebUI that uses the graphics card and that no hook tells of: it is heard of where it begins."""
from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from modules import shared

from personal_avatar.webui import sharing

JOBS = ("extras", "interrogate")  # names with which it begins
TEXTS, NETWORKS = "modules.textual_inversion.textual_inversion", "modules.hypernetworks.hypernetwork"
# What the tab Train and its API do with the loaded checkpoint. From the page it begins with the name of a task as all
# else does, or with none; the API takes these functions from their modules when it is loaded, which is after us.
FUNCTIONS = ((TEXTS, "create_embedding"), (TEXTS, "train_embedding"), (NETWORKS, "train_hypernetwork"))
ATTRIBUTE = "personal_avatar_hears"


def listen() -> None:
    """Called at every start of the page, it is done once."""
    _put(shared.state, "begin", _begun)
    for module, name in FUNCTIONS:
        if hasattr(sys.modules.get(module), name):
            _put(sys.modules[module], name, _working)


def _put(owner: Any, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    function = getattr(owner, name)
    if not getattr(function, ATTRIBUTE, False):
        heard = around(function)
        setattr(heard, ATTRIBUTE, True)
        setattr(owner, name, heard)


def _begun(begin: Callable[..., None]) -> Callable[..., None]:
    @wraps(begin)
    def begun(*args: Any, **kwargs: Any) -> None:
        begin(*args, **kwargs)
        if shared.state.job in JOBS:
            sharing.before_work()

    return begun


def _working(work: Callable[..., Any]) -> Callable[..., Any]:
    """Until its end the checkpoint stays on the card whatever begins: not all of it has the WebUI's queue."""

    @wraps(work)
    def working(*args: Any, **kwargs: Any) -> Any:
        with sharing.guest().staying(), sharing.checkpoint().kept():
            sharing.before_work()
            return work(*args, **kwargs)

    return working
