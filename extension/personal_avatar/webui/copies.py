"""The extension may be installed twice, as a clone and from a ZIP: the copy that the WebUI runs first works alone."""
from __future__ import annotations

from pathlib import Path

from modules import scripts

from personal_avatar.wording import DEFAULT, text

OWN = Path(__file__).parents[3]  # the extension's folder that this package is in
_OTHERS: dict[Path, None] = {}  # in the order in which they were met


def is_another() -> bool:
    """Whether the script that the WebUI runs now is that of another copy; asked only while scripts are run."""
    caller = Path(scripts.basedir())
    if caller.resolve() == OWN.resolve():
        return False
    _OTHERS[caller] = None
    return True


def warning(language: str = DEFAULT) -> str:
    """Which folders to remove, of copies that were met and are still there; "" without any."""
    found = ", ".join(str(folder) for folder in _OTHERS if folder.exists())
    return text("page.copies", language, own=OWN, others=found) if found else ""
