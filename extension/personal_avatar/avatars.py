"""Avatars on disk: one folder each, which can be copied to another machine.

avatars/<id>/  avatar.json  photos/  dataset/  portraits/
"""
from __future__ import annotations

import itertools
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from personal_avatar.captions.files import caption_file, copy_with_caption, without_captions
from personal_avatar.domain import Avatar, Checkpoint, Consent, from_json, to_json
from personal_avatar.errors import NotFound, WrongState
from personal_avatar.params import shown
from personal_avatar.photos.dataset import sources_of
from personal_avatar.problems import refused
from personal_avatar.storage import is_half_written, plain_suffix, sha256_of, slug, writable, write_bytes, write_json

AVATAR_FILE = "avatar.json"
DATASET = "dataset"  # the folder of an avatar in which its photos lie as they are trained on
DIGITS = 12  # of a photo's SHA-256, in its name
Stamp = tuple[int, int, int]  # of a file: which it is, how long, when it was written
TRIGGER_TOKEN = "sks"
NOUN = "class_type"  # what the class noun is called in requests
# What is published beside a LoRA, an embedding or a checkpoint: pictures, card, configuration.
COMPANIONS = (".png", ".preview.png", ".json", ".yaml")
# Unicode's controls of direction: what stands behind one is shown in another order than it has.
DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MARKS = "PZC"  # first letters of Unicode's categories: punctuation, spaces, control characters
UNSEEN = ("Cc", "Zl", "Zp")  # Unicode's categories of control characters and of ends of lines and paragraphs
RESERVED_IDS = frozenset({"train"})  # /models/train is an address of its own in the API


def subject_prompt(point: Checkpoint, lora_weight: float) -> str:
    """What stands for the person in a prompt: the trigger, and before it the network where the file is a LoRA."""
    if not point.method.is_lora:
        return point.trigger
    return f"<lora:{point.path.stem}:{lora_weight:g}> {point.trigger}"


def now_iso() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()


class AvatarStore:
    """All avatars below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[Stamp, Avatar]] = {}

    def folder(self, avatar_id: str) -> Path:
        """The folder of an avatar; raises `NotFound`, also for names that are no ids."""
        path = self._folder / avatar_id
        if avatar_id != slug(avatar_id) or not (path / AVATAR_FILE).is_file():
            raise _nobody(avatar_id)
        return path

    def load(self, avatar_id: str) -> Avatar:
        """Raises `NotFound`, and `ValueError` when its file is damaged."""
        return self._read(self.folder(avatar_id).name)

    def _read(self, avatar_id: str) -> Avatar:
        """The avatar in a folder, from memory as long as its file is the same; `OSError` without the file."""
        path = self._folder / avatar_id / AVATAR_FILE
        found = path.stat()
        stamp = found.st_ino, found.st_size, found.st_mtime_ns
        known = self._seen.get(avatar_id)
        if known is None or known[0] != stamp:
            known = stamp, from_json(Avatar, json.loads(path.read_text(encoding="utf-8")))
            self._seen[avatar_id] = known
        return known[1]

    def save(self, avatar: Avatar) -> None:
        write_json(self._folder / avatar.id / AVATAR_FILE, to_json(avatar))
        self._seen.pop(avatar.id, None)

    def all(self, user_id: str | None = None, after: str = "", limit: int | None = None) -> list[Avatar]:
        """Avatars in the order of their ids, `limit` at most; a damaged folder is left out. `after`: only those behind
        this id."""
        return list(itertools.islice(self._each(user_id, after), limit))

    def _each(self, user_id: str | None, after: str = "") -> Iterator[Avatar]:
        for avatar_id in self._ids():
            try:
                avatar = self._read(avatar_id) if avatar_id > after else None
            except (ValueError, OSError):
                continue
            if avatar is not None and user_id in (None, avatar.user_id):
                yield avatar

    def _ids(self) -> list[str]:
        """Names of all folders that may be avatars, sorted. What is gone is not remembered either."""
        try:
            with os.scandir(self._folder) as entries:
                found = {entry.name for entry in entries}
        except FileNotFoundError:
            found = set()
        for gone in self._seen.keys() - found:
            self._seen.pop(gone, None)
        return sorted(name for name in found if name in self._seen or name == slug(name))

    def find(self, name_or_id: str, user_id: str | None = None) -> Avatar:
        """An avatar by its id (anybody's), else by its name (the user's); raises `NotFound`."""
        try:
            return self.load(name_or_id)
        except (ValueError, NotFound):
            return self._named(name_or_id, user_id)

    def own(self, name_or_id: str, user_id: str) -> Avatar:
        """The user's avatar with this id or name, whatever others have; raises `NotFound`."""
        try:
            avatar = self.load(name_or_id)
        except (ValueError, NotFound):
            return self._named(name_or_id, user_id)
        return avatar if avatar.user_id == user_id else self._named(name_or_id, user_id)

    def _named(self, name: str, user_id: str | None) -> Avatar:
        for avatar in self._each(user_id):
            if same_name(avatar.name, name):
                return avatar
        raise _nobody(name)

    def choices(self) -> list[str]:
        """What each avatar can be chosen and found by, for lists of plain texts: its name; its id where the name is
        there twice or is another's id."""
        everybody = self.all()
        names, ids = Counter(avatar.name for avatar in everybody), {avatar.id for avatar in everybody}

        def is_clear(avatar: Avatar) -> bool:
            return names[avatar.name] == 1 and avatar.name not in ids - {avatar.id}

        return [avatar.name if is_clear(avatar) else avatar.id for avatar in everybody]

    def open(
        self, name: str, *, user_id: str, class_noun: str, statement: str, stated_by: str = "", door: str = ""
    ) -> Avatar:
        """The user's avatar of this name, made when there is none, with one more consent: `statement`, given by
        `stated_by` (the user when empty) at `door`. Another user's name gives a number behind the id."""
        name, class_noun = checked_name(name), checked_noun(class_noun)
        consent = Consent(statement, stated_by or user_id, now_iso(), door=door)
        for avatar_id in _ids_for(name):
            if not (self._folder / avatar_id / AVATAR_FILE).exists():
                break
            avatar = self.load(avatar_id)
            if avatar.user_id == user_id and same_name(avatar.name, name):
                return replace(avatar.agreed(consent), class_noun=class_noun, trigger=_trigger(class_noun))
        return Avatar(avatar_id, name, user_id, class_noun, _trigger(class_noun), now_iso(), consent=consent)

    @contextmanager
    def begun(self, avatar: Avatar) -> Iterator[None]:
        """A new avatar is there before anything else of it, to be found and erased whatever happens then. When
        something is raised meanwhile nothing of it is left; a folder that was there stays."""
        folder = self._folder / avatar.id
        was_there = folder.exists()
        try:
            if not (folder / AVATAR_FILE).exists():
                self.save(avatar)
            yield
        except BaseException:
            if not was_there:
                _take_back(folder)
            raise

    def add_photos(self, avatar: Avatar, photos: Iterable[Path]) -> tuple[Path, ...]:
        """Copy the originals and their captions into the avatar's folder, named by content, in place of earlier ones.

        The order is kept.
        """
        target = self._folder / avatar.id / "photos"
        fresh = target.with_name("photos.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            names = [_copied(photo, fresh, number) for number, photo in enumerate(photos, start=1)]
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            if not any(fresh.parent.iterdir()):
                fresh.parent.rmdir()
            raise
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        return tuple(target / name for name in names)

    def photos(self, avatar_id: str) -> list[Path]:
        """What an avatar was trained from, without captions, in the order in which it was given; all that was given
        where its dataset was made of none of them."""
        given, known = self._given(avatar_id), sources_of(self.folder(avatar_id) / DATASET)
        digits = {sha256[:DIGITS] for sha256 in known}
        return [photo for photo in given if photo.name.partition("-")[2][:DIGITS] in digits] or given

    def keep_photos(self, avatar_id: str, names: Collection[str]) -> None:
        """Erase all photos but those with these names, and their captions; what is in use stays."""
        for photo in self._given(avatar_id):
            if photo.name not in names:
                erased(caption_file(photo))
                erased(photo)

    def _given(self, avatar_id: str) -> list[Path]:
        return without_captions(sorted((self.folder(avatar_id) / "photos").glob("[0-9]*")))

    def delete(self, avatar_id: str, others: Iterable[Path] = ()) -> None:
        """Erase an avatar's photos, embeddings and portraits. What says that it is there goes last, when nothing of
        them is left, nor `others`, which the caller could not erase: until then it can be erased again.

        Raises `NotFound`, and `WrongState` with what is left.
        """
        left = erase_folder(self.folder(avatar_id), AVATAR_FILE, others)
        self._seen.pop(avatar_id, None)
        if left:
            named = ", ".join(map(str, left))
            hint = "Close what uses them, or see to it that they may be deleted, and try again."
            raise WrongState(f"These could not be erased: {named}.", hint)


def companions(file: Path) -> list[Path]:
    """Names of what may have been published beside a trained file."""
    return [path for suffix in COMPANIONS if (path := file.with_suffix(suffix)) != file]


def erase_trained(file: Path) -> list[Path]:
    """Remove what was trained, with what was published beside it; the file itself, by which the others are found, only
    when none of them is left. Returns all that is left."""
    left = [path for path in companions(file) if not _unlinked(path)]
    if left or not (erased if is_half_written(file) else _unlinked)(file):
        left.append(file)
    return left


def erase_folder(folder: Path, last: str, others: Iterable[Path] = ()) -> list[Path]:
    """Remove a folder; the file `last`, by which it is found, only when nothing else of it is left, nor `others`.
    Returns all that is left."""
    left = [*others, *(path for path in folder.iterdir() if path.name != last and not erased(path))]
    if left:
        return left
    told = (folder / last).read_bytes()
    if erased(folder):
        return []
    if not (folder / last).exists():  # the system does not let go of the empty folder: it can be found, too
        write_bytes(folder / last, told)
    return [folder]


def _take_back(folder: Path) -> None:
    """Remove the folder of an avatar as far as that can be done; see `erase_folder`."""
    if (folder / AVATAR_FILE).exists():
        erase_folder(folder, AVATAR_FILE)
    elif folder.exists():
        erased(folder)


def erased(path: Path) -> bool:
    """Remove a file, or a folder with all that can be removed of it; whether nothing is left."""
    if path.is_symlink() or not path.is_dir():
        return _unlinked(path)
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def _nobody(name_or_id: str) -> NotFound:
    hint = "Look at the list of avatars (`personal-avatar avatars list`), or train one first."
    return NotFound(f"There is no avatar {name_or_id!r}.", hint)


def _copied(photo: Path, folder: Path, number: int) -> str:
    """Copy a photo under a name made of its place and content; returns the name."""
    name = f"{number:02d}-{sha256_of(photo)[:DIGITS]}{plain_suffix(photo)}"
    copy_with_caption(photo, folder / name)
    return name


def _ids_for(name: str) -> Iterator[str]:
    """Ids for a name, in the order in which they are tried."""
    word = slug(name)
    if word not in RESERVED_IDS:
        yield word
    yield from (f"{word[:44].rstrip('-')}-{number}" for number in itertools.count(2))


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same letters, however their accents are written: macOS takes them apart."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def checked_name(name: str) -> str:
    """The same name without spaces around it and with its accents on their letters (NFC); raises `InvalidSettings` for
    what is none, holds bytes that are no text, does not fit on one line, or is shown in another order than it is
    written in."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > 80:
        raise refused("problem.name.length")
    if not writable(name):
        raise refused("problem.name.bytes", "remedy.name.bytes")
    if any(unicodedata.category(sign) in UNSEEN for sign in name):
        raise refused("problem.name.control", "remedy.name.control")
    if DIRECTIONS & set(name):
        raise refused("problem.name.direction", "remedy.name.direction")
    if all(unicodedata.category(sign)[0] in MARKS for sign in name):
        raise refused("problem.name.none", "remedy.name.none", got=shown(name))
    return name


def checked_noun(class_noun: str) -> str:
    """The same noun with single spaces; raises `InvalidSettings` for what is no English noun, or the trigger itself."""
    words = [word for word in class_noun.split(" ") if word]
    noun = " ".join(words)
    if not noun.isascii() or not "".join(words).isalpha() or len(noun) > 30:
        raise refused("problem.noun.english", name=NOUN, got=shown(class_noun))
    if TRIGGER_TOKEN in (word.lower() for word in words):
        raise refused("problem.noun.trigger", "remedy.noun.trigger", name=NOUN, word=TRIGGER_TOKEN)
    return noun


def _trigger(class_noun: str) -> str:
    return f"{TRIGGER_TOKEN} {class_noun}"
