"""One job from its folder to its last event: one Done, Failed or Paused, whatever happens in between."""

from __future__ import annotations

import faulthandler
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from personal_avatar.errors import Crashed, NanLoss, SelfTestFailed
from personal_avatar.jobs.control import CANCEL, Control, PauseTaken
from personal_avatar.jobs.events import Done, EventWriter, Paused, Started, failure
from personal_avatar.jobs.homing import described
from personal_avatar.jobs.kept import ASIDE_FOLDER, JOB_FILE, STATE_FOLDER
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.wording import table
from personal_avatar.worker import allocating
from personal_avatar.worker.kinds import KINDS, Kind, Work, can_pause
from personal_avatar.worker.wishes import FolderControl

logger = logging.getLogger(__name__)

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}
STATES = (STATE_FOLDER, ASIDE_FOLDER)  # of a training that was put away
POINTLESS = (NanLoss, SelfTestFailed)  # would end alike if it were taken up again
NICENESS = 5  # who makes pictures meanwhile comes first
DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(arguments: Sequence[str], kinds: Mapping[str, Kind] = KINDS) -> int:
    """Exit status 0 when the job is done, 1 when it failed, 2 for a wrong call. `kinds`: what each is done by."""
    if len(arguments) != 1 or not (Path(arguments[0]) / JOB_FILE).is_file():
        sys.stderr.write("usage: python -m personal_avatar.worker <job folder with a job.json>\n")
        return WRONG_USAGE
    folder = Path(arguments[0]).resolve()
    prepare_process()
    control = FolderControl(folder)
    heed_signals(folder, control)
    return work(folder, EventWriter(folder), control, kinds)


def prepare_process() -> None:
    """Nothing goes to the network, memory of a card is taken in pieces that grow, others come first on the processor, a
    crash in native code leaves a trace."""
    os.environ.update({**QUIET, **allocating.settings()})
    table()  # of this version: an update may replace the file while the job works
    faulthandler.enable()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def heed_signals(folder: Path, control: FolderControl) -> None:
    """Who ends processes from outside, such as a machine that is shut down, does not want the job to end. One that can
    stop between two steps does so, and the queue takes it up again; another one ends, and keeps what was finished."""
    pausable = _can_pause(folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: control.interrupt() if pausable else control.ask(CANCEL))


def _can_pause(folder: Path) -> bool:
    """False as well for a job that is damaged: it fails at once, with a name."""
    try:
        job = described(folder)
        return can_pause(job["kind"], job["payload"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def work(folder: Path, emit: EventWriter, control: Control, kinds: Mapping[str, Kind] = KINDS) -> int:
    emit(Started(os.getpid()))
    try:
        result = _kind(folder, kinds)(folder, emit, control)
    except PauseTaken as pause:
        emit(Paused(pause.step))
        return DONE
    except BaseException as error:
        logger.exception("the job failed")
        return _failed(folder, emit, error)
    emit(Done(result))
    forget(folder)
    return DONE


def _kind(folder: Path, kinds: Mapping[str, Kind]) -> Work:
    job = described(folder)
    if job.get("kind") not in kinds:
        raise stated(Crashed, "failure.strange_job", "remedy.update_trainer", what=repr(job.get("kind")))
    return kinds[job["kind"]](job["payload"])


def _failed(folder: Path, emit: EventWriter, error: BaseException) -> int:
    """The folder may be gone (the job was deleted): then there is nobody left to tell."""
    if isinstance(error, POINTLESS):
        forget(folder)
    if folder.is_dir():
        emit(failure(named(error)))
    return FAILED


def forget(folder: Path) -> None:
    """Nobody will take this job up again: what was kept for that is large, and shows a person."""
    for name in STATES:
        shutil.rmtree(folder / name, ignore_errors=True)
