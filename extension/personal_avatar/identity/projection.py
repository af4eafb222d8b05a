"""Faces to tokens: the projection that an adapter file holds, in fp32, with the file's own names of the weights.

Recipes: InstantID's Resampler; IP-Adapter FaceID's MLP; FaceID Plus' MLP whose tokens ask the CLIP states of the
aligned faces by way of a perceiver, in the second version added to the MLP's own; Portrait's MLP for every photo. Sizes
are read from the weights, heads are 64 wide.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.identity.kinds import EMBEDDING
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights, Tokens
from personal_avatar.identity.perceiver import Perceiver
from personal_avatar.naming import described
from personal_avatar.problems import stated

MAX_PORTRAIT_PHOTOS = 5  # that many were seen in training
_PORTRAITS = (AdapterKind.FACEID_PORTRAIT, AdapterKind.FACEID_PORTRAIT_UNNORM)


def build(adapter: AdapterWeights) -> Projection:
    """The projection of `adapter` on the CPU. Raises WeightsCorrupt where weights are missing or strange, or where its
    tokens are not what the adapter's attentions read."""
    weights = {name: weight.detach().float() for name, weight in adapter.projection.items()}
    try:
        with torch.device("meta"):
            projection = _NETWORKS[adapter.kind](adapter.kind, weights)
            _try_out(projection, weights, {key.shape[1] for key, _ in adapter.attention.values()})
        projection.load_state_dict(_named(adapter.kind, weights), assign=True)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise stated(
            WeightsCorrupt, "failure.other_projection", "remedy.again_or_adapter", file=adapter.path.name,
            wanted=adapter.kind.value, cause=described(error),
        ) from error
    return projection.eval().requires_grad_(False)


def _try_out(projection: Projection, weights: Mapping[str, Tensor], read: set[int]) -> None:
    """Shapes alone go through: does every layer fit the one before it, and are tokens as wide as attentions `read`?"""
    states = None
    if projection.kind.needs_clip:
        states = torch.empty(1, 1, weights["perceiver_resampler.proj_in.weight"].shape[1])
    width = projection.tokens(torch.empty(1, EMBEDDING), states, zero_crop=states).cond.shape[-1]
    if read - {width}:
        raise ValueError(f"its tokens are {width} wide, its attentions read such of {min(read - {width})}")


def _named(kind: AdapterKind, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """InstantID's file has the perceiver's weights beside the latents; here they have a room of their own."""
    if kind is not AdapterKind.INSTANTID:
        return dict(weights)
    return {name if name == "latents" else f"perceiver.{name}": weight for name, weight in weights.items()}


class Projection(nn.Module):
    """Base of the projections below; `forward` maps embeddings (and CLIP states) to tokens (n, tokens, width)."""

    def __init__(self, kind: AdapterKind) -> None:
        super().__init__()
        self.kind = kind

    @torch.no_grad()
    def tokens(
        self,
        embeddings: Tensor,
        crops: Tensor | None,
        *,
        zero_crop: Tensor | None = None,
        negative: Tensor | None = None,
        structure: float = 1.0,
    ) -> Tokens:
        """One person's tokens for both branches, fp32, on the projection's device.

        `embeddings`: (1, 512), the mean of the photos'; (photos, 512) for Portrait, of which five count.
        `crops`: CLIP's last but one hidden states (photos, 257, 1280) of the aligned faces, `zero_crop`: those of
        a picture of zeros (1, 257, 1280); both for the Plus kinds only. `negative`: what stands for nobody, of the
        shape of `embeddings` or one row; zeros without it. `structure`: share of the CLIP states in Plus v2's tokens.
        Raises ValueError for other shapes.
        """
        embeddings = self._rows(embeddings)
        nobody = torch.zeros_like(embeddings) if negative is None else self._like(negative).expand_as(embeddings)
        return Tokens(self._tokens(embeddings, crops, structure), self._tokens(nobody, zero_crop, structure))

    def _tokens(self, embeddings: Tensor, states: Tensor | None, structure: float) -> Tensor:
        if self.kind.needs_clip != (states is not None):
            raise ValueError(f"{self.kind.value} {'needs' if self.kind.needs_clip else 'knows no'} CLIP states")
        if states is None:
            return self(embeddings)
        return self(embeddings, self._like(states), structure)

    def _rows(self, embeddings: Tensor) -> Tensor:
        most = MAX_PORTRAIT_PHOTOS if self.kind in _PORTRAITS else 1
        if embeddings.ndim != 2 or len(embeddings) == 0 or (most == 1 and len(embeddings) > 1):
            raise ValueError(f"{self.kind.value} wants embeddings (1..{most}, width), got {tuple(embeddings.shape)}")
        return self._like(embeddings[:most])

    def _like(self, given: Tensor) -> Tensor:
        weight = next(self.parameters())
        return given.to(weight.device, weight.dtype)


class InstantIdProjection(Projection):
    """Learned latents ask the embedding, which enters as a sequence of one."""

    def __init__(self, kind: AdapterKind, weights: Mapping[str, Tensor]) -> None:
        super().__init__(kind)
        self.latents = nn.Parameter(torch.empty(weights["latents"].shape))
        self.perceiver = Perceiver(weights)

    def forward(self, embeddings: Tensor) -> Tensor:
        latents = self.latents.expand(len(embeddings), -1, -1)
        return self.perceiver(latents, embeddings[:, None])


class FaceMlp(Projection):
    """What all FaceID files have: an MLP that makes all tokens of a photo at once."""

    def __init__(self, kind: AdapterKind, weights: Mapping[str, Tensor]) -> None:
        super().__init__(kind)
        hidden, width = weights["proj.0.weight"].shape
        self.width = len(weights["norm.weight"])
        self.proj = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, len(weights["proj.2.weight"]))
        )
        self.norm = nn.LayerNorm(self.width)

    def _identity(self, embeddings: Tensor) -> Tensor:
        return self.norm(self.proj(embeddings).reshape(len(embeddings), -1, self.width))


class FaceIdProjection(FaceMlp):
    """The tokens of several photos follow one another."""

    def forward(self, embeddings: Tensor) -> Tensor:
        return self._identity(embeddings).reshape(1, -1, self.width)


class FaceIdPlusProjection(FaceMlp):
    """The MLP's tokens ask the CLIP states of every photo; the mean of what they hear counts."""

    def __init__(self, kind: AdapterKind, weights: Mapping[str, Tensor]) -> None:
        super().__init__(kind, weights)
        prefix = "perceiver_resampler."
        self.perceiver_resampler = Perceiver(
            {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
        )

    def forward(self, embeddings: Tensor, states: Tensor, structure: float) -> Tensor:
        identity = self._identity(embeddings)
        heard = self.perceiver_resampler(identity.expand(len(states), -1, -1), states).mean(dim=0, keepdim=True)
        return identity + structure * heard if self.kind is AdapterKind.FACEID_PLUS_V2 else heard


_NETWORKS: Mapping[AdapterKind, Callable[[AdapterKind, Mapping[str, Tensor]], Projection]] = {
    AdapterKind.INSTANTID: InstantIdProjection,
    AdapterKind.FACEID: FaceIdProjection,
    AdapterKind.FACEID_PLUS: FaceIdPlusProjection,
    AdapterKind.FACEID_PLUS_V2: FaceIdPlusProjection,
    AdapterKind.FACEID_PORTRAIT: FaceIdProjection,
    AdapterKind.FACEID_PORTRAIT_UNNORM: FaceIdProjection,
}
