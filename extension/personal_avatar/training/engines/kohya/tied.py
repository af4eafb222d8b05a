"""`python tied.py RESULT SCRIPT ...`: a script as it is, which ends with whoever started it, at once and with all that
it started itself; the most memory that it held is then in RESULT (see `memory.told`), with the version of its torch.

Standard input is a pipe that nobody writes into: it is closed by a starter that wants the end, and by the system when
the starter is gone, however it went. Run by its path in sd-scripts' own process: nothing of this package is imported.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

MEMORY = Path(__file__).resolve().parents[2] / "memory.py"


def main() -> None:
    result, script = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(script).parent)
    threading.Thread(target=_tied, args=(_apart(), result), name="tied", daemon=True).start()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        _note(result)


def _apart() -> int:
    """The pipe, where no script and no library finds it; they are given an empty input."""
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def _tied(pipe: int, result: Path) -> None:
    while os.read(pipe, 1):
        continue
    _note(result)
    _end()


def _note(result: Path) -> None:
    """Whatever fails here, a full disk or a torch that is only half there, hides nothing of how the script ended."""
    with suppress(Exception):
        told = runpy.run_path(str(MEMORY))["told"]()
        torch = str(getattr(sys.modules.get("torch"), "__version__", ""))
        result.write_text(json.dumps({**told, "torch": torch}), encoding="utf-8")


def _end() -> None:
    """This process leads a group of its own; Windows has none, but a program for it."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(os.getpid())], check=False)
        os._exit(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
