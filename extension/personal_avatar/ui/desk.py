"""What a user has laid out before a training starts: photos, name, consent, decisions and the report, kept on disk.

drafts/<key>/  draft.json  photos/ (with captions)  and pictures made of them (photo_pictures.py); one a browser: `key`
is drawn by the browser and remembered there.
"""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from personal_avatar.captions.editing import History
from personal_avatar.domain import PhotoChoice, PhotoReport, PhotoVerdict, from_json, to_json
from personal_avatar.errors import BadInput, NotFound, NotReadable
from personal_avatar.params import validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.problems import stated
from personal_avatar.records import kept, put_aside, reading
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio, means_style, photos_meant, pictures_in
from personal_avatar.studio.drafts import FILE, KEY, caption_jobs, sweep
from personal_avatar.ui.photo_files import homed
from personal_avatar.ui.plan_kept import known
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.working import CHECK, Working, Workshop

KEEP_DAYS = 14
NO_CAPTION_JOB: dict[str, Any] = {"caption_job": "", "captions_before": {}, "captioned": {}}
_ALWAYS = ("name", "class_noun", "photos", "caption_jobs")  # of every draft, in whatever version


@dataclass(frozen=True)
class Draft:
    """One laid-out person. `report` None: not checked yet.

    `left_out`: names of files that were given to the last check and were too large to be taken. `choices`: what was
    decided by hand, by the photo's SHA-256; those of photos that were removed stay, for the day they come again.
    `settings`: of the photos, what differs from the defaults. `plan`: method, engine, goal and settings of a training,
    as far as the user chose them (plan_kept.py). `caption_job`: the job that writes captions, until its captions were
    taken, with what there was when it began: `captions_before`, and `captioned`, its photos' SHA-256 by name;
    `caption_jobs`: all that ever did, which go with the draft.
    """

    name: str = ""
    class_noun: str = "person"
    consent: bool = False
    photos: tuple[Path, ...] = ()
    report: PhotoReport | None = None
    left_out: tuple[str, ...] = ()
    choices: dict[str, PhotoChoice] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    caption_job: str = ""
    caption_jobs: tuple[str, ...] = ()
    captions_before: dict[str, str] = field(default_factory=dict)
    captioned: dict[str, str] = field(default_factory=dict)

    @property
    def shows_a_style(self) -> bool:
        """Nobody is trained."""
        return means_style(self.class_noun)

    @property
    def asked(self) -> dict[str, Any]:
        """What check and training are told of the photos: what differs from the defaults."""
        return photos_meant(self.class_noun, self.settings)

    @property
    def photo_settings(self) -> PhotoSettings:
        return validated(PhotoSettings, self.asked)

    @property
    def accepted(self) -> tuple[Path, ...]:
        return tuple(verdict.path for verdict in self.report.accepted) if self.report else ()

    def verdict(self, name: str) -> PhotoVerdict:
        """Of the photo with this file name; raises `NotFound`, as a page may be older than the draft."""
        for verdict in self.report.photos if self.report else ():
            if verdict.path.name == name:
                return verdict
        raise Refusal(NotFound, "nosuchphoto", name=name)

    def without(self, name: str) -> Draft:
        """One photo less; what was decided about it is remembered."""
        photos = tuple(path for path in self.photos if path.name != name)
        kept = tuple(one for one in self.report.photos if one.path.name != name) if self.report else ()
        report = replace(self.report, photos=kept) if self.report and kept else None
        return replace(self, photos=photos, report=report)


class Desk:
    """Drafts below one folder, and the work that goes on for them."""

    def __init__(self, studio: Studio, *, ask_folder: bool) -> None:
        self.studio, self.ask_folder = studio, ask_folder
        self.work = Workshop()
        self._folder = studio.host.folders().data / "drafts"
        self._drafts: dict[str, Draft] = {}
        self._erased: dict[str, int] = {}
        self.histories: dict[str, History] = {}
        self.lock = threading.RLock()

    def draft(self, key: str) -> Draft:
        """The draft of a browser; an empty one when there is none or it was erased meanwhile. Raises `NotReadable`."""
        if not KEY.fullmatch(key):
            return Draft()
        path = self._folder / key / FILE
        with self.lock:
            with reading(path):
                is_there = path.is_file()
            if not is_there:
                self._forget(key)
                return Draft()
            if key not in self._drafts:
                self._drafts[key] = self._read(key)
            return self._drafts[key]

    def folder(self, key: str) -> Path:
        """Where a draft lies; raises `BadInput` for a browser without a key."""
        if not KEY.fullmatch(key):
            raise Refusal(BadInput, "nokey")
        return self._folder / key

    def photos(self, key: str) -> Path:
        """Where the photos of a draft and their captions lie."""
        return self.folder(key) / "photos"

    def cuttings(self, key: str) -> Path:
        """Where small copies of the training pictures lie."""
        return self.folder(key) / "cut"

    def open(self, key: str) -> None:
        """Let there be a draft on disk, as it is."""
        with self.lock:
            self.save(key, self.draft(key))

    def checking(self, key: str) -> Working | None:
        """A check that goes on now."""
        return self.work.now(key, CHECK)

    def _read(self, key: str) -> Draft:
        """What an earlier version wrote otherwise is left out, the report first: the photos can be checked again."""
        path = self._folder / key / FILE
        try:
            if (stored := kept(path)) is None:
                return Draft()
            stored = homed(stored, self.photos(key))
            least = {name: stored[name] for name in _ALWAYS if name in stored}
            draft = _first_readable(stored, {**stored, "report": None}, least)
        except (ValueError, TypeError):
            return self._recovered(key, path)
        for photo in draft.photos:
            draft = draft if photo.is_file() else draft.without(photo.name)
        return replace(draft, plan=known(draft.plan))

    def _recovered(self, key: str, damaged: Path) -> Draft:
        """What is left of a draft whose file is damaged: its photos, and which jobs described them. The user is told
        where the file lies."""
        described = tuple(sorted(caption_jobs(damaged.parent)))
        aside = put_aside(damaged)
        photos = tuple(photo for photo in pictures_in([self.photos(key)]) if photo.is_file())
        draft = Draft(photos=photos, caption_jobs=described)
        self.save(key, draft)
        error = stated(NotReadable, "failure.draft_damaged", "remedy.note_again", aside=aside)
        self.work.fail(key, CHECK, error.to_json())
        return draft

    def save(self, key: str, draft: Draft) -> None:
        """Remember a draft; raises `BadInput` for a browser without a key."""
        path = self.folder(key) / FILE
        with self.lock:
            write_json(path, to_json(draft))
            self._drafts[key] = draft

    def note(self, key: str, **changes: Any) -> None:
        """Change fields of a draft; raises `BadInput` for a browser without a key."""
        with self.lock:
            draft = self.draft(key)
            changed = replace(draft, **changes)
            if changed != draft:
                self.save(key, changed)

    def clear(self, key: str) -> None:
        """Erase a draft with all that was made of its photos, and the jobs that described them."""
        if KEY.fullmatch(key):
            with self.lock:
                described = caption_jobs(self._folder / key)
                self._forget(key)
                self.work.forget(key)
                shutil.rmtree(self._folder / key, ignore_errors=True)
                self.studio.seen.forget(self._folder / key)
            for job_id in described:
                self.studio.captions.drop(job_id)

    def _forget(self, key: str) -> None:
        self.histories.pop(key, None)  # whoever erased the draft: its captions are the person's, too
        if self._drafts.pop(key, None) is not None:
            self._erased[key] = self.erased(key) + 1

    def erased(self, key: str) -> int:
        """How often this process saw the draft erased: tells one draft of a browser from its next."""
        return self._erased.get(key, 0)

    def gone(self, key: str, began: int) -> bool:
        """Whether a draft is gone for which work began when `erased` was `began`; to be asked at the end of it."""
        with self.lock:
            self.draft(key)
            return self.erased(key) != began or not (self.folder(key) / FILE).is_file()

    def outlived(self, key: str, began: int, made: Path) -> bool:
        """`gone`; then what the work has written since into the folder `made` is erased as well."""
        with self.lock:
            if not self.gone(key, began):
                return False
            shutil.rmtree(made, ignore_errors=True)
            sweep(self._folder)
            return True

    def sweep(self) -> None:
        """Erase drafts that nobody has touched for two weeks, and what is left of others."""
        for path in self._folder.glob(f"*/{FILE}"):
            with suppress(NotReadable):  # it goes another time
                if _idle_s(path.parent) > KEEP_DAYS * 86400:
                    self.clear(path.parent.name)
        sweep(self._folder)


def _idle_s(folder: Path) -> float:
    """Seconds since anything in a draft was changed, be it a caption alone; 0 where that cannot be seen now."""
    try:
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return 0.0


def _first_readable(*documents: Any) -> Draft:
    """Raises `ValueError` when none is a draft."""
    for document in documents[:-1]:
        try:
            return from_json(Draft, document)
        except ValueError:
            continue
    return from_json(Draft, documents[-1])
