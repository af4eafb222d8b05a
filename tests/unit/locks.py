"""Files in use by another program, as Windows has it, on every system and whoever runs the tests."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def lock(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Whoever removes a file or folder of one of these names is refused, until `patch` is undone."""
    for owner, word in ((os, "unlink"), (os, "rmdir"), (Path, "unlink")):
        patch.setattr(owner, word, _refusing(getattr(owner, word), names))


def _refusing(remove: Callable[..., None], names: tuple[str, ...]) -> Callable[..., None]:
    def refuse(path: Any, *args: Any, **more: Any) -> None:
        if Path(path).name in names:
            raise PermissionError(13, "in use by another program", str(path))
        remove(path, *args, **more)

    return refuse
