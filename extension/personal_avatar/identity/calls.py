"""What the hooks of one injection know about the UNet call that is running."""
from __future__ import annotations

from dataclasses import dataclass

from personal_avatar.identity.nouns import Rows


@dataclass(frozen=True)
class Span:
    """A part of the sampling, in shares 0..1: from `start`, before `end`; 1.0 is the end of the last step."""

    start: float = 0.0
    end: float = 1.0

    def of(self, rows: Rows | None) -> Rows | None:
        """`rows` if they come in this part, None otherwise."""
        if rows is None or rows.share < self.start:
            return None
        return rows if rows.share < self.end or self.end >= 1.0 else None


@dataclass(eq=False)
class Call:
    """Set before every call of the UNet, read by the hooks inside it. `rows`: None while nothing is to be added;
    `latent`: (height, width) of the latents."""

    rows: Rows | None = None
    latent: tuple[int, int] = (1, 1)
