"""How much memory is free where trainings run: of the graphics card, else of the machine. Loads no torch."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from personal_avatar.environment import cards
from personal_avatar.environment.cards import VISIBLE

GB, MIB = 1e9, 2**20
CARD, MACHINE = "vram", "ram"
ASK_S = 5.0
LIMITS = Path("/sys/fs/cgroup")  # of a container, version 2
DEVICES = Path("/dev")
DRIVEN = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "kfd", "dxg")  # by NVIDIA's, Jetson's, ROCm's and WSL's drivers
HIDDEN = ("", "-1")  # what `VISIBLE` says where no card is to be seen
OF_CARD = ("--query-gpu=name,memory.total,memory.free", "--query-compute-apps=pid,used_memory")


@dataclass(frozen=True)
class Free:
    """`kind`: "vram" of the card `name`, or "ram"; GB are 10^9 bytes. `free_gb`: that a training could have. `untold`:
    ids of the processes asked for whose part of the card nobody tells; it is not in `free_gb`."""

    kind: str
    free_gb: float
    total_gb: float
    name: str = ""
    untold: tuple[int, ...] = ()

    def with_more(self, more_gb: float) -> Free:
        """So much more is free, up to all there is."""
        return replace(self, free_gb=min(self.total_gb, self.free_gb + more_gb))


def measured(ours: Collection[int] = (), index: int = 0) -> Free:
    """What is free now. `ours`: ids of processes whose memory counts as free: those of trainings before this one, which
    will have ended, and on a card our own, whose model can be parked. `index`: see `card`."""
    return card(ours, index) or machine(ours)


def has_card() -> bool:
    """Whether trainings run on a card, as far as can be known without asking it: a torch that is loaded in this process
    knows whether it can use one, also one of another maker; else a driver tells."""
    cuda = _cuda()
    return _driver() is not None if cuda is None else bool(cuda.is_available())


def surely_cardless(devices: Path = DEVICES) -> bool:
    """Whether it is certain, and no guess, that trainings have no card. Where torch is not loaded, a missing program of
    the driver tells nothing (containers, Jetson, ROCm), unless the system has no device that it could be for."""
    cuda = _cuda()
    if cuda is not None:
        return not cuda.is_available()
    if os.environ.get(VISIBLE) in HIDDEN or sys.platform == "darwin":
        return True
    if sys.platform != "linux" or _driver() is not None:
        return False
    return not any(True for kind in DRIVEN for _ in devices.glob(kind))


def card(ours: Collection[int] = (), index: int = 0) -> Free | None:
    """The card of that number in torch's count; None without one that can be asked. A torch that uses cards already
    knows best, and takes no more of the first by being asked."""
    if not has_card():
        return None
    cuda = _cuda()
    if cuda is None:
        return _by_driver(ours, index)
    if cuda.is_initialized():
        return _by_torch(cuda, ours, index)
    return _by_driver(ours, index) or _by_torch(cuda, ours, index)


def _cuda() -> Any:
    """Of a torch that is loaded, else None."""
    return getattr(sys.modules.get("torch"), "cuda", None)


def _by_torch(cuda: Any, ours: Collection[int], index: int) -> Free:
    """Of our own process what torch keeps of the card counts: no more of it can be given back."""
    (free, total), kept = cuda.mem_get_info(index), cuda.memory_reserved(index)
    others = [pid for pid in ours if pid != os.getpid()]
    told, untold = _told_by_driver(others, index) if others else ({}, ())
    told.pop(os.getpid(), None)
    left = Free(CARD, (free + kept) / GB, total / GB, cuda.get_device_name(index), untold)
    return left.with_more(sum(told.values()) / GB)


def _by_driver(ours: Collection[int], index: int) -> Free | None:
    found = _asked(OF_CARD[0], index)
    if not found:
        return None
    name, total, free = (part.strip() for part in found[0].rsplit(",", 2))
    if not (total.isdigit() and free.isdigit()):
        return None
    told, untold = _told_by_driver(ours, index)
    left = Free(CARD, int(free) * MIB / GB, int(total) * MIB / GB, name, untold)
    return left.with_more(sum(told.values()) / GB)


def _told_by_driver(pids: Collection[int], index: int) -> tuple[dict[int, int], tuple[int, ...]]:
    """Bytes of the card by process, of `pids` and our own; and those of `pids` whose part the driver does not tell. On
    Windows and in WSL it lists processes without numbers, and where a container gives them other ids none that is ours.
    Where it lists any of ours, one that it does not list holds nothing."""
    rows = [[part.strip() for part in line.partition(",")[::2]] for line in _asked(OF_CARD[1], index)]
    listed = {int(pid): taken for pid, taken in rows if pid.isdigit() and int(pid) in {*pids, os.getpid()}}
    told = {pid: int(taken) * MIB for pid, taken in listed.items() if taken.isdigit()}
    return told, tuple(pid for pid in pids if pid not in told and (pid in listed or not told))


def _driver() -> str | None:
    """The program of NVIDIA's driver; None also where it may show no card."""
    return None if os.environ.get(VISIBLE) in HIDDEN else shutil.which("nvidia-smi")


def _asked(query: str, index: int) -> list[str]:
    """Lines of nvidia-smi's answer about one of the visible cards; none when it cannot be asked."""
    program = _driver()
    if program is None:
        return []
    command = [program, query, "--format=csv,noheader,nounits", f"--id={cards.named(index)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()]


def machine(ours: Collection[int] = (), limits: Path = LIMITS) -> Free:
    """Main memory, as the system or the container leaves it."""
    seen = psutil.virtual_memory()
    used = sum(_resident(pid) for pid in ours if pid != os.getpid())
    free, total = float(seen.available), float(seen.total)
    for most, taken in _container(limits):
        free, total = min(free, most - taken), min(total, most)
    return Free(MACHINE, min(total, max(0.0, free) + used) / GB, total / GB)


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _container(limits: Path) -> Iterator[tuple[float, float]]:
    """(most bytes, bytes taken that cannot be given back) of the container that we are in, where there is a limit."""
    try:
        most = (limits / "memory.max").read_text().strip()
        taken = int((limits / "memory.current").read_text())
        stat = dict(line.split() for line in (limits / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return
    if most.isdigit():
        yield float(most), float(max(0, taken - int(stat.get("inactive_file", 0))))
