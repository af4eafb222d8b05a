"""What lies in folders that many programs share, such as those of ControlNets with hundreds of large files.

Folders are listed at every question, so that what was just put there is seen; the header of a file is read once in a
process, and again when the file changed.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.identity.kinds import SUFFIXES, Found, Other, read_shapes, recognised

MAX_DEPTH = 6
# Folders beside those that are looked for, which hold many or large files of other kinds.
FOREIGN = frozenset({
    "stable-diffusion", "lora", "loras", "lycoris", "vae", "vae-approx", "embeddings", "hypernetworks", "esrgan",
    "realesrgan", "swinir", "gfpgan", "codeformer", "deepbooru", "torch_deepdanbooru", "blip", "karlo", "adetailer",
    "checkpoints", "unet", "text_encoder", "clip", "upscale_models", "diffusion_models", "animatediff", "__pycache__",
    "node_modules", "site-packages", "venv", "outputs", "avatars", "jobs",
})


def contents(folders: Sequence[Path]) -> Iterator[tuple[Path, int, Found | WeightsCorrupt]]:
    """Every file that may hold a network, with its size in bytes and what it is."""
    for path, own_parts in _with_depth(folders, SUFFIXES):
        try:
            status = path.stat()
        except OSError:
            continue
        yield path, status.st_size, _content(path, own_parts, status.st_size, status.st_mtime_ns)


def files(folders: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Each file once, in the order of the folders and of the names, at most `MAX_DEPTH` folders deep."""
    return (path for path, _ in _with_depth(folders, suffixes))


def _with_depth(folders: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    """With the number of names that belong to the file: its own, those of folders, and that of the first folder."""
    seen: set[str] = set()
    for folder in folders:
        for name in _below(folder, MAX_DEPTH):
            if name.lower().endswith(suffixes) and name not in seen:
                seen.add(name)
                path = Path(name)
                yield path, len(path.parts) - len(folder.parts) + 1


def _below(folder: Path | str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name.lower())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _holds(entry.is_file):
            yield entry.path
        elif depth > 1 and entry.name.lower() not in FOREIGN and _holds(entry.is_dir):
            yield from _below(entry.path, depth - 1)


def _holds(question: Callable[[], bool]) -> bool:
    """A link in a circle is neither a file nor a folder: asking raises."""
    try:
        return question()
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _content(path: Path, own_parts: int, _size: int, _modified_ns: int) -> Found | WeightsCorrupt:
    """What a file is; the error where it cannot be read, as an answer, because a folder may hold anything."""
    try:
        return recognised(read_shapes(path), path, own_parts)
    except WeightsCorrupt as error:
        return error
    except (ValueError, RecursionError):
        return Other("of an unknown kind")
