"""Avatars on disk: one folder each, which can be copied to another machine.

avatars/<id>/  avatar.json  photos/  dataset/  portraits/
"""
from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from personal_avatar.captions.files import caption_file, copy_with_caption, without_captions
from personal_avatar.domain import Avatar, Checkpoint, Consent, from_json, to_json
from personal_avatar.erasure import erase_folder, erased
from personal_avatar.errors import NotFound, NotReadable, WrongState
from personal_avatar.linked import DATASET, PHOTOS, erase_avatar
from personal_avatar.names import checked_name, checked_noun, ids_for, nearly_same, same_name, trigger_of
from personal_avatar.photos.dataset import sources_of
from personal_avatar.records import kept, reading
from personal_avatar.storage import plain_suffix, sha256_of, slug, write_json

AVATAR_FILE = "avatar.json"
DIGITS = 12  # of a photo's SHA-256, in its name
Stamp = tuple[int, int, int]  # of a file: which it is, how long, when it was written


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
        """The folder of an avatar; raises `NotFound`, also for names that are no ids, and `NotReadable`."""
        path = self._folder / avatar_id
        with reading(path):
            is_there = avatar_id == slug(avatar_id) and (path / AVATAR_FILE).is_file()
        if not is_there:
            raise _nobody(avatar_id)
        return path

    def load(self, avatar_id: str) -> Avatar:
        """Raises `NotFound`, `NotReadable` when its file cannot be read now, and `ValueError` when it is damaged."""
        return self._read(self.folder(avatar_id).name)

    def _read(self, avatar_id: str) -> Avatar:
        """The avatar in a folder, from memory as long as its file is the same. Raises as `load`."""
        path = self._folder / avatar_id / AVATAR_FILE
        with reading(path):
            found = path.stat()
        stamp = found.st_ino, found.st_size, found.st_mtime_ns
        known = self._seen.get(avatar_id)
        if known is None or known[0] != stamp:
            known = stamp, from_json(Avatar, kept(path))
            self._seen[avatar_id] = known
        return known[1]

    def save(self, avatar: Avatar) -> None:
        write_json(self._folder / avatar.id / AVATAR_FILE, to_json(avatar))
        self._seen.pop(avatar.id, None)

    def all(self, user_id: str | None = None, after: str = "", limit: int | None = None) -> list[Avatar]:
        """Avatars in the order of their ids, `limit` at most; one that cannot be read is left out. `after`: only those
        behind this id."""
        return list(itertools.islice(self._each(user_id, after), limit))

    def _each(self, user_id: str | None, after: str = "") -> Iterator[Avatar]:
        for avatar_id in self._ids():
            try:
                avatar = self._read(avatar_id) if avatar_id > after else None
            except (ValueError, NotReadable):
                continue
            if avatar is not None and user_id in (None, avatar.user_id):
                yield avatar

    def damaged(self) -> list[str]:
        """Ids of those whose file is there and is no avatar's: they are in no list, and can be erased. Raises
        `NotReadable`."""
        return [one for one in self._ids() if self.is_damaged(one)]

    def is_damaged(self, avatar_id: str) -> bool:
        """See `damaged`; raises `NotReadable`, for a file that cannot be opened now may be sound."""
        try:
            self.load(avatar_id)
        except NotFound:
            return False
        except ValueError:
            return True
        return False

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

    def nearly(self, name: str, user_id: str) -> str:
        """The name of the user's avatar that differs from this one in the case of its letters alone; "" where there is
        none, and where there is one of exactly this name."""
        own, name = [avatar.name for avatar in self._each(user_id)], name.strip()
        if any(same_name(one, name) for one in own):
            return ""
        return next((one for one in own if nearly_same(one, name)), "")

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
        for avatar in self._each(user_id):
            if same_name(avatar.name, name):
                return replace(avatar.agreed(consent), class_noun=class_noun, trigger=trigger_of(class_noun))
        avatar_id = next(one for one in ids_for(name) if not (self._folder / one / AVATAR_FILE).exists())
        return Avatar(avatar_id, name, user_id, class_noun, trigger_of(class_noun), now_iso(), consent=consent)

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
        """Copy the originals and their captions into the avatar's folder, named by content, beside earlier ones.

        The order is kept. Nobody else may add photos to the avatar meanwhile, nor erase it (`Studio.starting`).
        """
        target = self._folder / avatar.id / PHOTOS
        fresh = target.with_name(f"{PHOTOS}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            names = [_copied(photo, fresh, number) for number, photo in enumerate(photos, start=1)]
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            if not any(fresh.parent.iterdir()):
                fresh.parent.rmdir()
            raise
        target.mkdir(exist_ok=True)
        placed = tuple(_placed(fresh / name, target) for name in names)
        shutil.rmtree(fresh, ignore_errors=True)
        return placed

    def photos(self, avatar_id: str) -> list[Path]:
        """What an avatar was trained from, without captions, in the order in which it was given; before that all that
        was given, or what a dataset was made of."""
        avatar, own = self.load(avatar_id), self.own_photos(avatar_id)
        return own if avatar.photos and avatar.checkpoints else self.used(avatar_id, own)

    def own_photos(self, avatar_id: str) -> list[Path]:
        """All photos of an avatar, without those that were added for a training that has not succeeded."""
        given, names = self.given(avatar_id), self.load(avatar_id).photos
        return [photo for photo in given if photo.name in names] if names else given

    def used(self, avatar_id: str, photos: Collection[Path]) -> list[Path]:
        """Those of the photos of which the avatar's dataset was made; all where it was made of none of them."""
        digits = {sha256[:DIGITS] for sha256 in sources_of(self.folder(avatar_id) / DATASET)}
        return [photo for photo in photos if photo.name.partition("-")[2][:DIGITS] in digits] or list(photos)

    def keep_photos(self, avatar_id: str, names: Collection[str]) -> None:
        """Erase all photos but those with these names, and their captions; what is in use stays."""
        for photo in self.given(avatar_id):
            if photo.name not in names:
                erased(caption_file(photo))
                erased(photo)

    def given(self, avatar_id: str) -> list[Path]:
        """All that lies there as its photos, also where nothing else is known of the avatar."""
        return without_captions(sorted((self.folder(avatar_id) / PHOTOS).glob("[0-9]*")))

    def delete(
        self, avatar_id: str, others: Iterable[Path] = (), is_shared: Callable[[Path], bool] = lambda _: False
    ) -> None:
        """Erase an avatar's photos, embeddings and portraits. What says that it is there goes last, when nothing of
        them is left, nor `others`, which the caller could not erase: until then it can be erased again.

        Where its folder, or that of its photos, is a link, what it leads to goes as far as it is ours, unless
        `is_shared`. Raises `NotFound`, and `WrongState` with what is left.
        """
        left = erase_avatar(self.folder(avatar_id), AVATAR_FILE, others, is_shared)
        self._seen.pop(avatar_id, None)
        if left:
            named = ", ".join(map(str, left))
            hint = "Close what uses them, or see to it that they may be deleted, and try again."
            raise WrongState(f"These could not be erased: {named}.", hint)


def _take_back(folder: Path) -> None:
    """Remove the folder of an avatar as far as that can be done; see `erase_folder`."""
    if (folder / AVATAR_FILE).exists():
        erase_folder(folder, AVATAR_FILE)
    elif folder.exists():
        erased(folder)


def _nobody(name_or_id: str) -> NotFound:
    hint = "Look at the list of avatars (`personal-avatar avatars list`), or train one first."
    return NotFound(f"There is no avatar {name_or_id!r}.", hint)


def _copied(photo: Path, folder: Path, number: int) -> str:
    """Copy a photo under a name made of its place and content; returns the name."""
    name = f"{number:02d}-{sha256_of(photo)[:DIGITS]}{plain_suffix(photo)}"
    copy_with_caption(photo, folder / name)
    return name


def _placed(photo: Path, folder: Path) -> Path:
    """Where the photo and its caption lie in `folder` from now on; with another caption it is another one there. One
    that is there already stays, and is mended."""
    alike = (one for one in folder.glob(f"{photo.stem}*") if one.suffix == photo.suffix)
    there = [one for one in alike if _caption(one) == _caption(photo)]
    if there:
        return photo.replace(min(there))
    names = (f"{photo.stem}{'' if number == 1 else f'-{number}'}{photo.suffix}" for number in itertools.count(1))
    target = next(folder / name for name in names if not (folder / name).exists())
    if (caption := caption_file(photo)) != photo and caption.is_file():
        caption.replace(target.with_suffix(caption.suffix))
    return photo.replace(target)


def _caption(photo: Path) -> bytes | None:
    file = caption_file(photo)
    return file.read_bytes() if file.is_file() else None
