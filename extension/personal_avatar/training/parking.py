"""Giving the graphics card to somebody else between two steps, and taking it back: nothing of the result changes.

Tensors move by their `data`: parameters, and what optimisers and compiled code know them by, stay the same objects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from personal_avatar.environment import free
from personal_avatar.errors import OutOfVram
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import EventWriter, Log, Parked
from personal_avatar.naming import named
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

POLL_S = 0.05
AGAIN_S = 1.0  # before room on the card is looked for again
RESERVE_GB = 2.0  # of main memory, which others need meanwhile
Tensors = Callable[[], Iterable["torch.Tensor"]]


@dataclass
class Parking:
    """Of one job. `gives`: kinds of devices whose memory is given away; on others the work just waits. `reserve_gb`: of
    main memory that stays free when it is; where that cannot be, the work waits, too, with everything in its place."""

    control: Control
    emit: EventWriter
    gives: tuple[str, ...] = ("cuda",)
    reserve_gb: float = RESERVE_GB
    _told: set[str] = field(default_factory=set)
    _owners: list[Tensors] = field(default_factory=list)

    def covers(self, tensors: Tensors) -> None:
        """From now on `tensors()` are moved, too."""
        self._owners.append(tensors)

    def heed(self, check: Callable[[], None]) -> None:
        """Wait as long as somebody asks for the card. `check` is called meanwhile and may raise to end the work, which
        leaves everything in main memory."""
        if not self.control.asked(YIELD):
            return
        began = time.monotonic()
        moved = self._away()
        self.emit(Parked(True, _since(began)))
        while self.control.asked(YIELD):
            check()
            time.sleep(POLL_S)
        began = time.monotonic()
        self._back(moved, check)
        self.emit(Parked(False, _since(began)))

    def _away(self) -> list[tuple[torch.Tensor, torch.device]]:
        """Each tensor on such a device, now in main memory, and where it was."""
        moved = [(tensor, tensor.device) for tensor in self._tensors() if tensor.device.type in self.gives]
        if not self._find_room([tensor for tensor, _ in moved]):
            _release()
            return []
        for tensor, _ in moved:
            tensor.data = tensor.data.to("cpu", copy=True)
        if moved:
            _release()
        return moved

    def _find_room(self, tensors: list[torch.Tensor]) -> bool:
        """In main memory. Where it is not, taking it would end a process, and it need not be ours."""
        needed_gb = sum(tensor.nbytes for tensor in tensors) / free.GB
        if needed_gb == 0:
            return True
        free_gb = free.machine().free_gb
        if needed_gb + self.reserve_gb > free_gb:
            self._tell("log.no_memory", needed=f"{needed_gb:.1f}", free=f"{free_gb:.1f}")
            return False
        return True

    def _tell(self, key: str, **numbers: str) -> None:
        """Once for a job."""
        if key not in self._told:
            self._told.add(key)
            self.emit(Log(text(key, **numbers)))

    def _tensors(self) -> Iterator[torch.Tensor]:
        """Each once."""
        seen: set[int] = set()
        for owner in self._owners:
            for tensor in owner():
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor

    def _back(self, moved: list[tuple[torch.Tensor, torch.device]], check: Callable[[], None]) -> None:
        for tensor, device in moved:
            tensor.data = self._brought(tensor.data, device, check)

    def _brought(self, tensor: torch.Tensor, device: torch.device, check: Callable[[], None]) -> torch.Tensor:
        """On the device; waits for room there as long as it takes, because in main memory nothing is lost."""
        while True:
            try:
                return tensor.to(device, copy=True)
            except RuntimeError as error:
                if not isinstance(named(error), OutOfVram):
                    raise
                self._tell("log.no_vram")
            _release()
            check()
            time.sleep(AGAIN_S)


def _release() -> None:
    """What torch keeps for later, on the card and for the products of matrices, goes back to the driver."""
    import torch

    from personal_avatar.training.compute import release

    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if torch.cuda.is_available() and clear is not None:
        clear()
    release()


def _since(began_s: float) -> float:
    return round(time.monotonic() - began_s, 3)
