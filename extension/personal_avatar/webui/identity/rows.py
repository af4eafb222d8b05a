"""Which rows of a UNet call belong to the prompt, counted from the sampler's callback; knows no WebUI.

The WebUI stacks all rows of the prompts first and those of the negative prompts last, tells their numbers once a step
(`on_cfg_denoiser`) and then calls the UNet one or more times, in that order: with all rows, with as many as pictures
are in a batch, without the negative ones when they are skipped. Texts cannot tell them apart: both may be empty.
"""
from __future__ import annotations

from personal_avatar.identity.nouns import Rows


class RowCounter:
    """A `RowsOf` between two announcements. Calls that nobody announced (another extension's own) get None."""

    def __init__(self) -> None:
        self.used = False  # whether any call got its rows
        self._waiting: tuple[bool, ...] = ()
        self._share = 0.0

    def announce(self, conditional: int, all_rows: int, share: float) -> None:
        """A step begins: the first `conditional` of `all_rows` rows are the prompts'. `share` of the sampling done."""
        self._waiting = (True,) * conditional + (False,) * (all_rows - conditional)
        self._share = min(max(share, 0.0), 1.0)

    def __call__(self, count: int) -> Rows | None:
        """The next `count` rows; None when fewer are announced."""
        if count > len(self._waiting):
            return None
        self.used = True
        rows, self._waiting = self._waiting[:count], self._waiting[count:]
        return Rows(rows, self._share)
