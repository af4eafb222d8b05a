"""Where a CLIP for pictures and words may lie: our folders, the cache of the WebUI's interrogator, the hub's cache.

Nothing is fetched. The text half inside a Stable Diffusion checkpoint does not do: it cannot see.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from personal_avatar.errors import BaseUnsupported
from personal_avatar.pickles import read_contents
from personal_avatar.ranking.scripted import is_scripted

PATTERNS = ("*.safetensors", "*.pt", "*.bin")
PLACES = ("", "clip", "clip*", "*clip*", "models--*clip*/snapshots/*")
BOTH_HALVES = (
    {"visual_projection.weight", "text_projection.weight"}, {"visual.proj", "text_projection", "visual.conv1.weight"},
)
SMALLEST_BYTES = 2**20
OPENAI_NAMES = ("vit-b-32", "vit-b-16", "vit-l-14")


def find(folders: Sequence[Path]) -> Path | None:
    """The largest file with both halves in the first folder that has one; None without any."""
    for folder in folders:
        found = sorted(set(_candidates(folder)), key=lambda path: (-path.stat().st_size, str(path)))
        for path in found:
            if sees_and_reads(path):
                return path
    return None


def usual_folders() -> tuple[Path, ...]:
    """Where other programs keep theirs: OpenAI's package, and the hub's cache."""
    home = Path.home() / ".cache"
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or home / "huggingface") / "hub")
    return (home / "clip", hub)


def sees_and_reads(path: Path) -> bool:
    """Whether a file has both halves of CLIP; no tensor is read."""
    try:
        names = _names(path)
    except (OSError, ValueError, BaseUnsupported):
        return False
    return any(both <= names for both in BOTH_HALVES)


def _candidates(folder: Path) -> Iterator[Path]:
    for place in PLACES:
        for inner in folder.glob(place) if place else (folder,):
            for pattern in PATTERNS:
                yield from (one for one in inner.glob(pattern) if one.stat().st_size > SMALLEST_BYTES)


def _names(path: Path) -> set[str]:
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                return set(file.keys())
        except SafetensorError:
            return set()
    if is_scripted(path):  # whose contents are objects: told by the name under which OpenAI published it
        return set(BOTH_HALVES[1]) if path.stem.lower().startswith(OPENAI_NAMES) else set()
    return set(read_contents(path))
