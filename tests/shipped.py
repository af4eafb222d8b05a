"""The shipped checkpoint, of this repository's own drawings."""
from __future__ import annotations

from pathlib import Path

import personal_avatar
from personal_avatar.domain import BaseModelFile, Family

FOLDER = Path(personal_avatar.__file__).parent / "assets" / "avatar-tiny"


def tiny(name: str = "avatar-tiny.safetensors") -> BaseModelFile:
    """`name`: of another file that would lie beside it."""
    path = FOLDER / name
    return BaseModelFile(path, "avatar-tiny", Family.SD1, config=path.with_suffix(".yaml"), native_px=192)
