"""What sd-scripts prints -> steps, loss and seconds per step. Its progress bar is tqdm's, redrawn after a `\\r`."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BAR = re.compile(
    r"^steps:\s+\d+%\|[^|]*\| (?P<step>\d+)/(?P<total>\d+) \[[^\]<]*<[^\],]*, +(?P<rate>[\d.]+|\?)(?P<unit>s/it|it/s)"
    r"(?:, (?P<words>[^\]]*))?\]"
)
_LOSS = re.compile(r"(?:^|, )(?:avr_)?loss=(?P<loss>[^,\s]+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # and movements of the cursor, of bars below bars
_BAR_ALONE = re.compile(r"\d+%\|[^|]*\|.*\]$")
LONGEST_LINE = 100_000


@dataclass(frozen=True)
class Step:
    """`step` of `total` are done. `loss`: the mean of its last epoch, NaN when the numbers blew up, None before."""

    step: int
    total: int
    loss: float | None
    seconds_per_step: float | None

    @property
    def blew_up(self) -> bool:
        return self.loss is not None and not math.isfinite(self.loss)


@dataclass
class Lines:
    """Bytes as they come out of a pipe -> complete lines; a line ends with `\\n` or `\\r`."""

    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    _rest: str = ""

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[str]:
        """Lines that are complete now, without their ends, colours and empty ones; all that is left when `last`."""
        text = self._rest + self._decoder.decode(data, final=last)
        *whole, self._rest = re.split(r"[\r\n]", text)
        if last or len(self._rest) > LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], ""
        plain = (_COLOURS.sub("", line).rstrip() for line in whole)
        yield from (line for line in plain if line)


def step_of(line: str) -> Step | None:
    """The main progress bar; None for every other line, such as the bars of caching and sampling."""
    bar = _BAR.match(line)
    if bar is None:
        return None
    return Step(int(bar["step"]), int(bar["total"]), _loss(bar["words"] or ""), _seconds(bar["rate"], bar["unit"]))


def _loss(words: str) -> float | None:
    found = _LOSS.search(words)
    try:
        return float(found["loss"]) if found else None
    except ValueError:
        return None


def _seconds(rate: str, unit: str) -> float | None:
    try:
        value = float(rate)
    except ValueError:
        return None
    if unit == "s/it":
        return value
    return 1.0 / value if value > 0 else None


def is_noise(line: str) -> bool:
    """Whether a line is a redrawn bar of any kind and nothing else, which nobody wants to read in a log."""
    return bool(_BAR_ALONE.search(line))
