"""One fault from a fresh data folder to the verdict."""
from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.errors import AvatarError

from tests.chaos import checks, trainings
from tests.chaos.faults import FAULTS, NEEDS_DISK, SUCCEEDS
from tests.chaos.scene import PATIENCE_S, Broken, Scene

DISK = "64m"


@dataclass(frozen=True)
class Verdict:
    """`ends`: of the job that ran and the one that waited, "-" where it was taken away. `broken`: what must never
    happen, "" when all was well; `kept`: the folder to look at then. `skipped`: why it could not be tried here."""

    name: str
    seed: int
    ends: tuple[str, ...] = ()
    restarts: int = 0
    seconds: float = 0.0
    broken: str = ""
    kept: str = ""
    skipped: str = ""

    def __str__(self) -> str:
        result = f"BROKEN: {self.broken} ({self.kept})" if self.broken else f"skipped: {self.skipped}"
        if not self.broken and not self.skipped:
            again = f", taken up again {self.restarts} times" if self.restarts else ""
            result = f"{' and '.join(self.ends)}{again}"
        return f"{self.name:<28} seed {self.seed:<10} {self.seconds:5.1f} s  {result}"


def tried(name: str, seed: int, real: bool = False) -> Verdict:
    """Do it, wait for all ends, look at what must hold. `real`: to a training instead of a light job."""
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="avatar-chaos-"))
    try:
        with disk(home, name in NEEDS_DISK):
            verdict = _judged(name, seed, home, real)
    except PermissionError as error:
        verdict = Verdict(name, seed, skipped=str(error))
    if not verdict.broken:
        shutil.rmtree(home, ignore_errors=True)
    return Verdict(**{**vars(verdict), "seconds": time.monotonic() - began})


def _judged(name: str, seed: int, home: Path, real: bool) -> Verdict:
    label = f"{name} (training)" if real else name
    scene = Scene(home, random.Random(seed), trainings.PATIENCE_S if real else PATIENCE_S)
    try:
        runs, waits = trainings.submitted(scene) if real else scene.submit("first"), scene.submit("second")
        scene.start()
        wanted = FAULTS[name](scene, runs, waits)
        states = [checks.ended(scene, job, wanted.get(job.id, SUCCEEDS)) for job in (runs, waits)]
        scene.stop()
        checks.swept(scene)
        restarts = sum(view.status.restarts for view in scene.store.views())
        return Verdict(label, seed, tuple(state.value if state else "-" for state in states), restarts)
    except (Broken, AvatarError, OSError, ValueError, LookupError) as error:
        return Verdict(label, seed, broken=f"{type(error).__name__}: {error}", kept=str(home))
    finally:
        scene.clear()


@contextmanager
def disk(folder: Path, wanted: bool) -> Iterator[None]:
    """A small disk of its own at `folder`; raises `PermissionError` where nobody may have one."""
    if not wanted:
        yield
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "avatar-chaos", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PermissionError(f"no disk of its own can be mounted here: {error}") from error
    if done.returncode:
        raise PermissionError(f"no disk of its own can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
