"""The parts of a loaded checkpoint, and which of them is on the graphics card when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.training.compute import Compute, release
from personal_avatar.training.families.contents import Contents

if TYPE_CHECKING:
    import torch

UNET_PREFIX, VAE_MODULE = "lora_unet", "vae"


@dataclass
class Parts:
    """Of a frozen checkpoint in memory. `text_encoders`: kohya prefix (`lora_te`) -> module; `contents`: by kohya
    prefix, of those that can be filled again. `text_apart`: on a graphics card, whether the text encoders are in main
    memory but for `reading`."""

    base: BaseModelFile
    compute: Compute
    unet: Any  # diffusers.UNet2DConditionModel
    vae: Any  # diffusers.AutoencoderKL
    text_encoders: dict[str, torch.nn.Module] = field(default_factory=dict)
    contents: dict[str, Contents] = field(default_factory=dict)
    text_apart: bool = False

    @property
    def needs_vae(self) -> bool:
        """Whether it is needed at every step."""
        return False

    def park(self, *, text: bool, vae: bool = True) -> None:
        """Put away what training does not need (with `vae` the VAE, with `text` the text encoders): from a graphics
        card to main memory; on a CPU large ones are forgotten, but not if they were changed, and read again by
        `unpark` and `reading`."""
        if self.on_card:
            _move(self._parts(text=text, vae=vae), _main_memory())
            return
        for name in (*((VAE_MODULE,) if vae else ()), *(self.text_encoders if text else ())):
            if name in self.contents and not (name == VAE_MODULE and self.needs_vae):
                self.contents[name].drop()
        release()

    def unpark(self) -> None:
        """Everything back on the device, text encoders that are kept apart when they are asked alone. Raises what
        loading raises when the file is no longer there."""
        if self.on_card:
            _move(self._parts(text=not self.text_apart, vae=True, unet=True), self.compute.device)
        self._fill(name for name in self.contents if not (self.text_apart and name in self.text_encoders))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within: the text encoders can be asked. Where they are kept apart, they and the UNet take turns on a graphics
        card; afterwards the UNet is where it was, or in main memory where an error left a training that had given its
        card away. Raises what loading raises when the file is no longer there."""
        self._fill(self.text_encoders)
        text = self._parts(text=True)
        if not (self.on_card and self.text_apart) or any(_place(part).type != "cpu" for part in text):
            yield
            return
        unet = [part for part in self._parts(unet=True) if _place(part).type != "cpu"]
        _move(unet, _main_memory())
        try:
            _move(text, self.compute.device)
            yield
        finally:
            left = _place(text[0])
            _move(text, _main_memory())
            _move(unet, left)

    def _fill(self, names: Iterable[str]) -> None:
        """Of modules that were dropped."""
        for contents in (self.contents[name] for name in names if name in self.contents):
            if contents.dropped:
                contents.fill()

    @contextmanager
    def without(self, *, text: bool = False, unet: bool = False) -> Iterator[None]:
        """Within: the text encoders, and the UNet, lie in main memory; only what lay on a graphics card is moved, so
        that on a processor nothing happens. Afterwards it lies again where the rest does: on the card, or in main
        memory where an error left a training that had given its card away."""
        moved = [part for part in self._parts(text=text, unet=unet) if self.on_card and _place(part).type != "cpu"]
        _move(moved, _main_memory())
        try:
            yield
        finally:
            _move(moved, _place(self.vae if unet else self.unet))

    @property
    def trains_text(self) -> bool:
        """Whether something of the text encoders is trained, so that they answer otherwise from step to step."""
        return any(one.requires_grad for encoder in self.text_encoders.values() for one in encoder.parameters())

    @property
    def on_card(self) -> bool:
        """Whether it computes elsewhere than in main memory."""
        return self.compute.device.type != "cpu"

    def _parts(self, *, text: bool = False, vae: bool = False, unet: bool = False) -> list[torch.nn.Module]:
        named = [*([self.vae] if vae else []), *([self.unet] if unet else [])]
        return [*named, *(self.text_encoders.values() if text else ())]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Everything that is kept in memory, wherever that is now."""
        for module in (self.unet, self.vae, *self.text_encoders.values()):
            yield from module.parameters()
            yield from module.buffers()


def _main_memory() -> torch.device:
    import torch

    return torch.device("cpu")


def _place(part: torch.nn.Module) -> torch.device:
    return next(part.parameters()).device


def _move(parts: Sequence[torch.nn.Module], device: torch.device) -> None:
    """Parameters stay the same objects. What becomes free is given back."""
    for part in parts:
        part.to(device)
    if parts:
        release()
