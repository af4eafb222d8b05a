"""New files are made known to the WebUI, each kind in the way and under the lock that the WebUI itself uses."""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from modules.call_queue import queue_lock

from personal_avatar import caveats
from personal_avatar.domain import Advice, Method
from personal_avatar.errors import NotTaken, OutOfMemory, OutOfVram, SelfTestFailed
from personal_avatar.host import Folders
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.webui import checkpoints, selftest_checkpoint, selftest_embedding, selftest_lora, trial

log = logging.getLogger(__name__)
Told = tuple[Advice, ...]


def announce(file: Path, method: Method, folders: Folders) -> Told:
    """Make what `method` has trained known, as what it is wherever it lies, and try it at once; what there is to be
    said of that. That it could not be tried is no fault of the file.

    Raises `SelfTestFailed` for one that was tried and is of no use, `NotTaken` where the WebUI takes another one.
    """
    if not file.is_file():
        raise stated(NotTaken, "failure.file_gone", "error.NOT_TAKEN.back", file=file.name, place=file.parent)
    places = folders.looked_in(method)
    if not any(file.resolve().is_relative_to(place.resolve()) for place in places):
        return _said("ELSEWHERE", file=file.name, folder=str(file.parent), there=str(places[0]))
    return {Method.TEXTUAL_INVERSION: _embedding, Method.DREAMBOOTH: _checkpoint}.get(method, _lora)(file)


def _embedding(file: Path) -> Told:
    return _tried(selftest_embedding.verify, file)


def _checkpoint(file: Path) -> Told:
    def listed(file: Path) -> bool:
        checkpoints.enlist(file)
        selftest_checkpoint.verify(file)
        return True  # whatever is chosen, it was loaded and has painted

    return _tried(listed, file)


def _lora(file: Path) -> Told:
    if not lora_extension_loaded():
        return _said("NOT_TRIED_OFF", file=file.name)

    def listed(file: Path) -> bool:
        import networks

        with queue_lock:
            networks.list_available_networks()
        return selftest_lora.verify(file)

    return _tried(listed, file)


def lora_extension_loaded() -> bool:
    """Whether `networks` is the module of the WebUI's built-in Lora extension."""
    module = sys.modules.get("networks")
    return module is not None and hasattr(module, "list_available_networks")


def _tried(verify: Callable[[Path], bool], file: Path) -> Told:
    """Whatever keeps the WebUI from painting now, or from listing files, of which it reads others', too: the file stays
    and is told of; only a trial can show it to be bad."""
    try:
        tried = verify(file)
    except SelfTestFailed:
        raise
    except Exception as error:
        log.warning("%s could not be tried.", file.name, exc_info=error)
        known = named(error)
        if isinstance(known, OutOfVram | OutOfMemory):
            return _said("NOT_TRIED_MEMORY", file=file.name)
        return _said("NOT_TRIED", file=file.name, why=known.message)
    if not tried:
        return _said("NOT_TRIED_BASE", file=file.name, base=trial.base_in(trial.metadata_of(file)))
    log.info("%s: works", file.name)
    return ()


def _said(code: str, **values: str) -> Told:
    told = caveats.said(code, **values)
    log.warning("%s", told.text)
    return (told,)
