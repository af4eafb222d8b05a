"""Pictures that the WebUI saves and in which we had a part say that a model made them, or changed faces in them; others
stay as they are."""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from personal_avatar.pictures import EDITED, prompt_in
from personal_avatar.prompts import split_networks
from personal_avatar.webui import callbacks
from personal_avatar.webui.ours import NETWORK, is_ours, mark_saved, was_restored

log = logging.getLogger(__name__)


def listen() -> None:
    """From now on; called once at start and again after every "Reload UI"."""
    callbacks.add("image_saved", on_saved)


def on_saved(saved: Any) -> None:
    """`saved`: the WebUI's `ImageSaveParams`. Never raises: the picture is there already."""
    try:
        infotext, extras = (str((saved.pnginfo or {}).get(name) or "") for name in ("parameters", "extras"))
        if _shows_somebody(infotext):
            mark_saved(Path(saved.filename))
        elif was_restored(extras):
            mark_saved(Path(saved.filename), EDITED)
    except Exception:  # the WebUI goes on without the mark
        log.exception("%s could not be marked as generated", getattr(saved, "filename", "A picture"))


def _shows_somebody(infotext: str) -> bool:
    """Whether a picture was made with a person that we put in, or with a file that was trained here."""
    if is_ours(infotext, _networks() if NETWORK.search(infotext) else ()):
        return True
    words, _ = split_networks(prompt_in(infotext))
    return bool(words and _studio().restoring.named_in(words))


def _networks() -> set[str]:
    """Names of all files that were trained here."""
    return {point.path.stem for avatar in _studio().avatars.all() for point in avatar.checkpoints}


def _studio() -> Any:
    from personal_avatar.webui.register import studio

    return studio()
