"""Stable Diffusion 2.x: an OpenCLIP text encoder, networks that answer with noise or with velocity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from personal_avatar.domain import Family
from personal_avatar.training.families.detect import OPEN_CLIP
from personal_avatar.training.families.loading import Source
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.sidecar import encoder_params
from personal_avatar.training.families.text import open_clip_encoder, tokenizer

if TYPE_CHECKING:
    import torch

TEXT_ENCODER = "lora_te"


class Sd2Model(DiffusionModel):
    """Cross attention on the last but one hidden state, after the final norm; the last layer is not even loaded."""

    family = Family.SD2

    def encode_tokens(self, tokens: Sequence[torch.Tensor], clip_skip: int = 1) -> Conditioning:
        return {"states": self.text_encoders[TEXT_ENCODER](tokens[0])[0]}


def load(source: Source) -> Sd2Model:
    """The modules of an open checkpoint. Raises `BaseUnsupported`."""
    layer = encoder_params(source.params, 0).get("layer", "penultimate")
    encoder = open_clip_encoder(source.shapes, OPEN_CLIP, source.base, drop=int(layer != "last"), projected=False)
    return source.model(Sd2Model, {TEXT_ENCODER: encoder}, [tokenizer(None, open_clip=True)])
