"""The IdentityNet of one generation: what it sees, whom it knows, and what it says to each call of the UNet."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from personal_avatar.errors import BaseUnsupported
from personal_avatar.identity.areas import Size
from personal_avatar.identity.calls import Span
from personal_avatar.identity.entrances import Given, Residuals
from personal_avatar.identity.nouns import Rows, Tokens
from personal_avatar.problems import stated

if TYPE_CHECKING:
    from personal_avatar.identity.net import Context, IdentityNet

LATENT_CHANNELS = 4  # an inpainting UNet gets five more, which the IdentityNet does not know
LATENT_PX = 8  # pixels of the picture in one place of the latents


class NetBeside:
    """Features of the hint and the keys of the faces are computed at the first call that needs them, and kept.

    `hint`: (1, 3, height, width), 0..1; resized where the latents are of another size. `people`: tokens and mask of
    each.
    """

    def __init__(
        self, net: IdentityNet, hint: Tensor, weight: float, span: Span, people: Sequence[tuple[Tokens, Tensor | None]]
    ) -> None:
        self._net = net
        self._hint = hint
        self._weight = weight
        self._span = span
        self._people = people
        self._features: dict[Size, Tensor] = {}
        self._context: Context | None = None

    def residuals(self, given: Given, rows: Rows | None) -> Residuals | None:
        """For all rows of the call, each with its own branch's tokens, as the latents are; None outside the span.

        Raises BaseUnsupported for a UNet without SDXL's label.
        """
        rows = self._span.of(rows)
        if rows is None:
            return None
        if given.y is None:
            raise stated(BaseUnsupported, "failure.net_family", "remedy.sdxl")
        if self._context is None:
            self._context = self._net.context(self._people)
        latents = given.latents[:, :LATENT_CHANNELS]
        features = self._seen((latents.shape[-2], latents.shape[-1]))
        skips, middle = self._net.residuals(
            latents, given.timesteps, given.y, features, self._context, rows.conditional
        )
        weighted = [(one * self._weight).to(latents) for one in (*skips, middle)]
        return Residuals(weighted[:-1], weighted[-1])

    def _seen(self, latent: Size) -> Tensor:
        if latent not in self._features:
            size, hint = (latent[0] * LATENT_PX, latent[1] * LATENT_PX), self._hint.float()
            if hint.shape[-2:] != size:
                hint = functional.interpolate(hint, size=size, mode="area")
            self._features[latent] = self._net.hint(hint)
        return self._features[latent]
