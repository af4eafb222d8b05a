"""Real child processes for the tests of the queue: scripts that stand where the trainer's interpreter stands."""
from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from personal_avatar.host import TrainerPython

PREAMBLE = """#!{python}
import os, sys, time
from pathlib import Path
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import Done, EventWriter, Failed, Progress, Started
folder = Path(sys.argv[3])
emit, control = EventWriter(folder), Control(folder)
emit(Started(os.getpid()))
"""

QUICK = "emit(Progress(1, 1)); emit(Done({'answer': 42}))"
# Works until somebody cancels or creates the file `finish` in the job's folder.
PATIENT = """
try:
    for step in range(2000):
        emit(Progress(step, 2000))
        control.check()
        if (folder / "finish").exists():
            break
        time.sleep(0.02)
except Cancelled as error:
    emit(Failed({**error.to_json(), "result": {"answer": "half"}} if not control.asked("discard") else error.to_json()))
    sys.exit(1)
emit(Done({"answer": "whole"}))
"""


def trainer(folder: Path, body: str) -> TrainerPython:
    """An executable script with `body` as its work; left alone when it is there, as one that runs cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trainer"
    script = PREAMBLE.format(python=sys.executable) + textwrap.dedent(body)
    if not path.exists() or path.read_text() != script:
        path.write_text(script)
        path.chmod(0o755)
    return TrainerPython(path)
