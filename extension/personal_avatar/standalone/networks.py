"""LoRA files in a loaded model: added to its weights, and taken out again to the last bit.

File layout as the WebUI reads it: `<prefix>_<module with underscores>.lora_up.weight`, `.lora_down.weight`, `.alpha`
(kohya), or `.lora_B` / `.lora_A` under the same names. weight += multiplier * alpha / rank * up @ down.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import GenerationFailed, NotFound
from personal_avatar.prompts import NetworkTag

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

UP, DOWN = (".lora_up.weight", ".lora_B.weight"), (".lora_down.weight", ".lora_A.weight")
Stamp = tuple[str, int, int, float]


@dataclass(frozen=True)
class Network:
    """A LoRA file to be applied with a multiplier."""

    path: Path
    weight: float

    @property
    def stamp(self) -> Stamp:
        """Changes when the file or the multiplier does."""
        status = self.path.stat()
        return str(self.path), status.st_mtime_ns, status.st_size, self.weight


def find_networks(tags: Sequence[NetworkTag], folder: Path) -> list[Network]:
    """The files that tags name, anywhere under `folder`. Raises `NotFound` with the names that exist."""
    files = _files(folder)
    missing = [tag.name for tag in tags if tag.name not in files]
    if missing:
        known = ", ".join(sorted(files)) or "none yet"
        raise NotFound(f"There is no LoRA named {', '.join(missing)}.", f"In {folder} there are: {known}.")
    return [Network(files[tag.name], tag.weight) for tag in tags]


def present_networks(tags: Sequence[NetworkTag], folder: Path) -> list[Network]:
    """Those of the tags whose files are there."""
    files = _files(folder)
    return [Network(files[tag.name], tag.weight) for tag in tags if tag.name in files]


def _files(folder: Path) -> dict[str, Path]:
    """LoRA files by name; of several with one name the first in the order of their paths."""
    return {path.stem: path for path in sorted(folder.rglob("*.safetensors"), reverse=True)}


@dataclass
class AppliedNetworks:
    """What is added to one model now. The original weights are kept on the CPU as long as something is."""

    model: DiffusionModel
    _stamps: tuple[Stamp, ...] = ()
    _originals: dict[str, torch.Tensor] = field(default_factory=dict)

    def use(self, networks: Sequence[Network]) -> None:
        """Make exactly `networks` the ones that are applied; does nothing when they are already, unchanged on disk.

        Raises `GenerationFailed` for a file that does not fit; the model is then without any.
        """
        stamps = tuple(network.stamp for network in networks)
        if stamps == self._stamps:
            return
        self.remove()
        try:
            for network in networks:
                self._add(network)
        except BaseException:
            self.remove()
            raise
        self._stamps = stamps

    def remove(self) -> None:
        """Put the original weights back, bit for bit."""
        import torch

        weights = module_weights(self.model)
        with torch.no_grad():
            for name, original in self._originals.items():
                weights[name].copy_(original)
        self._originals, self._stamps = {}, ()

    def _add(self, network: Network) -> None:
        import torch

        weights, matched = module_weights(self.model), 0
        for name, delta in _deltas(network.path):
            weight = weights.get(name)
            if weight is None:
                continue
            if delta.numel() != weight.numel():
                raise GenerationFailed(
                    f"{network.path.name} was made for another kind of checkpoint ({name} has another size).",
                    f"Load a checkpoint like the one it was trained on, not {self.model.base.title}.",
                )
            self._originals.setdefault(name, weight.detach().to("cpu", copy=True))
            with torch.no_grad():
                weight.add_(delta.reshape(weight.shape).to(weight.device, weight.dtype), alpha=network.weight)
            matched += 1
        if not matched:
            raise GenerationFailed(f"Nothing in {network.path.name} fits {self.model.base.title}.", "Use another LoRA.")


def module_weights(model: DiffusionModel) -> dict[str, torch.Tensor]:
    """Kohya's name of every module with a weight matrix or kernel -> that weight."""
    return {
        f"{prefix}_{name.replace('.', '_')}": module.weight
        for prefix, root in model.modules().items()
        for name, module in root.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.dim() in (2, 4)
    }


def _deltas(path: Path) -> list[tuple[str, torch.Tensor]]:
    """(module, up @ down * alpha / rank in float32) of every pair in the file. Raises `GenerationFailed`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise GenerationFailed(f"{path.name} cannot be read ({error}).", "Download or train it again.") from None
    ups = {key[: -len(end)]: key for key in tensors for end in UP if key.endswith(end)}
    downs = {key[: -len(end)]: key for key in tensors for end in DOWN if key.endswith(end)}
    return [
        (name, _delta(tensors[ups[name]], tensors[downs[name]], tensors.get(f"{name}.alpha")))
        for name in ups.keys() & downs.keys()
    ]


def _delta(up: torch.Tensor, down: torch.Tensor, alpha: torch.Tensor | None) -> torch.Tensor:
    """(out, in * kernel area) of `up` (out, rank[, 1, 1]) and `down` (rank, in[, kernel, kernel])."""
    rank = down.shape[0]
    scale = float(alpha) / rank if alpha is not None else 1.0
    return up.float().reshape(up.shape[0], rank) @ down.float().reshape(rank, -1) * scale
