"""A zip in the making: one at a time, in a thread of its own, seen by every page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.albums.entries import Entry
from personal_avatar.errors import WrongState
from personal_avatar.studio import Studio
from personal_avatar.ui.refusal import Refusal, failed_here


@dataclass(frozen=True)
class Packed:
    """How far it is: `done` of `total` pictures. `zip`: the last one that was finished; `error`: why the last one was
    not, as `AvatarError.to_json` writes it."""

    running: bool = False
    done: int = 0
    total: int = 0
    zip: Path | None = None
    error: dict[str, str] | None = None

    @property
    def ready(self) -> Path | None:
        """The zip, as long as nothing was deleted since."""
        return self.zip if self.zip is not None and self.zip.is_file() else None


class Packing:
    """The one zip of a page's server."""

    def __init__(self, studio: Studio) -> None:
        self.state = Packed()
        self._studio = studio
        self._lock = threading.Lock()

    def start(self, entries: Sequence[Entry], name: str, size: str, kind: str, language: str) -> None:
        """Begin, `language` being that of the contact sheets; raises `WrongState` while another one is being made."""
        with self._lock:
            if self.state.running:
                raise Refusal(WrongState, "packing")
            self.state = Packed(running=True, total=len(entries))
        what = (tuple(entries), name, size, kind, language)
        threading.Thread(target=self._run, args=what, name="avatar-zip", daemon=True).start()

    def _run(self, entries: tuple[Entry, ...], name: str, size: str, kind: str, language: str) -> None:
        ended = Packed()
        target = self._studio.gallery.archives / name
        try:
            made = self._studio.gallery.pack(entries, target, size, kind, self._note, language)
            ended = Packed(done=len(entries), total=len(entries), zip=made)
        except Exception as error:  # noqa: BLE001  the border: a zip that fails is named in the panel
            ended = Packed(error=failed_here(error).to_json())
        finally:
            self.state = ended

    def _note(self, done: int, total: int) -> None:
        self.state = Packed(running=True, done=done, total=total)
