"""New files are made known to the WebUI, each kind in the way and under the lock that the WebUI itself uses."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from modules.call_queue import queue_lock

from personal_avatar.errors import BaseUnsupported, NoCheckpoint
from personal_avatar.host import Folders
from personal_avatar.webui import checkpoints, selftest_checkpoint, selftest_embedding, selftest_lora

log = logging.getLogger(__name__)


def announce(file: Path, folders: Folders) -> None:
    """Make a new LoRA, embedding or checkpoint known and try it at once; raises `SelfTestFailed`."""
    if file.is_relative_to(folders.loras):
        _lora(file)
    elif file.is_relative_to(folders.embeddings):
        _try(selftest_embedding.verify, file)
    else:
        checkpoints.enlist(file)
        _try(selftest_checkpoint.verify, file)


def _lora(file: Path) -> None:
    if not lora_extension_loaded():
        log.warning("The WebUI's Lora extension is switched off: %s was saved but not tried.", file.name)
        return
    import networks

    with queue_lock:
        networks.list_available_networks()
    _try(selftest_lora.verify, file)


def lora_extension_loaded() -> bool:
    """Whether `networks` is the module of the WebUI's built-in Lora extension."""
    module = sys.modules.get("networks")
    return module is not None and hasattr(module, "list_available_networks")


def _try(verify: Callable[[Path], bool], file: Path) -> None:
    """Without a checkpoint that we know nothing can be tried: the file stays."""
    try:
        tried = verify(file)
    except (NoCheckpoint, BaseUnsupported) as error:
        log.warning("%s was saved but not tried: %s", file.name, error)
        return
    log.info("%s: %s", file.name, "works" if tried else "not tried, another checkpoint is loaded")
