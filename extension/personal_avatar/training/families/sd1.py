"""Stable Diffusion 1.x and everything of its layout (avatar-tiny)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from personal_avatar.domain import Family
from personal_avatar.training.families.detect import CLIP_L
from personal_avatar.training.families.loading import Source
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.text import clip_encoder, tokenizer

if TYPE_CHECKING:
    import torch

TEXT_ENCODER = "lora_te"


class Sd1Model(DiffusionModel):
    """One CLIP text encoder, cross attention on its last hidden state."""

    family = Family.SD1

    def encode_tokens(self, tokens: Sequence[torch.Tensor], clip_skip: int = 1) -> Conditioning:
        """`clip_skip` n: the n-th layer from the end, brought to the usual size by the final norm."""
        encoder = self.text_encoders[TEXT_ENCODER]
        if clip_skip <= 1:
            return {"states": encoder(tokens[0])[0]}
        hidden = encoder(tokens[0], output_hidden_states=True).hidden_states
        return {"states": encoder.text_model.final_layer_norm(hidden[-min(clip_skip, len(hidden))])}


def load(source: Source) -> Sd1Model:
    """The modules of an open checkpoint. Raises `BaseUnsupported`."""
    folder = source.encoder_folder
    encoder = clip_encoder(source.shapes, CLIP_L, folder, source.base)
    return source.model(Sd1Model, {TEXT_ENCODER: encoder}, [tokenizer(folder)])
