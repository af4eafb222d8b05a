"""The one checkpoint that is in memory, with its LoRAs, and the pictures made with it."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import AvatarError, Crashed, GenerationFailed
from personal_avatar.host import Folders
from personal_avatar.identities import IdentityRequest
from personal_avatar.naming import described, named
from personal_avatar.networks import embeddings_in, named_embeddings
from personal_avatar.problems import stated
from personal_avatar.standalone.denoise import OnStep, Painting, paint
from personal_avatar.standalone.embeddings import embedding_for
from personal_avatar.standalone.networks import AppliedNetworks, Network, all_fit
from personal_avatar.standalone.restorers import redrawn
from personal_avatar.studio.oneshot import unit_of
from personal_avatar.studio.restored import REPAINTED
from personal_avatar.studio.second_pass import with_small_faces
from personal_avatar.training.planning.fitness import face_widths

if TYPE_CHECKING:
    from personal_avatar.identity.unit import IdentityUnit, Prepared
    from personal_avatar.training.families.model import DiffusionModel

SMALL_PX = 256 * 256


@dataclass(frozen=True, eq=False)
class Painted:
    """`images`: uint8 RGB (seeds, height, width, 3); `infotexts`: for each what is to be said besides the request."""

    images: np.ndarray
    infotexts: tuple[tuple[tuple[str, str], ...], ...]


class Pipelines:
    """Thread-safe: one picture batch at a time. The checkpoint and the LoRAs stay loaded until others are wanted, the
    networks for identity beside them."""

    def __init__(self, folders: Folders) -> None:
        self._lock = threading.Lock()
        self._folders = folders
        self._applied: AppliedNetworks | None = None
        self._key: tuple[object, ...] = ()

    def paint(
        self, base: BaseModelFile, networks: Sequence[Network], painting: Painting, on_step: OnStep,
        identity: IdentityRequest | None = None,
    ) -> Painted:
        """Raises `GenerationFailed`, what loading raises, and for `identity` what `IdentityUnit.prepare` raises."""
        with self._lock, _named_errors(), _few_threads(painting):
            model = self._ready(base, networks, painting)
            if identity is not None:
                return self._with_people(model, painting, on_step, identity)
            if "_unit" in vars(self):
                self._unit.park()
            return Painted(paint(model, painting, on_step), ((),) * len(painting.seeds))

    @cached_property
    def _unit(self) -> IdentityUnit:
        return unit_of(self._folders)

    def _with_people(
        self, model: DiffusionModel, painting: Painting, on_step: OnStep, request: IdentityRequest
    ) -> Painted:
        images, prepared = self._injected(model, painting, on_step, request)
        if not request.settings.second_pass:
            return Painted(images, (prepared.infotext,) * len(images))
        analyser = self._unit.analyser(prepared.kind)
        embeddings = [reference.embedding for reference in prepared.references]
        done = []
        for image, seed in zip(images, painting.seeds, strict=True):
            again = partial(self._repainted, model, replace(painting, seeds=(seed,)), on_step)
            done.append(with_small_faces(image, request, embeddings, analyser, again))
        return Painted(
            np.stack([image for image, _ in done]), tuple((*prepared.infotext, (REPAINTED, str(n))) for _, n in done)
        )

    def _repainted(
        self, model: DiffusionModel, painting: Painting, on_step: OnStep, request: IdentityRequest, crop: np.ndarray
    ) -> np.ndarray:
        """A part of a picture, painted anew at the checkpoint's own size with one person in it."""

        def repaint(fitted: np.ndarray, strength: float) -> np.ndarray:
            height, width = fitted.shape[:2]
            large = replace(painting, image=fitted, strength=strength, width_px=width, height_px=height)
            return self._injected(model, large, on_step, replace(request, keypoints_image=fitted))[0][0]

        return redrawn(crop, request.settings.second_pass_strength, model.base.native_px, repaint)

    def _injected(
        self, model: DiffusionModel, painting: Painting, on_step: OnStep, request: IdentityRequest
    ) -> tuple[np.ndarray, Prepared]:
        """Pictures with the people of the request in them."""
        from personal_avatar.identity.injection import injected
        from personal_avatar.identity.nouns import Target

        compute, size_px = model.compute, (painting.width_px, painting.height_px)
        target = Target(model.family, *size_px, compute.device, compute.weights, face_widths(model.base))
        prepared = self._unit.prepare(request, target)
        beside = partial(injected, model.unet, prepared.injection)
        return paint(model, painting, on_step, beside), prepared

    def forget(self) -> None:
        """Keep nothing that was read from photos."""
        if "_unit" in vars(self):
            self._unit.forget()

    def unload(self) -> None:
        """Give the memory back."""
        from personal_avatar.training.compute import release

        with self._lock:
            self._applied, self._key = None, ()
            if "_unit" in vars(self):
                self._unit.unload()
            release()

    def _ready(self, base: BaseModelFile, networks: Sequence[Network], painting: Painting) -> DiffusionModel:
        """With the networks in it. Raises `GenerationFailed` for all networks and embeddings that do not fit it."""
        key = _key(base)
        if self._applied is None or key != self._key:
            self._applied, self._key = None, ()
            self._applied, self._key = AppliedNetworks(_load(base)), key
        applied, named = self._applied, (painting.prompt, painting.negative_prompt)
        embeddings = named_embeddings(named, embeddings_in(painting.embeddings) if painting.embeddings else {})
        all_fit(
            lambda: applied.use(networks),
            *(partial(embedding_for, applied.model, path.stem, path) for path in embeddings),
        )
        return applied.model


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
            found = stated(GenerationFailed, "failure.not_painted", cause=described(error))
        raise found from error
