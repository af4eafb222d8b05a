"""Dreambooth: the whole UNet, and on request the text encoders; the result is a checkpoint like the base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import BaseNotFound, BaseUnsupported, SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.compute import Compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.files import read_weights, refuse_unreadable
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.training.families.vae_config import refuse_lost, vae_weights
from personal_avatar.training.files import refuse_infinite, write_tensors
from personal_avatar.training.methods.base import State, Subject
from personal_avatar.training.planning.plan import DreamboothPlan

if TYPE_CHECKING:
    import torch

AVERAGED = "model_ema."
ROUNDING = 2.0**-8  # of bfloat16, the coarsest format of checkpoints


class Dreambooth:
    """All weights of the UNet train, in fp32 whatever the model was loaded in; see `TrainingMethod`.

    The weights that the checkpoint came with wait on the CPU, in the format that they were loaded in; where steps ask
    for its answers, such that a graphics card is not waited for. State keys are `<kohya prefix>.<parameter>`.
    """

    heavy = True
    moves_others = True

    def __init__(self, model: DiffusionModel, plan: DreamboothPlan, subject: Subject | None = None) -> None:
        _fine_enough(model)
        refuse_unreadable(model.base.path)  # all of it is written again
        self._model, self._plan = model, plan
        self.trains_text = plan.text_encoder_learning_rate > 0
        self._trained = dict(_parameters(model, text=self.trains_text))
        self._bare = {name: self._kept(weight) for name, weight in self._trained.items()}
        self._aside: list[torch.Tensor] = []
        self._own: Path | None = None  # the file of ours that was saved or read last
        exact = _exact(model, text=self.trains_text)
        for name, weight in self._trained.items():
            weight.data = exact.get(name, weight.data).to(weight.device).float()
            weight.requires_grad_(True)

    def _kept(self, weight: torch.Tensor) -> torch.Tensor:
        """A copy in main memory; pinned where it is put back into its place at every step."""
        copy = weight.detach().to("cpu", copy=True)
        return self._model.compute.pinned(copy) if self._plan.own_answers else copy

    def parameter_groups(self) -> list[dict[str, Any]]:
        unet = [weight for name, weight in self._trained.items() if name.startswith(f"{UNET_PREFIX}.")]
        text = [weight for name, weight in self._trained.items() if not name.startswith(f"{UNET_PREFIX}.")]
        groups = [{"params": unet, "lr": self._plan.learning_rate}]
        return [*groups, {"params": text, "lr": self._plan.text_encoder_learning_rate}] if text else groups

    def aside(self) -> list[torch.Tensor]:
        """The trained weights, as long as others are in their places."""
        return list(self._aside)

    def state(self) -> State:
        import torch

        return {name: weight.detach().to("cpu", torch.float32, copy=True) for name, weight in self._trained.items()}

    def load(self, state: State) -> None:
        for name, weight in self._trained.items():
            weight.data.copy_(state[name])

    @contextmanager
    def strength(self, weight: float) -> Iterator[None]:
        """The trained weights stay where they are meanwhile; 0 puts in the checkpoint's own, others mix."""
        if weight == 1:
            yield
            return
        before, trained = self._aside, {name: one.data for name, one in self._trained.items()}
        self._aside = [*before, *trained.values()]
        try:
            for name, one in self._trained.items():
                one.data = _mixed(self._bare[name].to(one.device, non_blocking=True), trained[name], weight)
            yield
        finally:
            for name, one in self._trained.items():
                one.data = trained[name]
            self._aside = before

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """The base's file with the trained weights in their places, each in the number format that it has there; its
        yaml beside it under the new name. A VAE of another file goes in, for the host may not know to whom it belongs
        then; averaged weights (EMA) are left out, for they would be the base's. Where the base is not as it was loaded,
        a file that was saved before does as well. Raises `BaseNotFound` without either."""
        base, whole = self._model.base, self._whole()
        tensors = {name: one for name, one in read_weights(whole).items() if not name.startswith(AVERAGED)}
        if base.vae is not None and whole == base.path:
            tensors |= vae_weights(tensors, base)
        trained = self._model.file_tensors(text=self.trains_text, like=whole)
        lost = [name for name in trained if name not in tensors]
        if lost:
            raise stated(SelfTestFailed, "failure.no_place", file=base.path.name, count=len(lost), tensor=lost[0])
        write_tensors(path, _apart({**tensors, **trained}), metadata)
        config = base.config if base.config and whole == base.path else whole.with_suffix(".yaml")
        if config.is_file() and path != whole:
            shutil.copyfile(config, path.with_suffix(".yaml"))
        self._own = path

    def _whole(self) -> Path:
        """The file from which all is taken that is not trained."""
        model, base = self._model, self._model.base
        if model.file_is_as_read and (base.vae is None or base.vae.is_file()):
            return base.path
        if self._own is not None and self._own.is_file():
            return self._own
        refuse_lost(base)
        said = "failure.whole_gone" if model.file_is_gone else "failure.whole_replaced"
        raise stated(BaseNotFound, said, "error.BASE_NOT_FOUND.back", place=base.path)

    def read(self, path: Path) -> State:
        """What our own loader makes of the file."""
        state = dict(_parameters(_loaded(self._model, path), text=self.trains_text))
        if {name: one.shape for name, one in state.items()} != {name: one.shape for name, one in self._trained.items()}:
            raise stated(SelfTestFailed, "failure.tensors", file=path.name, count=len(self._trained))
        self._own = path
        return {name: one.data for name, one in state.items()}

    def matched(self, path: Path) -> int:
        """The file holds the weights that are loaded now, but for the rounding to its number format."""
        read = self.read(path)
        refuse_infinite(path, read)
        for name, weight in self._trained.items():
            if not _same(read[name], weight.detach()):
                raise stated(SelfTestFailed, "failure.not_trained", tensor=name, file=path.name)
        return len(read)


def _fine_enough(model: DiffusionModel) -> None:
    """Raises `BaseUnsupported` when the file's number format would round away what is learned."""
    if model.native_dtype.itemsize < 2:
        raise stated(BaseUnsupported, "base.eight", "remedy.eight", file=model.base.path.name)


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous, and none a view of another's memory, as pickled checkpoints may have them."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        memory = whole.untyped_storage().data_ptr()
        found[name] = whole.clone() if memory in seen and whole.numel() else whole
        seen.add(memory)
    return found


def _parameters(model: DiffusionModel, *, text: bool) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """All weights of the UNet and, with `text`, of the text encoders."""
    for prefix, root in model.modules().items():
        if text or prefix == UNET_PREFIX:
            yield from ((f"{prefix}.{path}", weight) for path, weight in root.named_parameters())


def _loaded(model: DiffusionModel, path: Path) -> DiffusionModel:
    """A checkpoint of the kind of `model` on the CPU, nothing rounded: in a number format in which not every torch can
    compute there."""
    import torch

    compute, base = Compute(torch.device("cpu"), model.native_dtype, None), model.base
    if path != base.path:  # one of ours, which has its VAE inside and its configuration beside it
        config = path.with_suffix(".yaml")
        base = replace(base, path=path, vae=None, config=config if config.is_file() else base.config)
    return registry.read_in(base, compute, model.base.native_px)


def _exact(model: DiffusionModel, *, text: bool) -> dict[str, torch.Tensor]:
    """The weights as the file has them, when they were rounded on loading: training starts from the unrounded ones."""
    import torch

    if model.unet.dtype in (torch.float32, model.native_dtype):
        return {}
    return {name: weight.data for name, weight in _parameters(_loaded(model, model.base.path), text=text)}


def _mixed(bare: torch.Tensor, trained: torch.Tensor, weight: float) -> torch.Tensor:
    if weight == 0:
        return bare
    return bare.to(trained.dtype).lerp(trained, weight)


def _same(read: torch.Tensor, trained: torch.Tensor) -> bool:
    import torch

    return torch.allclose(read, trained.to(read.device, read.dtype), rtol=ROUNDING, atol=1e-7)
