"""The faults. Each is done to a job that runs and one that waits, and says how both have to end.

A fault is a function `(scene, runs, waits) -> {job: what may come of it}`; whoever adds one writes the function alone.
"""
from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from personal_avatar.jobs import endings, kept, process
from personal_avatar.jobs.claims import CLAIM_FILE
from personal_avatar.jobs.control import PAUSE
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job

from tests.chaos.program import RESTARTS
from tests.chaos.scene import Broken, Scene

Ends = Mapping[str, frozenset[State]]  # by the id of the job; one that is not named succeeds
Fault = Callable[[Scene, Job, Job], Ends]
SUCCEEDS = frozenset({State.SUCCEEDED})
FAILS = frozenset({State.FAILED})
CANCELLED = frozenset({State.CANCELLED})
GONE: frozenset[State] = frozenset()
DAY_S = 86_400
FAULTS: dict[str, Fault] = {}
GARBAGE = (b"", b"{", b"\x00" * 64, b"\xff\xfe\xfa not text", b'{"state": "asleep"}', b"[1, 2, 3]")


def fault(work: Fault) -> Fault:
    FAULTS[work.__name__] = work
    return work


def told(scene: Scene, job: Job, whole: bool) -> Ends:
    """A job whose worker died goes on when its state was whole; else it has failed."""
    return {} if whole else {job.id: FAILS}


@fault
def kill_worker(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    return told(scene, runs, scene.kill_child(runs))


@fault
def kill_worker_again_and_again(scene: Scene, runs: Job, waits: Job) -> Ends:
    """Until it is not taken up any more; then the user does that."""
    for number in range(RESTARTS + 1):
        scene.until(lambda number=number: scene.starts(runs) == number + 1, "it is taken up")  # type: ignore[misc]
        scene.saved(runs)
        scene.kill_child(runs)
    if scene.at_rest(runs) is not State.FAILED:
        raise Broken("it was taken up more often than it may be")
    scene.queue.resume(runs.id, here=False)
    return {}


@fault
def kill_program(scene: Scene, runs: Job, waits: Job) -> Ends:
    """Its worker lives on, and is found again."""
    scene.somewhere(runs)
    worker = scene.child(runs)
    scene.restart()
    if process.alive(worker) and scene.store.status(runs.id).pid != worker:
        raise Broken("the worker that lives was not found again")
    return {}


@fault
def kill_program_for_long(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The worker ends while nobody looks."""
    scene.somewhere(runs)
    worker = scene.child(runs)
    scene.kill_program()
    scene.until(lambda: not process.alive(worker), "the worker has ended")
    scene.start()
    return {}


@fault
def kill_both(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    if scene.dice.random() < 0.5:
        scene.kill_program()
        whole = scene.kill_child(runs)
    else:
        whole = endings.has_state(scene.folder(runs)) if (worker := scene.halt_child(runs)) else False
        os.kill(scene.program.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        scene.kill_program()
    scene.start()
    return told(scene, runs, whole)


@fault
def kill_program_at_start(scene: Scene, runs: Job, waits: Job) -> Ends:
    """In the moments in which it begins a job."""
    scene.kill_program()
    scene.start()
    time.sleep(scene.dice.random() * 0.3)
    scene.restart()
    return {}


@fault
def two_programs(scene: Scene, runs: Job, waits: Job) -> Ends:
    """One of the two on the same folder is killed."""
    second = scene.start()
    scene.somewhere(runs)
    victim = scene.dice.choice([scene.programs[0], second])
    victim.kill()
    victim.wait()
    return {}


@fault
def halt_worker(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    worker = scene.halt_child(runs)
    time.sleep(scene.dice.random())
    os.kill(worker, signal.SIGCONT)
    return {}


@fault
def halt_worker_and_cancel(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    scene.halt_child(runs)
    scene.queue.cancel(runs.id, keep_checkpoint=scene.dice.random() < 0.5, here=False)
    return {runs.id: CANCELLED}


@fault
def halt_program(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    os.kill(scene.program.pid, signal.SIGSTOP)
    time.sleep(scene.dice.random() * 1.5)
    os.kill(scene.program.pid, signal.SIGCONT)
    return {}


@fault
def terminate_worker(scene: Scene, runs: Job, waits: Job) -> Ends:
    """As when the machine is shut down: it goes on, and that counts as no crash."""
    scene.somewhere(runs)
    os.kill(scene.child(runs), signal.SIGTERM)
    scene.at_rest(runs)
    if scene.store.status(runs.id).restarts:
        raise Broken("an orderly interruption was counted as a crash")
    return {}


@fault
def clock_jump(scene: Scene, runs: Job, waits: Job) -> Ends:
    for _ in range(2):
        scene.somewhere(runs)
        scene.shift_clock(scene.dice.choice([-1, 1]) * scene.dice.uniform(60, 4000 * DAY_S))
    scene.restart()
    return {}


@fault
def clock_jump_of_files(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    when = time.time() + scene.dice.choice([-1, 1]) * scene.dice.uniform(60, 4000 * DAY_S)
    for job in (runs, waits):
        for path in list(scene.folder(job).rglob("*")):
            if path.exists():
                os.utime(path, (when, when))
    return {}


@fault
def torn_event(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The last line is cut, or half a line or garbage comes after it."""
    scene.somewhere(runs)
    path = scene.folder(runs) / EVENTS_FILE
    if scene.dice.random() < 0.4:
        os.truncate(path, max(0, path.stat().st_size - scene.dice.randint(1, 30)))
    else:
        with path.open("ab") as file:
            file.write(scene.dice.choice([b'{"at": 1, "kind": "do', b"\xff\xfe\x00", b"\n\n{}\n", b"null\n[]\n"]))
    if scene.dice.random() < 0.5:
        scene.restart()
    return {}


@fault
def corrupt_status(scene: Scene, runs: Job, waits: Job) -> Ends:
    return _corrupt(scene, runs, waits, "status.json")


@fault
def corrupt_status_of_waiting(scene: Scene, runs: Job, waits: Job) -> Ends:
    return _corrupt(scene, waits, runs, "status.json")


@fault
def corrupt_job(scene: Scene, runs: Job, waits: Job) -> Ends:
    """What runs knows what it is to do. What waits cannot begin any more, and says so."""
    victim, other = (runs, waits) if scene.dice.random() < 0.5 else (waits, runs)
    _corrupt(scene, victim, other, "job.json")
    return {victim.id: SUCCEEDS | FAILS}


def _corrupt(scene: Scene, victim: Job, other: Job, name: str) -> Ends:
    """By the hand of somebody else, or while the program is away."""
    scene.somewhere(victim if scene.state(victim) is State.RUNNING else other)
    away = scene.dice.random() < 0.5
    if away:
        scene.kill_program()
    _spoil(scene, scene.folder(victim) / name)
    if away:
        scene.start()
    return {}


def _spoil(scene: Scene, path: Path) -> None:
    """Garbage instead of it, its beginning only, or nothing."""
    kind = scene.dice.randrange(3)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(path.read_bytes()[: scene.dice.randrange(20)])
    else:
        path.write_bytes(scene.dice.choice(GARBAGE))


@fault
def corrupt_state(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The state of the work, and the worker dies: what is not whole is not gone on from."""
    scene.saved(runs)
    worker = scene.halt_child(runs)
    for path in scene.dice.choice([_all, _one])(scene, scene.folder(runs) / kept.STATE_FOLDER):
        _spoil(scene, path)
    whole = endings.has_state(scene.folder(runs))
    os.kill(worker, signal.SIGKILL)
    return told(scene, runs, whole)


def _all(scene: Scene, folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def _one(scene: Scene, folder: Path) -> list[Path]:
    return [scene.dice.choice(_all(scene, folder))]


@fault
def corrupt_index(scene: Scene, runs: Job, waits: Job) -> Ends:
    """All but what SQLite maps into memory: a piece cut from that ends any program that uses it."""
    scene.somewhere(runs)
    for path in _index(scene):
        if not path.name.endswith("-shm"):
            path.write_bytes(os.urandom(scene.dice.randrange(5000)))
    return _maybe_restarted(scene)


@fault
def delete_index(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    for path in _index(scene):
        path.unlink(missing_ok=True)
    return _maybe_restarted(scene)


def _index(scene: Scene) -> list[Path]:
    return sorted((scene.data / "jobs").glob("index.sqlite*"))


def _maybe_restarted(scene: Scene) -> Ends:
    if scene.dice.random() < 0.5:
        scene.restart()
    return {}


@fault
def delete_folder(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The folder of a job that runs; its process must not stay."""
    scene.somewhere(runs)
    hidden = scene.data / "taken away"
    os.rename(scene.folder(runs), hidden)
    shutil.rmtree(hidden, ignore_errors=True)
    return {runs.id: GONE}


@fault
def false_claims(scene: Scene, runs: Job, waits: Job) -> Ends:
    """On the job that waits: of nobody, of a process whose id somebody else has now, of garbage."""
    claim = scene.folder(waits) / CLAIM_FILE
    claim.write_text(scene.dice.choice(["", "999999999 1.0", f"{os.getpid()} 1.0", f"{os.getpid()} 8e15", "\0\0"]))
    return {}


@fault
def pause_and_kill(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The program dies while the pause is on its way; what rests goes on when the user wants it."""
    scene.saved(runs)
    scene.queue.pause(runs.id)
    time.sleep(scene.dice.random() * 0.2)
    scene.restart()
    if scene.at_rest(runs) is not State.PAUSED:
        raise Broken(f"it was to be paused and is {scene.state(runs).value}")
    scene.queue.resume(runs.id, here=False)
    return {}


@fault
def pause_and_kill_worker(scene: Scene, runs: Job, waits: Job) -> Ends:
    """The worker dies before it can heed the pause: its last state rests."""
    scene.saved(runs)
    worker = scene.halt_child(runs)
    (scene.folder(runs) / "control").mkdir(exist_ok=True)
    (scene.folder(runs) / "control" / PAUSE).touch()
    os.kill(worker, signal.SIGKILL)
    if scene.at_rest(runs) is not State.PAUSED:
        raise Broken(f"it was to be paused and is {scene.state(runs).value}")
    scene.queue.resume(runs.id, here=False)
    return {}


@fault
def cancel_and_kill_program(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.somewhere(runs)
    scene.queue.cancel(runs.id, keep_checkpoint=scene.dice.random() < 0.5, here=False)
    time.sleep(scene.dice.random() * 0.1)
    scene.restart()
    return {runs.id: CANCELLED}


@fault
def cancel_what_is_paused(scene: Scene, runs: Job, waits: Job) -> Ends:
    scene.saved(runs)
    scene.queue.pause(runs.id)
    scene.at_rest(runs)
    keep = scene.dice.random() < 0.5
    scene.queue.cancel(runs.id, keep_checkpoint=keep, here=False)
    scene.at_rest(runs)
    scene.until(lambda: not (scene.folder(runs) / kept.STATE_FOLDER).exists(), "its state is gone")
    if keep is not (scene.store.view(runs.id).result is not None):
        raise Broken("what was to be kept was not, or the other way round")
    return {runs.id: CANCELLED}


@fault
def disk_full(scene: Scene, runs: Job, waits: Job) -> Ends:
    """On a small disk of its own. What failed for that goes on when there is space; what waited may not even begin."""
    scene.saved(runs)
    worker, filler = scene.child(runs), scene.data / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            scene.until(lambda: not process.alive(worker), "the worker gives up")
    time.sleep(scene.dice.random())
    filler.unlink()
    if scene.at_rest(runs) is State.FAILED:
        scene.queue.resume(runs.id, here=False)
    return {waits.id: SUCCEEDS | FAILS}


NEEDS_DISK = {"disk_full"}
