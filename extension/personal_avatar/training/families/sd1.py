"""Stable Diffusion 1.x and everything of its layout (avatar-tiny): one file in, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.compute import Compute
from personal_avatar.training.families import sd1_config
from personal_avatar.training.families.detect import CLIP_L, UNET, load_pickle, read_shapes
from personal_avatar.training.families.model import Conditioning, DiffusionModel, frozen

if TYPE_CHECKING:
    import torch

TEXT_ENCODER = "lora_te"


class Sd1Model(DiffusionModel):
    """One CLIP text encoder, cross attention on its last hidden state."""

    family = Family.SD1

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        encoder = self.text_encoders[TEXT_ENCODER]
        tokens = self.tokenizers[0](
            list(captions), padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).input_ids
        return {"states": encoder(tokens.to(self.compute.device))[0]}

    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: Conditioning) -> torch.Tensor:
        with self.compute.products():
            dtype = self.compute.weights
            return self.unet(noisy.to(dtype), timesteps, text["states"].to(dtype)).sample.float()

    def webui_weight_names(self) -> dict[str, str]:
        names = {}
        for key, shape in read_shapes(self.base.path).items():
            if not key.endswith(".weight") or len(shape) < 2:
                continue
            for prefix, spoken in ((UNET, "diffusion_model_"), (CLIP_L, "transformer_")):
                if key.startswith(prefix):
                    module = key[len(prefix) : -len(".weight")]
                    names[spoken + module.replace(".", "_")] = key
        return names


def load(base: BaseModelFile, compute: Compute, resolution_px: int) -> Sd1Model:
    """Read a single-file checkpoint. Raises `BaseNotFound`, `BaseUnsupported`."""
    config = sd1_config.derive(read_shapes(base.path), base)
    weights = _read(base)
    try:
        unet, vae = _unet(weights, config, compute, resolution_px), _vae(weights, config, compute, resolution_px)
        text = _text_encoder(weights, config, compute)
    except (RuntimeError, KeyError) as error:
        what = str(error).splitlines()[0][:200]
        raise BaseUnsupported(f"{base.path.name} does not have the layout of Stable Diffusion 1.x: {what}") from error
    return Sd1Model(base, compute, unet, vae, {TEXT_ENCODER: text}, [_tokenizer(config)])


def _read(base: BaseModelFile) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(base.path) if base.path.suffix == ".safetensors" else load_pickle(base.path, "cpu")


def _unet(weights: dict[str, torch.Tensor], config: sd1_config.Sd1Config, compute: Compute, resolution_px: int) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
    from diffusers.models.attention_processor import AttnProcessor

    unet = _filled(
        lambda: UNet2DConditionModel(**config.unet), lambda made: convert_ldm_unet_checkpoint(weights, made.config)
    )
    if compute.plain_attention(resolution_px):
        unet.set_attn_processor(AttnProcessor())
    return frozen(unet, compute.device, compute.weights)


def _vae(weights: dict[str, torch.Tensor], config: sd1_config.Sd1Config, compute: Compute, resolution_px: int) -> Any:
    """Always fp32: the standard VAEs overflow in fp16."""
    import torch
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from diffusers.models.attention_processor import AttnProcessor

    vae = _filled(lambda: AutoencoderKL(**config.vae), lambda made: convert_ldm_vae_checkpoint(weights, made.config))
    if compute.plain_attention(resolution_px):
        vae.set_attn_processor(AttnProcessor())
    return frozen(vae, compute.device, torch.float32)


def _text_encoder(weights: dict[str, torch.Tensor], config: sd1_config.Sd1Config, compute: Compute) -> Any:
    """fp32, plain attention: it runs once a caption, or is trained itself."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    prefix = sd1_config.text_prefix({name: tuple(tensor.shape) for name, tensor in weights.items()})
    state = {
        "text_model." + name[len(prefix) :]: tensor
        for name, tensor in weights.items()
        if name.startswith(prefix) and not name.endswith("position_ids")
    }
    settings = CLIPTextConfig(**config.text, attn_implementation="eager")
    return frozen(_filled(lambda: CLIPTextModel(settings), lambda _: state), compute.device, torch.float32)


def _filled(build: Any, weights_for: Any) -> Any:
    """A module built without initialising its weights, then filled; none may be missing, none left over."""
    import torch
    from transformers.modeling_utils import no_init_weights

    with torch.no_grad(), no_init_weights():
        module = build()
    module.load_state_dict(weights_for(module), strict=True)
    return module


def _tokenizer(config: sd1_config.Sd1Config) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(config.tokenizer), local_files_only=True)
