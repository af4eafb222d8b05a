"""Where the data of an extension lie before the WebUI itself is there to be asked."""
from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

FOLDER_NAME = "personal-avatar"
_GENERATIONS = 4


def data_folder(extension: Path, words: Sequence[str], cwd: Path) -> Path:
    """The data folder for a WebUI started with `words`: --avatar-data-dir, else personal-avatar/ in its data path.

    The data path is --data-dir, else the folder that holds `extensions/`, else `cwd` (the launcher's own).
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--avatar-data-dir", default="")
    parser.add_argument("--data-dir", default="")
    said, _ = parser.parse_known_args(list(words))
    if said.avatar_data_dir:
        return Path(cwd, said.avatar_data_dir).absolute()
    if said.data_dir:
        return Path(cwd, said.data_dir).absolute() / FOLDER_NAME
    data_path = extension.parent.parent if extension.parent.name == "extensions" else cwd
    return data_path.absolute() / FOLDER_NAME


def launch_words() -> list[str]:
    """The WebUI's command line: the words of the launcher where the system tells them, and COMMANDLINE_ARGS."""
    try:
        words = shlex.split(os.environ.get("COMMANDLINE_ARGS", ""))
    except ValueError:
        words = []
    return _words_of_launcher() + words


def _words_of_launcher() -> list[str]:
    """Arguments of the nearest parent process that runs launch.py or webui.py; Linux only, elsewhere none."""
    process = os.getppid()
    for _ in range(_GENERATIONS):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return []
        for place, word in enumerate(words):
            if Path(word).name in ("launch.py", "webui.py"):
                return words[place + 1 :]
        process = parent
    return []
