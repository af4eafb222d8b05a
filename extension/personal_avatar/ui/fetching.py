"""A download of weights that the user agreed to: one at a time, in a thread of its own, seen by every page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from personal_avatar.errors import Cancelled, WrongState
from personal_avatar.problems import stated
from personal_avatar.ui.markup import progress_bar, stored_error_box, tag
from personal_avatar.ui.refusal import Refusal, failed_here
from personal_avatar.ui.scene import Scene
from personal_avatar.weights.fetch import ensure
from personal_avatar.weights.nouns import Weight


@dataclass(frozen=True)
class Fetched:
    """How far it is. `name`: the file that comes now, of which `done` of `total` bytes are there; `error`: why the
    last download ended early, as `AvatarError.to_json` writes it."""

    running: bool = False
    name: str = ""
    done: int = 0
    total: int = 0
    error: dict[str, str] | None = None


class Fetching:
    """The one download of a page's server."""

    def __init__(self) -> None:
        self.state = Fetched()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def start(self, weights: Sequence[Weight], folder: Path) -> None:
        """Fetch what is missing into `folder`; raises `WrongState` while another download goes on."""
        with self._lock:
            if self.state.running:
                raise Refusal(WrongState, "fetching")
            self._stop.clear()
            self.state = Fetched(running=True, name=weights[0].name, total=weights[0].size_bytes)
        threading.Thread(target=self._run, args=(tuple(weights), folder), name="avatar-weights", daemon=True).start()

    def stop(self) -> None:
        """End it; what has come so far is kept, and the next download goes on from there."""
        self._stop.set()

    def _run(self, weights: tuple[Weight, ...], folder: Path) -> None:
        ended = Fetched()
        try:
            for weight in weights:
                ensure(weight, folder, partial(self._note, weight.name))
        except Cancelled:
            pass
        except Exception as error:  # noqa: BLE001  the border: a download that fails is named in the panel
            ended = Fetched(error=failed_here(error).to_json())
        finally:
            self.state = ended

    def _note(self, name: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise stated(Cancelled, "ending.download")
        self.state = Fetched(running=True, name=name, done=done, total=total)


def fetching_html(fetching: Fetching, scene: Scene, press: str = "") -> str:
    """How the download goes, with the buttons `press` below; why the last one ended early; empty when there is none."""
    state = fetching.state
    if state.error is not None:
        return stored_error_box(state.error, scene.language)
    if not state.running:
        return ""
    done, total = (round(size / 1e6) for size in (state.done, state.total))
    words = scene.say("one.fetching", name=state.name, done=done, total=total)
    bar = progress_bar(state.done / max(1, state.total), words)
    return tag("div", tag("p", escape(words)), bar, press, class_="pa-wait", data_pa_busy="1")
