"""What a user has laid out before a training starts: photos, name, consent and the report, kept on disk.

drafts/<key>/  draft.json  photos/      one a browser; `key` is drawn by the browser and remembered there.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personal_avatar.captions.files import copy_with_caption
from personal_avatar.domain import PhotoReport, from_json, to_json
from personal_avatar.errors import (
    BadInput,
    Crashed,
    FileTooLarge,
    InvalidSettings,
    NotFound,
    TooFewPhotos,
    WrongState,
    named,
)
from personal_avatar.photos.read import Limits
from personal_avatar.photos.settings import IGNORED, PhotoSettings
from personal_avatar.storage import sha256_of, write_json
from personal_avatar.studio import MAX_PHOTOS, STYLE_NOUN, Studio, pictures_in
from personal_avatar.ui.refusal import Refusal

KEEP_DAYS = 14
MOST_MB = Limits().file_bytes // 1_000_000
_KEY = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True)
class Draft:
    """One laid-out person. `report` None: not checked yet; `error`: why the last check ended early.

    `left_out`: names of files that were given to the last check and were too large to be taken.
    """

    name: str = ""
    class_noun: str = "person"
    consent: bool = False
    photos: tuple[Path, ...] = ()
    report: PhotoReport | None = None
    error: dict[str, str] | None = None
    left_out: tuple[str, ...] = ()

    @property
    def shows_a_style(self) -> bool:
        """The pictures need no faces."""
        return self.class_noun == STYLE_NOUN

    @property
    def photo_settings(self) -> PhotoSettings:
        """What the check asks of the photos."""
        return PhotoSettings(faces=IGNORED) if self.shows_a_style else PhotoSettings()

    @property
    def accepted(self) -> tuple[Path, ...]:
        return tuple(verdict.path for verdict in self.report.accepted) if self.report else ()


@dataclass(frozen=True)
class Checking:
    """A check that goes on now."""

    done: int
    total: int


class Desk:
    """Drafts below one folder, and the checks that run for them, each in a thread of its own."""

    def __init__(self, studio: Studio, *, ask_folder: bool) -> None:
        self._studio, self._ask_folder = studio, ask_folder
        self._folder = studio.host.folders().data / "drafts"
        self._running: dict[str, Checking] = {}
        self._drafts: dict[str, Draft] = {}
        self._lock = threading.RLock()

    def draft(self, key: str) -> Draft:
        """The draft of a browser; an empty one when there is none, it is damaged or was erased meanwhile."""
        if not _KEY.fullmatch(key):
            return Draft()
        with self._lock:
            if not (self._folder / key / "draft.json").is_file():
                self._drafts.pop(key, None)
                return Draft()
            if key not in self._drafts:
                self._drafts[key] = self._read(key)
            return self._drafts[key]

    def checking(self, key: str) -> Checking | None:
        return self._running.get(key)

    def _read(self, key: str) -> Draft:
        try:
            draft = from_json(Draft, json.loads((self._folder / key / "draft.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return Draft()
        return draft if all(path.is_file() for path in draft.photos) else Draft()

    def save(self, key: str, draft: Draft) -> None:
        """Remember a draft; raises `BadInput` for a browser without a key."""
        if not _KEY.fullmatch(key):
            raise Refusal(BadInput, "nokey")
        with self._lock:
            self._drafts[key] = draft
            write_json(self._folder / key / "draft.json", to_json(draft))

    def note(self, key: str, **changes: Any) -> None:
        """Change fields of a draft; raises `BadInput` for a browser without a key."""
        with self._lock:
            draft = self.draft(key)
            changed = replace(draft, **changes)
            if changed != draft:
                self.save(key, changed)

    def clear(self, key: str) -> None:
        """Erase a draft and its copies of photos."""
        if _KEY.fullmatch(key):
            with self._lock:
                self._drafts.pop(key, None)
                shutil.rmtree(self._folder / key, ignore_errors=True)

    def sweep(self) -> None:
        """Erase drafts that nobody has touched for two weeks."""
        for path in self._folder.glob("*/draft.json"):
            if time.time() - path.stat().st_mtime > KEEP_DAYS * 86400:
                self.clear(path.parent.name)

    def start_check(self, key: str, files: list[Path], folder: str) -> None:
        """Add photos to the draft and check all of them in the background.

        Raises `TooFewPhotos`, `InvalidSettings` (too many), `FileTooLarge` (nothing else is there), `WrongState` while
        a check goes on, `NotFound` (folder).
        """
        draft = self.draft(key)
        fitting, left_out = _by_size(_chosen(files, folder if self._ask_folder else ""))
        photos = _distinct([*draft.photos, *fitting])
        if not photos and left_out:
            raise Refusal(FileTooLarge, "toolarge", names=", ".join(left_out), most=MOST_MB)
        if not photos:
            raise Refusal(TooFewPhotos, "nofiles")
        self._begin(key, len(photos))
        try:
            self.save(key, draft)
            self.note(key, photos=self._copied(key, photos), report=None, error=None, left_out=left_out)
        except BaseException:
            self._running.pop(key, None)
            raise
        threading.Thread(target=self._check, args=(key, self.draft(key)), name="avatar-photos", daemon=True).start()

    def _begin(self, key: str, total: int) -> None:
        with self._lock:
            if key in self._running:
                raise Refusal(WrongState, "checking")
            self._running[key] = Checking(0, total)

    def _copied(self, key: str, photos: list[Path]) -> tuple[Path, ...]:
        """Copies in the draft's folder under the names they had; a name that comes twice gets a number."""
        target = self._folder / key / "photos"
        fresh = target.with_name("photos.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        names: list[str] = []
        for photo in photos:
            name, number = photo.name, 2
            while name in names:
                name, number = f"{photo.stem}-{number}{photo.suffix}", number + 1
            copy_with_caption(photo, fresh / name)
            names.append(name)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        return tuple(target / name for name in names)

    def _check(self, key: str, draft: Draft) -> None:
        def progress(done: int, total: int) -> None:
            self._running[key] = Checking(done, total)

        changes: dict[str, Any] = {}
        try:
            changes["report"] = self._studio.check_photos(draft.photos, draft.photo_settings.dict(), progress)
        except Exception as error:  # noqa: BLE001  the border: a check that fails is named in the panel
            changes["error"] = named(error).to_json()
        finally:
            changes = changes or {"error": Crashed("The check ended early.").to_json()}
            self._finish(key, draft, changes)

    def _finish(self, key: str, draft: Draft, changes: dict[str, Any]) -> None:
        """Keep what was found, unless the photos were exchanged or cleared meanwhile."""
        try:
            if self.draft(key).photos == draft.photos:
                self.note(key, **changes)
        finally:
            self._running.pop(key, None)


def _chosen(files: list[Path], folder: str) -> list[Path]:
    """Uploaded files and the pictures in a named folder. Raises `NotFound` when there is no such folder."""
    found = list(files)
    if folder.strip():
        path = Path(folder.strip().strip('"')).expanduser()
        if not path.is_dir():
            raise Refusal(NotFound, "nofolder", folder=folder.strip())
        found += pictures_in([path])
    return found


def _by_size(files: list[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """What a check takes, and the names of what is too large to be read, hashed or copied."""
    large = [path for path in files if path.stat().st_size > Limits().file_bytes]
    return [path for path in files if path not in large], tuple(path.name for path in large)


def _distinct(photos: list[Path]) -> list[Path]:
    """Each content once. Raises `WrongState` for an empty file, an upload that has not arrived; `InvalidSettings` as
    soon as there are too many."""
    found: dict[str, Path] = {}
    for photo in photos:
        if photo.stat().st_size == 0:
            raise Refusal(WrongState, "notarrived", name=photo.name)
        found.setdefault(sha256_of(photo), photo)
        if len(found) > MAX_PHOTOS:
            raise Refusal(InvalidSettings, "toomany", n=len(photos), most=MAX_PHOTOS)
    return list(found.values())
