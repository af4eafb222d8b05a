"""Whether a picture finds room on the graphics card beside what else is there.

What a picture takes is measured when one of its size is made, and reckoned until then.
"""
from __future__ import annotations

from dataclasses import dataclass, field

GIB = 2**30
MARGIN = 1.1  # memory in pieces cannot be used up to the last byte
STARTED_WITH = 3 * GIB  # what a first picture of a checkpoint is thought to take besides its pixels
PER_PIXEL = 8 * 1024  # bytes; the last level of the VAE's decoder, several times 128 to 256 channels in fp32
NESTED = 4  # pictures within pictures that are measured


@dataclass(frozen=True)
class Size:
    """What the memory of a picture follows from. `pixels`: of one of the `batch`, at its largest."""

    checkpoint: str
    pixels: int
    batch: int = 1


@dataclass(frozen=True)
class Card:
    """Bytes. `free`: on the card; `reserved`: by this process, of which `allocated` are in use, `peak` were at most."""

    free: int
    reserved: int = 0
    allocated: int = 0
    peak: int = 0

    @property
    def available(self) -> int:
        """What this process can still take."""
        return self.free + self.reserved - self.allocated


@dataclass
class Measurement:
    """A picture under way."""

    size: Size
    peak: int = 0


@dataclass
class Peaks:
    """The most memory that pictures took, by their size."""

    known: dict[Size, int] = field(default_factory=dict)
    _open: list[Measurement] = field(default_factory=list)

    def crowded(self, size: Size, card: Card | None) -> bool:
        """Whether whoever is on the card has to park. Without one (None) always: who works beside a picture shares the
        processor with it, too."""
        return card is None or not self.fits(size, card)

    def fits(self, size: Size, card: Card) -> bool:
        """Whether it can be made in what is available now."""
        return (self.need(size, card.allocated) - card.allocated) * MARGIN <= card.available

    def need(self, size: Size, allocated: int = 0) -> int:
        """Bytes of this process at the peak: as measured at this size, as follows from other sizes of the same
        checkpoint, else reckoned on top of what is `allocated` now."""
        if size in self.known:
            return self.known[size]
        alike = [(other, peak) for other, peak in self.known.items() if other.checkpoint == size.checkpoint]
        if alike:
            return min(round(peak * max(1.0, _area(size) / _area(other))) for other, peak in alike)
        return allocated + STARTED_WITH + PER_PIXEL * size.pixels

    def begin(self, size: Size, peak: int) -> Measurement:
        """Call it when a picture begins, with the peak until now, then count the peak anew. Pictures may be made
        within pictures."""
        for outer in self._open:
            outer.peak = max(outer.peak, peak)
        mine = Measurement(size)
        self._open = [*self._open, mine][-NESTED:]
        return mine

    def end(self, mine: Measurement, peak: int) -> None:
        """Call it when the picture is there. Those that failed meanwhile are forgotten."""
        if not any(one is mine for one in self._open):
            return
        while self._open.pop() is not mine:
            continue
        self.known[mine.size] = max(mine.peak, peak, self.known.get(mine.size, 0))


def _area(size: Size) -> int:
    return max(1, size.pixels * size.batch)


def card(device: object = None) -> Card | None:
    """The graphics card as it is now; None without CUDA. `device`: one of torch's, None for its current one."""
    import torch

    if not torch.cuda.is_available():
        return None
    chosen = torch.device("cuda") if device is None else torch.device(str(device))
    if chosen.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(chosen.index if chosen.index is not None else torch.cuda.current_device())
    return Card(
        int(free), torch.cuda.memory_reserved(chosen), torch.cuda.memory_allocated(chosen),
        torch.cuda.max_memory_allocated(chosen),
    )


def count_anew(device: object = None) -> None:
    """From now on `Card.peak` is what will be allocated at most. Without CUDA nothing is counted."""
    import torch

    if card(device) is not None:
        torch.cuda.reset_peak_memory_stats(None if device is None else torch.device(str(device)))
