"""Files in use by another program, as Windows has it, or that cannot be opened now, whoever runs the tests."""
from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def lock(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Whoever removes a file or folder of one of these names is refused, until `patch` is undone."""
    for owner, word in ((os, "unlink"), (os, "rmdir"), (Path, "unlink")):
        patch.setattr(owner, word, _refusing(getattr(owner, word), names))


def unreadable(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Whoever reads a text of one of these names is told that too many files are open, until `patch` is undone."""
    read = Path.read_text

    def refuse(path: Path, *args: Any, **more: Any) -> str:
        if path.name in names:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return read(path, *args, **more)

    patch.setattr(Path, "read_text", refuse)


def _refusing(remove: Callable[..., None], names: tuple[str, ...]) -> Callable[..., None]:
    def refuse(path: Any, *args: Any, **more: Any) -> None:
        if Path(path).name in names:
            raise PermissionError(13, "in use by another program", str(path))
        remove(path, *args, **more)

    return refuse
