"""Stable Diffusion XL: two text encoders, and a UNet that is told the sizes of the picture and the pooled text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from personal_avatar.domain import Family
from personal_avatar.training.families.detect import UNET, XL_CLIP_L, XL_OPEN_CLIP
from personal_avatar.training.families.loading import Source
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.training.families.stored import name_of
from personal_avatar.training.families.text import clip_encoder, open_clip_encoder, tokenizer

if TYPE_CHECKING:
    import torch

CLIP_L_ENCODER, OPEN_CLIP_ENCODER = "lora_te1", "lora_te2"
LATENT_FACTOR = 8


class SdxlModel(DiffusionModel):
    """Cross attention on the last but one hidden states of both encoders side by side, without their final norms."""

    family = Family.SDXL
    # In its authors' code (`force_uc_zero_embeddings` of generative-models), in the WebUI and in diffusers.
    zero_without_words = True

    def encode_text(self, captions: Sequence[str], clip_skip: int = 1, least: int = 1) -> Conditioning:
        """No words are zeros."""
        import torch

        found = super().encode_text(captions, clip_skip, least)
        if all(captions):
            return found
        worded = self.compute.send(torch.tensor([1.0 if caption else 0.0 for caption in captions]))
        return {name: states * worded.reshape(-1, *[1] * (states.dim() - 1)) for name, states in found.items()}

    def encode_tokens(self, tokens: Sequence[torch.Tensor], clip_skip: int = 1) -> Conditioning:
        """"states" (windows, 77, widths together), "pooled" (windows, width of the projection)."""
        import torch

        first, second = tokens
        clip = self.text_encoders[CLIP_L_ENCODER](first, output_hidden_states=True)
        open_clip = self.text_encoders[OPEN_CLIP_ENCODER](second, output_hidden_states=True)
        states = torch.cat([clip.hidden_states[-2], open_clip.hidden_states[-2]], -1)
        return {"states": states, "pooled": open_clip.text_embeds}

    def _added(self, noisy: torch.Tensor, text: Conditioning) -> dict[str, torch.Tensor]:
        """The picture is of the size that it is shown in, and not cropped."""
        import torch

        size = [side * LATENT_FACTOR for side in noisy.shape[2:]]
        times = self.compute.send(torch.tensor([*size, 0, 0, *size], dtype=torch.float32))
        return {"text_embeds": text["pooled"].to(self.compute.weights), "time_ids": times.repeat(len(noisy), 1)}

    def lora_key(self, prefix: str, path: str) -> str:
        """Of the UNet the names of the checkpoint itself, as everybody writes them for this family."""
        if prefix != UNET_PREFIX:
            return super().lora_key(prefix, path)
        stored = name_of(self.places[UNET_PREFIX][f"{path}.weight"])
        return f"{prefix}_{stored.removeprefix(UNET).removesuffix('.weight').replace('.', '_')}"


def load(source: Source) -> SdxlModel:
    """The modules of an open checkpoint. Raises `BaseUnsupported`."""
    folder = source.encoder_folder
    first = clip_encoder(source.shapes, XL_CLIP_L, folder, source.base)
    second = open_clip_encoder(source.shapes, XL_OPEN_CLIP, source.base, drop=0, projected=True)
    encoders = {CLIP_L_ENCODER: first, OPEN_CLIP_ENCODER: second}
    return source.model(SdxlModel, encoders, [tokenizer(folder), tokenizer(None, open_clip=True)])
