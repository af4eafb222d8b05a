"""The nouns of this room: what a file holds, what photos say, what a call of the UNet is. Free of torch."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import Face, Family

if TYPE_CHECKING:
    import torch


class AdapterKind(str, Enum):
    """Which network a file holds; the words are used in infotexts and settings."""

    INSTANTID = "instantid"
    FACEID = "faceid"
    FACEID_PLUS = "faceid-plus"
    FACEID_PLUS_V2 = "faceid-plus-v2"
    FACEID_PORTRAIT = "faceid-portrait"
    FACEID_PORTRAIT_UNNORM = "faceid-portrait-unnorm"

    @property
    def needs_clip(self) -> bool:
        return self in (AdapterKind.FACEID_PLUS, AdapterKind.FACEID_PLUS_V2)

    @property
    def face_pack(self) -> str:
        """The models of insightface that it was trained with."""
        return "antelopev2" if self is AdapterKind.INSTANTID else "buffalo_l"

    @property
    def normalised(self) -> bool:
        """Whether it was trained on embeddings of length 1."""
        return self not in (AdapterKind.INSTANTID, AdapterKind.FACEID_PORTRAIT_UNNORM)


@dataclass(frozen=True)
class Target:
    """What the identity is put into: sizes of the pictures, where the UNet is and what it computes in. `widths`: of its
    cross-attentions in rising order; empty: not known, then any adapter of the family is taken."""

    family: Family
    width_px: int
    height_px: int
    device: torch.device
    dtype: torch.dtype
    widths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reference:
    """One person after the faces were read. `embedding`: float32 (512,) not normalised, the mean of the kept photos';
    `crops`: aligned faces of the kept ones, uint8 (n, 224, 224, 3); `face` and `size_px` (width, height): the largest
    face of the first kept photo, for the keypoints. `left_out`: sentences about photos that do not count."""

    embedding: np.ndarray
    embeddings: np.ndarray
    crops: np.ndarray
    face: Face
    size_px: tuple[int, int]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdapterWeights:
    """A file, read: tensors as they are in it. `attention`: number of the processor (1, 3, ...) -> (to_k_ip, to_v_ip);
    `lora`: number -> {"to_q" | "to_k" | "to_v" | "to_out": (down, up)}, empty where the file holds none."""

    kind: AdapterKind
    family: Family
    path: Path
    projection: Mapping[str, torch.Tensor]
    attention: Mapping[int, tuple[torch.Tensor, torch.Tensor]]
    lora: Mapping[int, Mapping[str, tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tokens:
    """What the projection makes of one person: `cond`, `uncond` (1, tokens, width of the cross-attention)."""

    cond: torch.Tensor
    uncond: torch.Tensor


@dataclass(frozen=True)
class Rows:
    """One call of the UNet: which of its rows belong to the prompt (not to the negative one), and the share of the
    sampling that is done, 0..1."""

    conditional: tuple[bool, ...]
    share: float


# Asked at every call of the UNet with its number of rows; None leaves the call as it is.
RowsOf = Callable[[int], "Rows | None"]
