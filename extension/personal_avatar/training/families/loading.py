"""From one file to modules in memory, the same for every family; nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported, Crashed, named
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.files import Shapes, Weights, read_weights
from personal_avatar.training.families.sidecar import encoder_folder, read_params
from personal_avatar.training.families.stored import Places, take, unet_places
from personal_avatar.training.families.text import TOKENIZER, TextEncoder
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.families.vae_config import vae_config, vae_weights

if TYPE_CHECKING:
    import torch


@dataclass
class Source:
    """An open checkpoint. `places`: kohya prefix -> where the tensors of the modules built so far are in the file."""

    base: BaseModelFile
    compute: Compute
    resolution_px: int
    places: dict[str, Places] = field(default_factory=dict)

    @cached_property
    def weights(self) -> Weights:
        return read_weights(self.base.path)

    @cached_property
    def shapes(self) -> Shapes:
        return shapes_of(self.weights)

    @cached_property
    def params(self) -> dict[str, Any]:
        return read_params(self.base)

    @cached_property
    def encoder_folder(self) -> Path | None:
        """Where the yaml says that CLIP's tokenizer and size are."""
        return encoder_folder(self.params, TOKENIZER)

    def unet(self) -> Any:
        from diffusers import UNet2DConditionModel

        config = unet_config(self.shapes, self.params, self.base)
        self.places["lora_unet"] = unet_places(self.weights, config)
        state = {name: take(self.weights, place) for name, place in self.places["lora_unet"].items()}
        module = self._filled(lambda: UNet2DConditionModel(**config), lambda _: state, self.compute.weights)
        return self._with_attention(module)

    def vae(self) -> Any:
        """Always fp32: the standard VAEs overflow in fp16."""
        import torch
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        weights = vae_weights(self.weights, self.base)
        config = vae_config(shapes_of(weights), self.params, self.base)
        module = self._filled(
            lambda: AutoencoderKL(**config),
            lambda made: convert_ldm_vae_checkpoint(weights, made.config),
            torch.float32,
        )
        return self._with_attention(module)

    def text_encoder(self, prefix: str, encoder: TextEncoder) -> Any:
        """fp32, plain attention: it runs once a caption, or is trained itself. `prefix` is kohya's."""
        import torch

        def state(module: torch.nn.Module) -> Weights:
            self.places[prefix] = encoder.places(module)
            return {name: take(self.weights, place) for name, place in self.places[prefix].items()}

        return self._filled(encoder.build, state, torch.float32)

    def _filled(
        self,
        build: Callable[[], torch.nn.Module],
        weights_for: Callable[[Any], Mapping[str, torch.Tensor]],
        dtype: torch.dtype,
    ) -> torch.nn.Module:
        """A frozen module on the device, built without initialising its weights; none may be missing, none left over.

        Its weights are made in `dtype` at once, so that a large checkpoint is not in memory twice.
        """
        with _made_in(dtype, self.compute.device):
            module = build()
        module.load_state_dict(weights_for(module), strict=True)
        return module.requires_grad_(False).eval()

    def _with_attention(self, module: Any) -> Any:
        from diffusers.models.attention_processor import AttnProcessor

        if self.compute.plain_attention(self.resolution_px):
            module.set_attn_processor(AttnProcessor())
        return module


def shapes_of(weights: Mapping[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


@contextmanager
def _made_in(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """New parameters have this format and place, and no values yet."""
    import torch
    from transformers.modeling_utils import no_init_weights

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.no_grad(), no_init_weights(), torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def named_layout_errors(base: BaseModelFile, spoken: str) -> Iterator[None]:
    """A tensor that is missing or of a wrong shape becomes `BaseUnsupported`."""
    try:
        yield
    except (RuntimeError, LookupError) as error:
        if not isinstance(named(error), Crashed):
            raise  # of memory
        what = str(error).splitlines()[0][:200]
        raise BaseUnsupported(f"{base.path.name} does not have the layout of {spoken}: {what}") from error
