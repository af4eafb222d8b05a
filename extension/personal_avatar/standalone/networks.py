"""LoRA files in a loaded model: added to its weights, and taken out again to the last bit.

Which files there are for a prompt, and when they are applied; what a file does to a weight is in `deltas.py`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import GenerationFailed, NotFound
from personal_avatar.networks import find_lora, loras_in, made_for, read_header
from personal_avatar.problems import raise_all, stated
from personal_avatar.prompts import NetworkTag, refuse_unusable
from personal_avatar.standalone.deltas import read_deltas
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.wording import FAMILIES, text

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

Stamp = tuple[str, int, int, NetworkTag]


@dataclass(frozen=True)
class Network:
    """A LoRA file to be applied as a prompt says."""

    path: Path
    tag: NetworkTag

    @property
    def stamp(self) -> Stamp:
        """Changes when the file or what the prompt says of it does."""
        status = self.path.stat()
        return str(self.path), status.st_mtime_ns, status.st_size, self.tag

    def weight_of(self, module: str) -> float:
        """The multiplier of what the file says of `module`, a name in it."""
        return self.tag.unet_weight if module.startswith(UNET_PREFIX) else self.tag.text_weight


def find_networks(tags: Sequence[NetworkTag], folder: Path) -> list[Network]:
    """The files that tags name, anywhere under `folder`. Raises `InvalidSettings` for a tag that cannot be used;
    `NotFound` with the names that exist, but for avatars: whoever reads it may be somebody else than who trained them.
    """
    refuse_unusable(tags)
    files = loras_in(folder)
    missing = dict.fromkeys(tag.name for tag in tags if find_lora(tag.name, files) is None)
    if missing:
        known = ", ".join(sorted(name for name, path in files.items() if not _is_ours(path))) or "none yet"
        error = stated(NotFound, "failure.lora_not_there", names=", ".join(missing))
        error.hint = text("remedy.loras_here", names=known)
        raise error
    return present_networks(tags, folder)


def _is_ours(path: Path) -> bool:
    header = read_header(path)
    return header is not None and any(name.startswith("personal_avatar.") for name in header.metadata)


def present_networks(tags: Sequence[NetworkTag], folder: Path) -> list[Network]:
    """Those of the tags whose files are there; weights of 0 leave a file out, and so do those that are no numbers. None
    where a tag cannot be read, as in the WebUI."""
    if not all(tag.is_read for tag in tags):
        return []
    files = loras_in(folder)
    found = [(find_lora(tag.name, files), tag) for tag in tags if tag.is_usable and tag.is_used]
    return [Network(path, tag) for path, tag in found if path is not None]


@dataclass
class AppliedNetworks:
    """What is added to one model now. The original weights are kept on the CPU as long as something is.

    They are kept by weight and not by name: a module may have several names.
    """

    model: DiffusionModel
    _stamps: tuple[Stamp, ...] = ()
    _originals: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def use(self, networks: Sequence[Network]) -> None:
        """Make exactly `networks` the ones that are applied; does nothing when they are already, unchanged on disk.

        Raises `GenerationFailed` for the files that do not fit; the model is then without any.
        """
        stamps = tuple(network.stamp for network in networks)
        if stamps == self._stamps:
            return
        self.remove()
        try:
            all_fit(*(partial(self._add, network) for network in networks))
        except BaseException:
            self.remove()
            raise
        self._stamps = stamps

    def remove(self) -> None:
        """Put the original weights back, bit for bit."""
        import torch

        with torch.no_grad():
            for weight, original in self._originals.values():
                weight.copy_(original)
        self._originals, self._stamps = {}, ()

    def _add(self, network: Network) -> None:
        import torch

        weights, matched = module_weights(self.model), 0
        for name, delta in read_deltas(network.path):
            weight = weights.get(name)
            if weight is None:
                continue
            if not delta.fits(weight):
                raise self._misfit(network.path, f"{name} has another size")
            if id(weight) not in self._originals:
                self._originals[id(weight)] = (weight, weight.detach().to("cpu", copy=True))
            if multiplier := network.weight_of(name):
                with torch.no_grad():
                    weight.copy_(delta.added(weight.float(), multiplier, network.tag.rank))
            matched += 1
        if not matched:
            raise self._misfit(network.path, "no module of that name")

    def _misfit(self, path: Path, why: str) -> GenerationFailed:
        model, base = made_for(path), self.model.base
        other = model if model not in ("", FAMILIES[base.family]) else "another kind of checkpoint"
        values = {"file": path.name, "format": other, "base": base.title, "cause": why}
        return stated(GenerationFailed, "failure.misfit", "remedy.out_of_prompt", **values)


def all_fit(*checks: Callable[[], object]) -> None:
    """Make all of the checks; raises one `GenerationFailed` with what each of them finds."""
    raise_all(checks, GenerationFailed, _joined)


def _joined(found: Sequence[GenerationFailed]) -> GenerationFailed:
    messages, hints = ([getattr(error, part) for error in found] for part in ("message", "hint"))
    return GenerationFailed(" ".join(messages), " ".join(dict.fromkeys(hints)))


def module_weights(model: DiffusionModel) -> dict[str, torch.Tensor]:
    """Every name that LoRA files have for a module with a weight matrix or kernel -> that weight."""
    return {
        name: module.weight
        for prefix, root in model.modules().items()
        for path, module in root.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.dim() in (2, 4)
        for name in _names(model, prefix, path)
    }


def _names(model: DiffusionModel, prefix: str, path: str) -> set[str]:
    """As kohya's tools write it for the family, and after the module's place in diffusers."""
    return {model.lora_key(prefix, path), f"{prefix}_{path.replace('.', '_')}"}
