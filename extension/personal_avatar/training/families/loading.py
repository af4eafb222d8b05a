"""From one file to modules in memory, the same for every family; nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported, Crashed
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.shipped import TOKENIZER
from personal_avatar.training.compute import Compute
from personal_avatar.training.families.contents import Contents, Named, without_weights
from personal_avatar.training.families.files import (
    Shapes,
    Stored,
    Weights,
    is_one_by_one,
    open_weights,
    read_shapes,
)
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX, VAE_MODULE
from personal_avatar.training.families.sidecar import encoder_folder, read_params
from personal_avatar.training.families.stored import Places, take, unet_places
from personal_avatar.training.families.text import TextEncoder
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.families.vae_config import vae_config, vae_weights
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

SAID_LINES, SAID_CHARACTERS = 3, 300
M = TypeVar("M", bound=DiffusionModel)
Reader = Callable[[Any, Stored], Named]  # a module and the open file -> its tensors under its own names


@dataclass
class Source:
    """An open checkpoint. Of the modules built so far, by kohya's prefix: `places` of their tensors in the file, and
    `contents` (of the VAE, too), what they can be filled with again. `text_apart`: see `Parts`; `text_as_stored`: on a
    graphics card, whether what the file has of the text encoders in half precision stays so; see halves.py."""

    base: BaseModelFile
    compute: Compute
    resolution_px: int
    text_apart: bool = False
    text_as_stored: bool = False
    places: dict[str, Places] = field(default_factory=dict)
    contents: dict[str, Contents] = field(default_factory=dict)

    @cached_property
    def weights(self) -> Stored:
        return open_weights(self.base.path)

    @cached_property
    def shapes(self) -> Shapes:
        return read_shapes(self.base.path)

    @cached_property
    def params(self) -> dict[str, Any]:
        return read_params(self.base)

    @cached_property
    def encoder_folder(self) -> Path | None:
        """Where the yaml says that CLIP's tokenizer and size are."""
        return encoder_folder(self.params, TOKENIZER)

    def model(self, kind: type[M], encoders: Mapping[str, TextEncoder], tokenizers: list[Any]) -> M:
        """All of it in memory. `encoders`: kohya prefix -> what is built of the file. Raises `BaseUnsupported`."""
        unet, vae = self._unet(), self._vae()
        text = {prefix: self._text_encoder(prefix, encoder) for prefix, encoder in encoders.items()}
        return kind(
            self.base, self.compute, unet, vae, text, self.contents, self.text_apart, tokenizers, self.places
        )

    def _unet(self) -> Any:
        from diffusers import UNet2DConditionModel

        config = unet_config(self.shapes, self.params, self.base)
        self.places[UNET_PREFIX] = unet_places(self.weights, config)
        module = self._filled(
            UNET_PREFIX, lambda: UNet2DConditionModel(**config), self._from(UNET_PREFIX), self.compute.weights
        )
        return self._with_attention(module)

    def _vae(self) -> Any:
        """Always fp32: the standard VAEs overflow in fp16. Raises `BaseUnsupported` also for values that are no
        numbers, which nothing would show before the pictures do."""
        import torch
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        config = vae_config(shapes_of(vae_weights(self.weights, self.base)), self.params, self.base)

        def read(module: Any, weights: Stored) -> Named:
            found: Weights = convert_ldm_vae_checkpoint(vae_weights(weights, self.base), module.config)
            return found.items()

        module = self._filled(VAE_MODULE, lambda: AutoencoderKL(**config), read, torch.float32)
        refuse_no_numbers(module, f"The VAE in {(self.base.vae or self.base.path).name}")
        return self._with_attention(module)

    def _text_encoder(self, prefix: str, encoder: TextEncoder) -> Any:
        """Answers in fp32, by plain attention: it runs once a caption, or is trained itself. `prefix` is kohya's."""
        import torch

        from personal_avatar.training.families.halves import take_halves

        def read(module: torch.nn.Module, weights: Stored) -> Named:
            self.places[prefix] = encoder.places(module)
            return self._from(prefix)(module, weights)

        def build() -> torch.nn.Module:
            module = encoder.build()
            if self.text_as_stored and self.compute.device.type != "cpu":  # which widens them too slowly
                take_halves(module)
            return module

        device = torch.device("cpu") if self.text_apart else self.compute.device
        return self._filled(prefix, build, read, torch.float32, device)

    def _from(self, prefix: str) -> Reader:
        """Reads the tensors that are at the `places` of a module."""
        return lambda _, weights: ((name, take(weights, place)) for name, place in self.places[prefix].items())

    def _filled(
        self, name: str, build: Callable[[], Any], read: Reader, dtype: torch.dtype, device: torch.device | None = None
    ) -> Any:
        """A frozen module on the device, built without initialising its weights and filled from the file."""
        from personal_avatar.training.families.halves import may_be_half

        with without_weights():
            module = build()
        vae = self.base.vae if name == VAE_MODULE else None
        again = is_one_by_one(vae or self.base.path) and is_one_by_one(self.base.path)
        weights = self.weights
        contents = Contents(
            module, lambda: read(module, weights), device or self.compute.device, dtype, lent=not again,
            halves=frozenset(may_be_half(module)),
        )
        contents.fill()
        if again:
            self.contents[name] = contents
        return module.eval()

    def _with_attention(self, module: Any) -> Any:
        from diffusers.models.attention_processor import AttnProcessor

        if self.compute.plain_attention(self.resolution_px):
            module.set_attn_processor(AttnProcessor())
        return module


def refuse_no_numbers(module: torch.nn.Module, spoken: str) -> None:
    """Raises `BaseUnsupported` when a weight is NaN or infinite. Each is read once: a sum shows both."""
    import torch

    with torch.no_grad():
        sums = torch.stack([weight.sum() for weight in module.parameters()])
    if not bool(sums.isfinite().all()):
        raise stated(BaseUnsupported, "base.numbers", "remedy.again_or_vae", part=spoken)


def shapes_of(weights: Mapping[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


@contextmanager
def named_layout_errors(base: BaseModelFile, spoken: str) -> Iterator[None]:
    """A tensor that is missing, of a wrong shape or of a name that none has becomes `BaseUnsupported`."""
    try:
        yield
    except (RuntimeError, LookupError, ValueError) as error:
        if not isinstance(named(error), Crashed):
            raise  # of memory
        values = {"file": base.path.name, "family": spoken, "cause": _said(error)}
        raise stated(BaseUnsupported, "base.layout", **values) from error


def _said(error: Exception) -> str:
    """Which tensor it is about, of which torch says so in its second or third line."""
    if isinstance(error, KeyError):
        return text("content.lacks", tensor=error.args[0])
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shorten(" ".join(lines[:SAID_LINES]), SAID_CHARACTERS, placeholder=" ...")
