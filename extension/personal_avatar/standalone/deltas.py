"""What a LoRA file adds to a weight, with the layouts that the WebUI reads.

`<module>.lora_up.weight`, `.lora_down.weight`, `.alpha` (kohya), or `.lora_B` / `.lora_A`; `.lora_mid.weight` between
them (a kernel in Tucker form, LyCORIS); `.dora_scale` (arXiv 2402.09353). `<module>` is `<prefix>_<its path>`.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import BaseUnsupported, GenerationFailed
from personal_avatar.pickles import load_pickle
from personal_avatar.problems import stated

if TYPE_CHECKING:
    import torch

SPELLINGS = {"lora_B.weight": "lora_up.weight", "lora_A.weight": "lora_down.weight"}
UP, DOWN, MID, ALPHA, DORA = "lora_up.weight", "lora_down.weight", "lora_mid.weight", "alpha", "dora_scale"
LEFT_OUT = {"bundle_emb"}  # embeddings that travel with a LoRA
SHORTEST = 1e-12


@dataclass(frozen=True)
class Delta:
    """Tensors of one module by part: up (out, rank[, 1, 1]), down (rank, in[, kernel]), and what else there is."""

    parts: dict[str, torch.Tensor]

    def fits(self, weight: torch.Tensor) -> bool:
        up, down, mid = self.parts[UP], self.parts[DOWN], self.parts.get(MID)
        kernel = mid.shape[2:].numel() if mid is not None else down[0, 0].numel()
        return weight.shape[0] == up.shape[0] and weight.numel() == up.shape[0] * down.shape[1] * kernel

    def added(self, weight: torch.Tensor, multiplier: float, ranks: int | None = None) -> torch.Tensor:
        """float32 `weight` (out, in[, kernel, kernel]) with this added `multiplier` times; of its first `ranks` alone,
        but in Tucker form, as in the WebUI. None: of all."""
        change = self._product(ranks).to(weight.device).reshape(weight.shape)
        if DORA in self.parts:
            change = _with_magnitude(weight + change, self.parts[DORA].to(weight)) - weight
        return weight + multiplier * change

    def _product(self, ranks: int | None) -> torch.Tensor:
        """up @ down * alpha / rank, the whole file's rank."""
        import torch

        up, down, mid = self.parts[UP].float(), self.parts[DOWN].float(), self.parts.get(MID)
        rank = len(down)
        scale = float(self.parts[ALPHA]) / rank if ALPHA in self.parts else 1.0
        if mid is None:
            return up.reshape(len(up), -1)[:, :ranks] @ down.reshape(rank, -1)[:ranks] * scale
        return torch.einsum("or,rs...,si->oi...", up.flatten(1), mid.float(), down.flatten(1)) * scale


def _with_magnitude(weight: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """`weight` with columns (or rows, as `magnitude` is shaped) of the lengths that the file says."""
    import torch

    axis = 0 if magnitude.numel() == magnitude.shape[0] == weight.shape[0] else 1
    others = [at for at in range(weight.dim()) if at != axis]
    length = torch.linalg.vector_norm(weight, dim=others, keepdim=True)
    return weight * (magnitude.reshape(length.shape) / length.clamp_min(SHORTEST))


def read_deltas(path: Path) -> Iterator[tuple[str, Delta]]:
    """(module, what is added to it), in the order of the names. Raises `GenerationFailed`, also for a file of which a
    part would be left out."""
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in _tensors(path).items():
        module, _, part = key.partition(".")
        modules.setdefault(module, {})[SPELLINGS.get(part, part)] = tensor
    for module in sorted(modules):
        if {UP, DOWN} <= modules[module].keys():
            yield module, Delta(modules[module])
        elif module not in LEFT_OUT:
            raise _other_layout(path, f"{module}.{next(iter(modules[module]))}")


def _other_layout(path: Path, name: str) -> GenerationFailed:
    values = {"file": path.name, "tensors": name}
    return stated(GenerationFailed, "failure.other_layout", "remedy.out_or_webui", **values)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path) if path.suffix.lower() == ".safetensors" else load_pickle(path, "cpu")
    except (SafetensorError, OSError, BaseUnsupported) as error:
        values = {"file": path.name, "cause": error}
        raise stated(GenerationFailed, "failure.unreadable_file", "remedy.get_or_train", **values) from None
