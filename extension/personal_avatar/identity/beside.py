"""The IdentityNet of one generation: what it sees, whom it knows, and what it says to each call of the UNet."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from personal_avatar.identity.calls import Span
from personal_avatar.identity.entrances import Given, Residuals
from personal_avatar.identity.nouns import Rows, Tokens

if TYPE_CHECKING:
    from personal_avatar.identity.net import IdentityNet

LATENT_CHANNELS = 4  # an inpainting UNet gets five more, which the IdentityNet does not know


class NetBeside:
    """Features of the hint and the keys of the faces are computed at the first call that needs them, and kept.

    `people`: tokens and mask of each; see `injection.Person`.
    """

    def __init__(
        self, net: IdentityNet, hint: Tensor, weight: float, span: Span, people: Sequence[tuple[Tokens, Tensor | None]]
    ) -> None:
        self._net = net
        self._hint = hint
        self._weight = weight
        self._span = span
        self._people = people
        self._features: Tensor | None = None
        self._context: Any = None

    def residuals(self, given: Given, rows: Rows | None) -> Residuals | None:
        """For all rows of the call, each with its own branch's tokens; None outside the span."""
        rows = self._span.of(rows)
        if rows is None:
            return None
        with torch.no_grad():
            skips, middle = self._run(given, rows)
        return Residuals([skip * self._weight for skip in skips], middle * self._weight)

    def _run(self, given: Given, rows: Rows) -> tuple[Sequence[Tensor], Tensor]:
        if self._features is None:
            self._features = self._net.hint(self._hint)
            self._context = self._net.context(
                [(torch.cat((tokens.uncond, tokens.cond)), mask) for tokens, mask in self._people]
            )
        branches = [int(conditional) for conditional in rows.conditional]
        latents = given.latents[:, :LATENT_CHANNELS]
        return self._net.residuals(latents, given.timesteps, given.y, self._features, self._context.rows(branches))
