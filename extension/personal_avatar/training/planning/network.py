"""A checkpoint in numbers, as the names, shapes and number formats in its file tell them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from personal_avatar.domain import Family
from personal_avatar.training.families.detect import UNET, VAE, detect
from personal_avatar.training.families.files import Shapes, in_half, read_shapes
from personal_avatar.training.planning.counts import FP32, HALF, count, whole
from personal_avatar.training.planning.footprint import Work, decoder_work, unet_work

READER = "attn2.to_k.weight"  # of what reads the prompt


def network_in(path: Path) -> Network:
    """What a checkpoint's file holds, read once while it stays the same. Raises `BaseNotFound`, `BaseUnsupported`."""
    try:
        found = path.stat()
    except OSError:
        return network_of(read_shapes(path), path.name)  # which names the error
    return _network_in(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _network_in(path: Path, changed_ns: int, size: int) -> Network:
    return network_of(read_shapes(path), path.name, in_half(path))


def network_of(shapes: Shapes, name: str = "The checkpoint", halves: frozenset[str] = frozenset()) -> Network:
    """`halves`: names of what is stored in half precision. Raises `BaseUnsupported`."""
    return Network(shapes, detect(shapes, name), halves)


@dataclass(frozen=True, eq=False)
class Network:
    """A checkpoint in numbers, counted once."""

    shapes: Shapes
    family: Family
    halves: frozenset[str] = frozenset()

    @cached_property
    def unet(self) -> int:
        return count(self.shapes, UNET)

    @cached_property
    def cross_attentions(self) -> tuple[int, int]:
        """How many of the UNet look at the prompt, and how wide what they read is; 0 of none, and of several widths."""
        keys = [shape for key, shape in self.shapes.items() if key.startswith(UNET) and key.endswith(READER)]
        widths = {shape[-1] for shape in keys}
        return len(keys), widths.pop() if len(widths) == 1 else 0

    @cached_property
    def vae(self) -> int:
        return count(self.shapes, VAE)

    @cached_property
    def text(self) -> int:
        return whole(self.shapes) - self.unet - self.vae

    @cached_property
    def text_stored(self) -> int:
        """Bytes of the text encoders where what is stored in half precision stays so (halves.py); of its vectors, a
        thousandth, that is not true."""
        halved = {name: self.shapes[name] for name in self.halves if not name.startswith((UNET, VAE))}
        return self.text * FP32 - whole(halved) * (FP32 - HALF)

    @cached_property
    def decoding(self) -> int:
        """Numbers of the widest layer of the VAE's decoder, for each pixel."""
        return decoder_work(self.shapes, 1)

    def work(self, side_px: int) -> Work:
        """Of the UNet on one picture."""
        return _work(self, side_px)


@lru_cache(maxsize=64)
def _work(network: Network, side_px: int) -> Work:
    return unet_work(network.shapes, network.family, side_px)
