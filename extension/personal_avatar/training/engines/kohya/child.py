"""The process of sd-scripts: started in a process group of its own, read while it runs, ended with all its children, by
us or because we are gone (`tied.py`)."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from personal_avatar import commandline
from personal_avatar.commandline import apart
from personal_avatar.environment.kohya import MODULES, PACKAGES_NAME
from personal_avatar.errors import (
    AvatarError,
    Crashed,
    DiskFull,
    EngineMissing,
    Killed,
    NanLoss,
    OutOfMemory,
    OutOfVram,
)
from personal_avatar.jobs.endings import NATIVE_OUT_OF_VRAM, last_words, oom_kills
from personal_avatar.naming import SAID_OF_DISKS, SAID_OF_MEMORY, of_card, of_cudnn, of_vram
from personal_avatar.problems import stated
from personal_avatar.training import memory
from personal_avatar.training.engines.kohya.progress import Lines, is_noise
from personal_avatar.training.planning import needs
from personal_avatar.training.planning.optimiser_facts import ADAMW, EIGHT_BIT

WAIT_S = 0.5
PATIENCE_S = 5.0
LAUNCHER = Path(__file__).with_name("tied.py")
TAIL_LINES = 12
BLOCK = 65536
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_ERROR = re.compile(r"(?!subprocess\.)[\w.]+(?:Error|Exception)\b")  # which a traceback ends with, not its launcher's
_NOT_INSTALLED = re.compile(r"ImportError: No (\w+)")
_OTHER_PRECISION = re.compile(r"\b(fp16|bf16) mixed precision requires")  # from accelerate
_NO_NUMBERS = {  # what is said of it, and done
    "NaN detected in latents": ("failure.kohya_latents", "remedy.kohya_vae"),
    "NaN detected in text encoder outputs": ("failure.kohya_texts", "remedy.kohya_texts"),
}
_NO_EIGHT_BIT = ("CUDA Setup failed", "Attempted to use bitsandbytes native library")  # to 0.42, and later
_OF_OPTIMISERS = {*(needed.module for needed in needs.OF_OPTIMISERS.values()), "Prodigy"}  # it calls prodigyopt so
# What libraries say, and the types of errors, which a last line begins with.
_NO_VRAM = "OutOfMemoryError"
_NO_MEMORY = (*SAID_OF_MEMORY, "MemoryError")


class Child:
    """A running script. `with Child(...)`: at the end of the block nothing of it runs any more."""

    def __init__(
        self, script: Sequence[str], folder: Path, environment: Mapping[str, str], told: Path, data: Path | None = None
    ) -> None:
        """`script`: its path and its words, on the Python that runs us; `told`: file for what `tied.py` tells; `data`:
        our data folder, into which sd-scripts is installed."""
        self._oom_kills, self._data, self._told = oom_kills(), data, told
        told.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            tied(told, script),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **apart(),
        )
        self._blocks: queue.Queue[bytes] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        threading.Thread(target=self._read, name="sd-scripts-output", daemon=True).start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> dict[str, Any]:
        """The most that it held, as `memory.told` words it; `UNTOLD` until it has ended, and where it was killed."""
        try:
            found = json.loads(self._told.read_text(encoding="utf-8"))
            return {name: found[name] for name in memory.UNTOLD}
        except (OSError, ValueError, KeyError):
            return dict(memory.UNTOLD)

    def _read(self) -> None:
        """Pass on what it prints; an empty block marks the end."""
        pipe = self._process.stdout
        assert pipe is not None
        while block := os.read(pipe.fileno(), BLOCK):
            self._blocks.put(block)
        self._blocks.put(b"")

    def lines(self) -> Iterator[str]:
        """Everything that it prints, line by line; an empty text whenever it was silent for `WAIT_S`."""
        lines, block = Lines(), b" "
        while block:
            try:
                block = self._blocks.get(timeout=WAIT_S)
            except queue.Empty:
                yield ""
                continue
            for line in lines.feed(block, last=not block):
                if not is_noise(line):
                    self._tail.append(line)
                yield line

    def end(self) -> None:
        """Let go of it, at which it ends with all that it started; then make it."""
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):  # it has ended
            pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self._kill()
        self._process.wait()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._kill_tree()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _kill_tree(self) -> None:
        """Windows has no groups to signal: the process and what it started, one by one."""
        import psutil

        with suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            for each in (*process.children(recursive=True), process):
                with suppress(psutil.Error):
                    each.kill()

    def outcome(self) -> AvatarError | None:
        """None when it ended well, else what went wrong; waits until it has ended."""
        code = self._process.wait()
        killed = oom_kills() > self._oom_kills
        return None if code == 0 else failure(code, list(self._tail), oom_killed=killed, data=self._data)


def tied(told: Path, script: Sequence[str]) -> list[str]:
    """The command that runs a script so that it ends with the process at the other end of its standard input."""
    return [sys.executable, str(LAUNCHER), str(told), *script]


def failure(code: int, tail: Sequence[str], *, oom_killed: bool, data: Path | None = None) -> AvatarError:
    """Name the end of a process of sd-scripts by its exit code and its last lines. `data`: see `Child`."""
    said = "\n".join(tail)
    if of_vram(said) or _NO_VRAM in said or any(map(NATIVE_OUT_OF_VRAM.search, tail)):
        return stated(OutOfVram, "failure.kohya_vram")
    ended = _ended(tail)
    if of_cudnn(ended):
        return stated(OutOfVram, "failure.kohya_vram", "error.OUT_OF_VRAM.cudnn")
    if oom_killed or _says(said, _NO_MEMORY):
        return stated(OutOfMemory, "failure.kohya_memory")
    if _says(said, SAID_OF_DISKS):
        return stated(DiskFull, "failure.kohya_disk", "remedy.free_and_train")
    words = last_words(tail[-5:])
    if code in (-9, 137):
        return stated(Killed, "failure.kohya_killed", words=words)
    if code == 1 and (module := _missing(ended)):
        return _lacking(module, data)
    if keys := next((keys for sign, keys in _NO_NUMBERS.items() if sign in ended), None):
        return stated(NanLoss, *keys)
    if _says(ended, _NO_EIGHT_BIT):
        return needs.broken(EIGHT_BIT, next(said for said in _NO_EIGHT_BIT if said in ended))
    if found := _OTHER_PRECISION.search(ended):
        other = {"name": "precision", "value": "fp16" if found[1] == "bf16" else "fp32"}
        return stated(Crashed, "failure.kohya_precision", "remedy.set", format=found[1], **other)
    if unusable := of_card(ended):
        return unusable
    return stated(Crashed, "failure.kohya_crashed", code=code, words=words)


def _ended(tail: Sequence[str]) -> str:
    """What the error says that it ended by, without the warnings before; all that is left where its begin is not."""
    at = max((at for at, line in enumerate(tail) if _ERROR.match(line)), default=0)
    return "\n".join(tail[at:])


def _lacking(module: str, data: Path | None) -> AvatarError:
    """With what brings the module: what is installed along with sd-scripts, and optimisers beside others."""
    if MODULES.get(module):
        command = commandline.doctor("--install-kohya", data=data)
        return stated(EngineMissing, "trainer.module", "remedy.run", module=module, command=command)
    where = {"module": module, "folder": data / PACKAGES_NAME if data else PACKAGES_NAME}
    if module in _OF_OPTIMISERS:
        return stated(
            EngineMissing, "trainer.module", "remedy.kohya_optimiser", name="optimiser", value=ADAMW, **where
        )
    return stated(EngineMissing, "trainer.module", "remedy.kohya_install", **where)


def _missing(ended: str) -> str:
    """The module for want of which it ended; "" where it ended by another error."""
    found = _MISSING_MODULE.search(ended) or _NOT_INSTALLED.search(ended)
    return found[1] if found else ""


def _says(text: str, marks: Sequence[str]) -> bool:
    return any(mark in text for mark in marks)
