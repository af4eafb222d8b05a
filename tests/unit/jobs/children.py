"""Real child processes for the tests of the queue: scripts that stand where the trainer's interpreter stands."""
from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from personal_avatar.host import TrainerPython

PREAMBLE = """#!{python}
import json, os, signal, sys, time
from pathlib import Path
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Failed, Log, Paused, Progress, Stage, Started
folder = Path(sys.argv[3])
state = folder / "state" / "complete.json"
emit, control = EventWriter(folder), Control(folder)
emit(Started(os.getpid()))
"""

QUICK = "emit(Progress(1, 1)); emit(Done({'answer': 42}))"
# Works until somebody cancels or pauses it, or creates the file `finish` in the job's folder. Its state is its step.
PATIENT = """
first = json.loads(state.read_text())["step"] if state.exists() else 0
if first:
    emit(Log(f"from step {first}"))
try:
    for step in range(first, 2000):
        emit(Progress(step, 2000))
        control.check()
        if control.asked(PAUSE) or (step == first and not state.exists()):
            state.parent.mkdir(exist_ok=True)
            state.with_name("new").write_text(json.dumps({"step": step}))
            os.replace(state.with_name("new"), state)
        if control.asked(PAUSE):
            emit(Paused(step))
            sys.exit(0)
        if (folder / "finish").exists():
            break
        time.sleep(0.02)
except Cancelled as error:
    emit(Failed({**error.to_json(), "result": {"answer": "half"}} if not control.asked("discard") else error.to_json()))
    sys.exit(1)
emit(Done({"answer": "whole"}))
"""
# Says nothing and leaves nothing behind.
SILENT = "emit(Progress(1, 2)); time.sleep(60)"


def trainer(folder: Path, body: str) -> TrainerPython:
    """An executable script with `body` as its work; left alone when it is there, as one that runs cannot be written.

    Another process writes it: a file that a thread has open for that cannot be run, and as long as another thread
    starts a process it is open there, too, after it was closed here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trainer"
    script = PREAMBLE.format(python=sys.executable) + textwrap.dedent(body)
    if not path.exists() or path.read_text() != script:
        draft = path.with_name("draft")
        draft.write_text(script)
        subprocess.run(["install", draft, path], check=True)
    return TrainerPython(path)
