"""New files are made known to the WebUI, each kind in the way and under the lock that the WebUI itself uses."""
from __future__ import annotations

import logging
import sys
from pathlib import Path

from modules import sd_hijack
from modules.call_queue import queue_lock

from personal_avatar.errors import NoCheckpoint
from personal_avatar.host import Folders
from personal_avatar.webui import checkpoints, selftest

log = logging.getLogger(__name__)


def announce(file: Path, folders: Folders) -> None:
    """Make a new LoRA, embedding or checkpoint known. A LoRA is tried at once; raises `SelfTestFailed`."""
    if file.is_relative_to(folders.loras):
        _lora(file)
    elif file.is_relative_to(folders.embeddings):
        _embedding()
    else:
        checkpoints.enlist(file)


def _lora(file: Path) -> None:
    if not lora_extension_loaded():
        log.warning("The WebUI's Lora extension is switched off: %s was saved but not tried.", file.name)
        return
    import networks

    with queue_lock:
        networks.list_available_networks()
    try:
        tried = selftest.verify_lora(file)
    except NoCheckpoint as error:
        log.warning("%s was saved but not tried: %s", file.name, error)
        return
    log.info("%s: %s", file.name, "works" if tried else "not tried, another checkpoint is loaded")


def lora_extension_loaded() -> bool:
    """Whether `networks` is the module of the WebUI's built-in Lora extension."""
    module = sys.modules.get("networks")
    return module is not None and hasattr(module, "list_available_networks")


def _embedding() -> None:
    with queue_lock:
        sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
