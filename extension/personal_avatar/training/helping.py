"""The other processes of a training on several graphics cards: each has its own card and its own copy of everything.

`python -m personal_avatar.training.helping <folder> <rank> <size>`: the folder holds what the first process prepared.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from personal_avatar.domain import from_json, to_json
from personal_avatar.errors import AvatarError, Crashed, NanLoss
from personal_avatar.jobs import process
from personal_avatar.jobs.events import EventWriter, failure
from personal_avatar.jobs.kept import TEAM_FOLDER
from personal_avatar.problems import stated
from personal_avatar.storage import write_json
from personal_avatar.training import compute, storing, team
from personal_avatar.training.data.cache import Latents
from personal_avatar.training.data.training_set import ClassSet, TrainingSet
from personal_avatar.training.families import registry as families
from personal_avatar.training.loop import Hooks, Trainer
from personal_avatar.training.methods import registry as methods
from personal_avatar.training.planning.plan import resolution_of
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.team import ALONE

TASK, DATA, STATE, MEETING = "task.json", "data.pt", "state", "meeting"
LOOK_S, GRACE_S = 1.0, 5.0  # how often helpers are looked at; for what their end leads to here
FACTS = ("saved", "enough")


@contextmanager
def helped(trainer: Trainer, task: TrainTask, job: Path, emit: EventWriter) -> Iterator[None]:
    """`trainer` has the help of as many processes as its plan asks for besides this one; `job`: the job's folder.

    Raises `Crashed` when one of them ends before this one; where that cannot be raised, this process ends with that
    word.
    """
    size = trainer.plan.gpus
    if size == 1 or trainer.is_over:
        yield
        return
    folder = job / TEAM_FOLDER / uuid.uuid4().hex
    helpers: list[subprocess.Popen[bytes]] = []
    try:
        _lay_out(folder, task, trainer)
        helpers += [_start(folder, rank, size) for rank in range(1, size)]
        with missed(helpers, emit):
            trainer.team = team.meet(0, size, folder / MEETING)
            yield
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
        team.part()
        trainer.team = ALONE
        shutil.rmtree(job / TEAM_FOLDER, ignore_errors=True)


@contextmanager
def missed(
    helpers: Sequence[subprocess.Popen[bytes]], emit: EventWriter, end: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """Whoever waits for a helper that is gone waits for ever, and cannot be woken: `end` is how the process ends then,
    after its last word. Raises `Crashed` in the place of what the helper's end led to here."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            lost = _lost(helpers)
            if lost is not None and not over.wait(GRACE_S):
                emit(failure(lost))
                end(1)
                return

    threading.Thread(target=watch, name="helpers", daemon=True).start()
    try:
        yield
    except AvatarError:
        raise
    except Exception as error:
        deadline = time.monotonic() + GRACE_S
        while _lost(helpers) is None and time.monotonic() < deadline:  # which may end after its connection
            time.sleep(0.05)
        if (lost := _lost(helpers)) is not None:
            raise lost from error
        raise
    finally:
        over.set()


def _lost(helpers: Sequence[subprocess.Popen[bytes]]) -> Crashed | None:
    """The first that has ended with a failure; those that are done may be so before us."""
    codes = [helper.poll() for helper in helpers]
    found = next(((rank, code) for rank, code in enumerate(codes, start=1) if code), None)
    return found and stated(Crashed, "failure.card", "remedy.resume_or_one", number=found[0], code=found[1])


def _lay_out(folder: Path, task: TrainTask, trainer: Trainer) -> None:
    import torch

    folder.mkdir(parents=True)
    write_json(folder / TASK, {"task": to_json(task), "total": trainer.total})
    torch.save(_encoded(trainer.data), folder / DATA)
    storing.write(folder / STATE, {"saved": trainer.saved, "enough": trainer.enough}, trainer.state())


def _encoded(data: TrainingSet) -> TrainingSet:
    """With latents that need no encoder any more."""
    small = data.small and replace(data.small, latents=_whole(data.small.latents), others=_others(data.small.others))
    return replace(data, latents=_whole(data.latents), others=_others(data.others), small=small)


def _others(others: ClassSet | None) -> ClassSet | None:
    return others and replace(others, latents=_whole(others.latents))


def _whole(latents: Latents) -> Latents:
    rows = range(len(latents))
    return Latents([latents.mean[row] for row in rows], [latents.std[row] for row in rows])


def _start(folder: Path, rank: int, size: int) -> subprocess.Popen[bytes]:
    """With the card of its number alone, in our own log."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    cards = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    own = {"CUDA_VISIBLE_DEVICES": cards[rank]} if torch.cuda.is_available() else {}
    environment = {**os.environ, **own, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", __spec__.name, str(folder), str(rank), str(size)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)


def main(arguments: Sequence[str]) -> int:
    """Until the first process has what it wants, and ends us."""
    process.tie(os.getppid())
    folder, rank, size = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    trainer = _trainer(folder)
    trainer.team = team.meet(rank, size, folder / MEETING)
    trainer.run(Hooks(lambda *_: None, lambda step: None, lambda sentence: None, _cannot_recover))
    return 0


def _trainer(folder: Path) -> Trainer:
    import torch

    told = json.loads((folder / TASK).read_text(encoding="utf-8"))
    task = from_json(TrainTask, told["task"])
    plan, avatar = task.settings(), task.avatar
    side_px = resolution_of(plan, task.base)
    chosen = compute.choose(plan.precision, task.base.native_px)
    model = families.load(task.base, chosen, side_px, text_apart=not plan.reads_anew, text_as_stored=True)
    method = methods.attach(task.method, model, plan, trigger=avatar.trigger, class_noun=avatar.class_noun)
    data: TrainingSet = torch.load(folder / DATA, weights_only=False)  # written by our own first process
    trainer = Trainer(model, method, data, plan, int(told["total"]))
    facts, tree = storing.read(folder / STATE)
    trainer.restore({**tree, **{name: facts[name] for name in FACTS}})
    model.park(text=data.text is not None)  # everything is encoded
    return trainer


def _cannot_recover() -> int:
    """All weights are trained: only the first process knows where they were saved."""
    raise stated(NanLoss, "ending.nan.cards", "ending.hint.one_card")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
