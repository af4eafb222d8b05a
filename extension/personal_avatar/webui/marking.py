"""Pictures that the WebUI saves and in which we had a part say that a model made them; others stay as they are."""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from personal_avatar.pictures import mark_file
from personal_avatar.webui import callbacks
from personal_avatar.webui.ours import NETWORK, is_ours

log = logging.getLogger(__name__)


def listen() -> None:
    """From now on; called once at start and again after every "Reload UI"."""
    callbacks.add("image_saved", on_saved)


def on_saved(saved: Any) -> None:
    """`saved`: the WebUI's `ImageSaveParams`. Never raises: the picture is there already."""
    try:
        infotext = str((saved.pnginfo or {}).get("parameters") or "")
        if is_ours(infotext, _networks() if NETWORK.search(infotext) else ()):
            mark_file(Path(saved.filename))
    except Exception:  # the WebUI goes on without the mark
        log.exception("%s could not be marked as generated", getattr(saved, "filename", "A picture"))


def _networks() -> set[str]:
    """Names of all files that were trained here."""
    from personal_avatar.webui.register import studio

    return {point.path.stem for avatar in studio().avatars.all() for point in avatar.checkpoints}
