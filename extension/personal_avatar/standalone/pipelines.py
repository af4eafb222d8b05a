"""The one checkpoint that is in memory, with its LoRAs, and the pictures made with it."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import AvatarError, Crashed, GenerationFailed, named
from personal_avatar.standalone.denoise import OnStep, Painting, paint
from personal_avatar.standalone.networks import AppliedNetworks, Network

if TYPE_CHECKING:
    from personal_avatar.training.families.model import DiffusionModel

SMALL_PX = 256 * 256


class Pipelines:
    """Thread-safe: one picture batch at a time. The checkpoint and the LoRAs stay loaded until others are wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied: AppliedNetworks | None = None
        self._key: tuple[object, ...] = ()

    def paint(
        self, base: BaseModelFile, networks: Sequence[Network], painting: Painting, on_step: OnStep
    ) -> np.ndarray:
        """uint8 RGB (seeds, height, width, 3). Raises `GenerationFailed` and what loading raises."""
        with self._lock, _named_errors(), _few_threads(painting):
            return paint(self._ready(base, networks), painting, on_step)

    def unload(self) -> None:
        """Give the memory back."""
        from personal_avatar.training.compute import release

        with self._lock:
            self._applied, self._key = None, ()
            release()

    def _ready(self, base: BaseModelFile, networks: Sequence[Network]) -> DiffusionModel:
        key = _key(base)
        if self._applied is None or key != self._key:
            self._applied, self._key = None, ()
            self._applied, self._key = AppliedNetworks(_load(base)), key
        self._applied.use(networks)
        return self._applied.model


def _key(base: BaseModelFile) -> tuple[object, ...]:
    """Changes when what would be loaded does."""
    files = [(path, path.stat()) for path in (base.path, base.vae, base.config) if path is not None]
    return (base.prediction, *((str(path), status.st_mtime_ns, status.st_size) for path, status in files))


def _load(base: BaseModelFile) -> DiffusionModel:
    """Half precision on a graphics card, and for large checkpoints on processors that are made for it; else fp32."""
    from personal_avatar.training.compute import choose, release
    from personal_avatar.training.families.registry import load

    release()
    return load(base, choose("auto", base.native_px), base.native_px)


def batches(seeds: tuple[int, ...], width_px: int, height_px: int) -> Iterator[tuple[int, ...]]:
    """Seeds that are painted together: 8 small pictures, else 4 on a graphics card and single ones on the CPU."""
    import torch

    size = 8 if width_px * height_px <= SMALL_PX else 4 if torch.cuda.is_available() else 1
    for at in range(0, len(seeds), size):
        yield seeds[at : at + size]


@contextmanager
def _few_threads(painting: Painting) -> Iterator[None]:
    """One thread for small pictures: with more, a busy machine waits for the slowest at every layer."""
    import torch

    before = torch.get_num_threads()
    small = painting.width_px * painting.height_px <= SMALL_PX
    torch.set_num_threads(1 if small else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _named_errors() -> Iterator[None]:
    """What libraries raise becomes `OutOfVram`, `OutOfMemory` or `GenerationFailed`."""
    try:
        yield
    except AvatarError:
        raise
    except Exception as error:
        found = named(error)
        if isinstance(found, Crashed):
            found = GenerationFailed(f"The picture could not be made ({type(error).__name__}: {error}).")
        raise found from error
