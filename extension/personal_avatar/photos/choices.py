"""What a person decided about photos, told by their names: taken in spite of the verdict, left out, which face."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from personal_avatar.domain import PhotoChoice
from personal_avatar.errors import BadInput
from personal_avatar.problems import stated
from personal_avatar.storage import sha256_of


def choices_of(
    photos: Sequence[Path], take: Sequence[str] = (), leave: Sequence[str] = (), faces: Sequence[str] = ()
) -> dict[str, PhotoChoice]:
    """By the SHA-256 of the files. `take`, `leave`: names of photos; `faces`: "NAME=2" for its second largest face.

    Raises `BadInput`, which names all that cannot be: names without a photo, taken and left out at once, no number.
    """
    chosen, problems = _faces(faces)
    both = sorted(set(take) & set(leave))
    problems += [f"{name} cannot be taken and left out" for name in both]
    wanted = {name: PhotoChoice() for name in (*take, *leave, *chosen)}
    wanted |= {name: replace(wanted[name], take=True) for name in take}
    wanted |= {name: replace(wanted[name], take=False) for name in leave}
    wanted |= {name: replace(wanted[name], face=face) for name, face in chosen.items()}
    found = _by_name(photos)
    problems += [f"there is no photo {name}" for name in sorted(wanted) if not found.get(name)]
    problems += [f"there are several photos {name}" for name in sorted(wanted) if len(found.get(name, ())) > 1]
    if problems:
        raise stated(BadInput, "failure.undecided", "remedy.name_photos", problems="; ".join(problems))
    return {sha256_of(found[name][0]): choice for name, choice in wanted.items()}


def _faces(texts: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Name -> place among the faces, from 0; and what could not be read."""
    chosen: dict[str, int] = {}
    problems = []
    for text in texts:
        name, _, number = text.rpartition("=")
        if name and number.isdecimal() and 0 < int(number[:4]) < 1000:
            chosen[name] = int(number) - 1
        else:
            problems.append(f"{text} is not of the form NAME=2")
    return chosen, problems


def _by_name(photos: Sequence[Path]) -> Mapping[str, list[Path]]:
    """By file name and by path as it was written."""
    found: dict[str, list[Path]] = {}
    for photo in photos:
        for name in {photo.name, str(photo)}:
            found.setdefault(name, []).append(photo)
    return found
