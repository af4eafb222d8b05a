"""Pictures on the page: made servable, with their alternative texts."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from personal_avatar.jobs.process import alive, started_at
from personal_avatar.storage import legible
from personal_avatar.ui.markup import tag

OURS = "personal_avatar"


class Shelf:
    """A gr.HTML whose pictures the page may load.

    gradio serves nothing from our folders by itself; what is shown is copied to its folder of temporary files first,
    which also works where the data folder has a dot in its path.
    """

    def __init__(self, dom_id: str, *, visible: bool = True) -> None:
        self.component = gr.HTML(elem_id=dom_id, visible=visible)
        self._served: dict[tuple[Path, int], Path] = {}
        self._lock = threading.Lock()

    def url(self, path: Path) -> str:
        """Address of a picture, relative to the page; raises OSError when the file is gone."""
        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            if key not in self._served or not self._served[key].exists():
                self._served[key] = self._copied(path)
            return "file=" + quote(str(self._served[key]))

    def _copied(self, path: Path) -> Path:
        copy = _own_folder() / secrets.token_hex(8) / legible(path.name)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
        self.component.temp_files.add(str(copy))
        return copy

    def tidy(self) -> None:
        """Remove the copies of pictures that are gone: what was erased shall not be left among temporary files."""
        with self._lock:
            for key in [key for key in self._served if not key[0].exists()]:
                shutil.rmtree(self._served.pop(key).parent, ignore_errors=True)

    def figure(self, path: Path, alt: str, caption: str) -> str:
        """A list item with picture and caption."""
        picture = f'<img src="{self.url(path)}" alt="{escape(alt)}" loading="lazy">'
        return tag("li", picture, tag("div", escape(caption), class_="pa-caption"), class_="pa-figure")


def temporary_folder() -> Path:
    """Where gradio keeps uploads, and whose files it serves."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio")).resolve()


def _own_folder() -> Path:
    """The copies of this process, by its id and start, so that others see when it is gone."""
    return temporary_folder() / OURS / f"{os.getpid()}-{started_at(os.getpid())}"


def drop_copies_of_the_dead() -> None:
    """Remove what processes left behind that have ended: nobody tidies it any more."""
    for folder in (temporary_folder() / OURS).glob("*-*"):
        pid, _, since = folder.name.partition("-")
        with suppress(ValueError):
            if not alive(int(pid), float(since)):
                shutil.rmtree(folder, ignore_errors=True)


def drop_copy(name: str | Path) -> None:
    """Remove a file inside gradio's folder of temporary files; anything else stays as it is."""
    path = Path(name)
    if path.is_file() and path.resolve().is_relative_to(temporary_folder()):
        path.unlink(missing_ok=True)


class Upload(gr.File):
    """A gr.File that forgets files which are gone: a page may name once more what `drop_uploads` has removed."""

    is_template = True  # the browser sees a gr.File

    def preprocess(self, x: Any) -> Any:
        if isinstance(x, list):
            return super().preprocess([given for given in x if _is_there(given)])
        return super().preprocess(x if x and _is_there(x) else None)


def _is_there(given: dict[str, Any]) -> bool:
    return not given.get("is_file") or Path(given["name"]).is_file()


def drop_uploads(files: Iterable[Any] | None) -> None:
    """Remove what was uploaded, when it has been copied to where it belongs: gradio keeps two files of each."""
    for file in files or ():
        drop_copy(file.name)
        drop_copy(getattr(file, "orig_name", ""))


class Held:
    """Uploads that jobs have copies of and whose panel keeps them for the next one, by browser and panel."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], set[str]] = {}
        self._lock = threading.Lock()

    def hold(self, key: str, panel: str, files: Iterable[Any]) -> None:
        """Remember what a panel holds now, and remove what it held before."""
        now = {str(name) for file in files if file for name in (file.name, getattr(file, "orig_name", ""))}
        with self._lock:
            before = self._files.pop((key, panel), set())
            self._files[key, panel] = now
        for name in before - now:
            drop_copy(name)

    def drop(self) -> None:
        """Remove all of them: somebody was erased, and nobody remembers who is in which."""
        with self._lock:
            names = set[str]().union(*self._files.values())
            self._files.clear()
        for name in names:
            drop_copy(name)
