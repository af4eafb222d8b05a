"""Processes that measure: started one after the other, in the same surroundings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from personal_avatar.benchmarks.work import SpeedWork, Timed
from personal_avatar.domain import from_json, to_json
from personal_avatar.errors import AvatarError, Crashed, OutOfMemory
from personal_avatar.storage import write_json
from personal_avatar.training.planning.presets import is_tiny
from personal_avatar.worker.main import QUIET

PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
CHILD = "personal_avatar.benchmarks.child"
KILLED = (-9, 137)


def environment(work: SpeedWork | None = None) -> dict[str, str]:
    """As jobs have it: nothing goes to the network, and a tiny checkpoint gets one thread."""
    paths = [PACKAGE_PARENT, *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    if work is not None and is_tiny(work.base):
        found.setdefault("OMP_NUM_THREADS", "1")
    return found


def measure(engine: str, work: SpeedWork, folder: Path) -> Timed:
    """One of our own engines in a process of its own; raises `OutOfMemory`, `Crashed`."""
    work_file, result = folder / "work.json", folder / f"{engine}.json"
    write_json(work_file, to_json(work))
    run([sys.executable, "-m", CHILD, engine, str(work_file), str(result)], engine, environment(work))
    return from_json(Timed, json.loads(result.read_text(encoding="utf-8")))


def run(command: Sequence[str], name: str, variables: Mapping[str, str]) -> None:
    """Wait for its end; `name` is what an error calls it. Raises `OutOfMemory`, `Crashed`."""
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise _failed(name, done.returncode, done.stderr)


def _failed(engine: str, exit_code: int, said: str) -> AvatarError:
    """What is told of a process that did not come to its end."""
    if exit_code in KILLED:
        return OutOfMemory(f"{engine} was ended from outside, most likely for want of memory.")
    last = " | ".join(line.strip() for line in said.strip().splitlines()[-3:])
    return Crashed(f"{engine} ended with exit code {exit_code}: {last[-600:]}", "Mend that, or leave it out.")
