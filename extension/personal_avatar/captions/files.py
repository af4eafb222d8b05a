"""The words that a picture is trained with: the user's own, in a text file beside the photo, or a template."""
from __future__ import annotations

import os
import re
import shutil
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable
from pathlib import Path

from personal_avatar import wording
from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import stated
from personal_avatar.storage import opened, write_bytes

SUFFIX = ".txt"
OTHER_SUFFIX = ".caption"  # what kohya's trainers look for when nothing else is said
CAPTION_SUFFIXES = (SUFFIX, OTHER_SUFFIX)
LONGEST = 2000
_LARGEST_BYTES = 16_000
_PLACE = re.compile(r"\{(?:trigger|class_noun)\}")


def caption_of(template: str, trigger: str, class_noun: str) -> str:
    """Fill {trigger} and {class_noun}; raises `InvalidSettings` for any other brace."""
    words = {"{trigger}": trigger, "{class_noun}": class_noun}
    if set("{}") & set(_PLACE.sub("", template)):
        raise stated(InvalidSettings, "failure.template", "remedy.braces", template=repr(template))
    return _PLACE.sub(lambda place: words[place[0]], template).strip()


def caption_file(photo: Path) -> Path:
    """Where the caption of `photo.jpg` is looked for: `photo.txt`, or `photo.caption` where there is only that."""
    text, other = photo.with_suffix(SUFFIX), photo.with_suffix(OTHER_SUFFIX)
    return other if os.path.isfile(other) and not os.path.exists(text) else text  # also of names too long for a caption


def sharing(photos: Iterable[Path]) -> dict[Path, str]:
    """Photos whose caption is that of one before them, as of `a.jpg` and `a.png`; what is to be said of it."""
    first: dict[Path, Path] = {}
    found = {}
    for photo in photos:
        file = caption_file(photo)
        if (other := first.setdefault(file, photo)) is not photo:
            found[photo] = wording.text("failure.shared_caption", photo=photo.name, other=other.name, file=file.name)
    return found


def is_caption(path: Path) -> bool:
    return path.suffix.lower() in CAPTION_SUFFIXES


def without_captions(files: Iterable[Path]) -> list[Path]:
    """Leave out the text files that lie beside a photo of the same name; the order is kept."""
    files = list(files)
    photos = {path.with_suffix("") for path in files if not is_caption(path)}
    return [path for path in files if not is_caption(path) or path.with_suffix("") not in photos]


def copy_with_caption(photo: Path, target: Path) -> None:
    """Copy a photo and, where there is one, the caption beside it. Raises `OSError` when the photo cannot be copied."""
    shutil.copyfile(photo, target)
    caption = caption_file(photo)
    if os.path.isfile(caption) and not is_caption(photo):
        shutil.copyfile(caption, caption_file(target))


def own_caption(photo: Path, trigger: str, former: str = "") -> str:
    """What the file beside `photo` says, on one line and with the trigger; "" without a file or with an empty one.

    A missing trigger is put first. `former`: another trigger, in place of which ours is written. Raises `ValueError`,
    whose text says what is wrong with the file.
    """
    text = written_caption(photo)
    if former:
        text = re.sub(rf"(?<!\w){re.escape(former)}(?!\w)", lambda _: trigger, text, flags=re.IGNORECASE)
    return with_trigger(text, trigger) if text else ""


def written_caption(photo: Path) -> str:
    """What the file beside `photo` says, on one line; "" without a file or with an empty one.

    Raises `ValueError`, whose text says what is wrong with the file.
    """
    path = caption_file(photo)
    if is_caption(photo) or not os.path.exists(path):
        return ""
    text = " ".join(_text(path).split())
    if len(text) > LONGEST:
        raise ValueError(f"{path.name} has {len(text)} characters, at most {LONGEST} are read")
    if any(unicodedata.category(sign) == "Cc" for sign in text):
        raise ValueError(f"{path.name} is not a text")
    return text


def refuse_unusable(photos: Iterable[Path]) -> None:
    """Raises `InvalidSettings`, which names every caption file beside the photos that cannot be used."""
    problems = []
    for photo in photos:
        try:
            written_caption(photo)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise stated(InvalidSettings, "failure.captions", "remedy.plain_captions", problems="; ".join(problems))


def write_caption(photo: Path, text: str, overwrite: bool = False) -> bool:
    """Write the file beside `photo`, or the one that a link there leads to, all of it or nothing; False when there is
    one already, which `overwrite` allows to replace. Raises `OSError`."""
    path = caption_file(photo)
    if not overwrite and path.exists():
        return False
    write_bytes(path.resolve() if path.is_symlink() else path, (" ".join(text.split()) + "\n").encode("utf-8"))
    return True


def with_trigger(text: str, trigger: str) -> str:
    """The trigger as it is written where the text has it in any case, else put before the text."""
    found = re.compile(rf"(?<!\w){re.escape(trigger)}(?!\w)", re.IGNORECASE)
    if not trigger:
        return text
    return found.sub(lambda _: trigger, text) if found.search(text) else f"{trigger}, {text}"


def _text(path: Path) -> str:
    """UTF-8, or UTF-16 with its mark."""
    try:
        with opened(path) as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror or error})") from error
    if len(data) > _LARGEST_BYTES:
        raise ValueError(f"{path.name} is longer than a caption")
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not written in UTF-8") from error
