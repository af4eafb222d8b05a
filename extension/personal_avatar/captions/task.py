"""The payload of a job that describes photos."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CAPTION = "caption"  # the kind of job


@dataclass(frozen=True)
class CaptionTask:
    """`names`: what the copies in the job's folder `photos` were called, in the order of their numbers (`file_name`).

    `tagger`: its name in captions.taggers. `settings`: what differs from the defaults of `CaptionSettings`.
    """

    tagger: str
    names: tuple[str, ...]
    weights_folder: Path
    trigger: str = ""
    class_noun: str = "person"
    settings: dict[str, Any] = field(default_factory=dict)


def file_name(number: int) -> str:
    """The name of the copy of the photo with this place in the list."""
    return f"{number:04d}"
