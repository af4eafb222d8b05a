"""Read an adapter's file: safetensors as ComfyUI's users convert it, or the published pickle, converted only once."""
from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar import pickles, storage
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.identity.kinds import SAFETENSORS, Adapter, read_shapes, recognised, wanted_adapter
from personal_avatar.identity.nouns import AdapterWeights
from personal_avatar.problems import stated
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
ROOTS = ("image_proj", "ip_adapter")
LORA_PARTS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out"}
_KEYS = re.compile(r"ip_adapter\.(\d+)\.to_([kv])_ip\.weight$")
_LORA = re.compile(r"ip_adapter\.(\d+)\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
_log = logging.getLogger(__name__)


def read_adapter(path: Path, cache: Path, family: Family | None = None) -> AdapterWeights:
    """The tensors of an adapter for faces as the file has them, on the CPU.

    A pickle is written once into the folder `cache` as safetensors; where that cannot be done it is read without.
    `family`: what to take the file for when it does not tell. Raises `WeightsCorrupt` (torn, not there, hostile),
    `BaseUnsupported` (something else, which is named).
    """
    adapter = wanted_adapter(recognised(read_shapes(path), path), path)
    try:
        tensors = _load(path) if path.suffix.lower() == SAFETENSORS else _converted(path, cache)
    except FileNotFoundError as error:
        raise stated(WeightsCorrupt, "failure.gone", "remedy.put_back", file=path.name, path=path) from error
    _refuse_no_numbers(tensors, path)
    return _sorted(adapter, family or Family.SDXL, path, tensors)


def _refuse_no_numbers(tensors: Tensors, path: Path) -> None:
    """Raises `WeightsCorrupt` where something is NaN or infinite: a sum shows both, and needs no second copy."""
    import torch

    wrong = [name for name, tensor in tensors.items() if not bool(tensor.sum(dtype=torch.float32).isfinite())]
    if wrong:
        raise stated(
            WeightsCorrupt, "failure.holds_no_number", "remedy.download_again", file=path.name, tensor=wrong[0],
            path=path,
        )


def _sorted(adapter: Adapter, otherwise: Family, path: Path, tensors: Tensors) -> AdapterWeights:
    """Raises `WeightsCorrupt` when a half of a pair is missing or does not fit the other."""
    pairs: dict[int, dict[str, torch.Tensor]] = {}
    lora: dict[int, dict[str, dict[str, torch.Tensor]]] = {}
    for name, tensor in tensors.items():
        if match := _KEYS.match(name):
            pairs.setdefault(int(match[1]), {})[match[2]] = tensor
        elif match := _LORA.match(name):
            lora.setdefault(int(match[1]), {}).setdefault(LORA_PARTS[match[2]], {})[match[3]] = tensor
    try:
        attention = {number: (pairs[number]["k"], pairs[number]["v"]) for number in sorted(pairs)}
        low_rank = {
            number: {part: (low["down"], low["up"]) for part, low in lora[number].items()} for number in sorted(lora)
        }
    except KeyError as error:
        raise stated(
            WeightsCorrupt, "failure.lacks_part", "remedy.download_again", file=path.name, cause=error, path=path,
        ) from None
    misfits = [
        *(number for number, (key, value) in attention.items() if key.ndim != 2 or key.shape != value.shape),
        *(number for number, parts in low_rank.items() if not all(_multiply(*pair) for pair in parts.values())),
    ]
    if misfits:
        raise stated(
            WeightsCorrupt, "failure.misfits", "remedy.download_again", file=path.name, number=misfits[0], path=path,
        )
    projection = {
        name.removeprefix("image_proj."): tensor for name, tensor in tensors.items() if name.startswith("image_proj.")
    }
    return AdapterWeights(adapter.kind, adapter.family or otherwise, path, projection, attention, low_rank)


def _multiply(down: torch.Tensor, up: torch.Tensor) -> bool:
    """Whether they are a pair of a LoRA: one reads as many ranks as the other makes."""
    return down.ndim == up.ndim == 2 and down.shape[0] == up.shape[1]


def _load(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise stated(
            WeightsCorrupt, "failure.unreadable_file", "remedy.download_again", file=path.name, cause=error, path=path,
        ) from None


def _converted(path: Path, cache: Path) -> Tensors:
    """From the cache when it holds this very file, else from the pickle, and into the cache for next time."""
    kept = cache / _name_in_cache(path)
    if kept.is_file():
        try:
            return _load(kept)
        except WeightsCorrupt:
            _log.warning("%s is damaged and is made anew.", kept)
    tensors = _unpickled(path)
    _keep(tensors, kept, path)
    return tensors


def _name_in_cache(path: Path) -> str:
    """Another file of that name, or another version of it, has another name there."""
    status = path.stat()
    return f"{_beginning_in_cache(path)}-{status.st_size}-{status.st_mtime_ns}{SAFETENSORS}"


def _beginning_in_cache(path: Path) -> str:
    """The beginning that all versions of one file share."""
    return f"{storage.slug(path.stem)}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"


def _unpickled(path: Path) -> Tensors:
    import torch

    try:
        content = pickles.read_pickle(path, "cpu")
    except BaseUnsupported as error:
        raise WeightsCorrupt(error.message, text("remedy.download_again", path=path)) from None
    found: Tensors = {}
    for name, value in (content.items() if isinstance(content, Mapping) else ()):
        parts: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        found |= {f"{name}.{part}": one for part, one in parts.items() if isinstance(one, torch.Tensor)}
        if isinstance(value, torch.Tensor):
            found[name] = value
    return {name: tensor.detach() for name, tensor in found.items() if name.startswith(ROOTS)}


def _keep(tensors: Tensors, kept: Path, path: Path) -> None:
    """Best effort: a full or read-only disk costs time at the next start and nothing else."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        for old in kept.parent.glob(f"{_beginning_in_cache(path)}-*{SAFETENSORS}"):
            old.unlink(missing_ok=True)
        with storage.replacing(kept) as part:
            save_file({name: _alone(tensor) for name, tensor in tensors.items()}, part)
    except (OSError, SafetensorError, RuntimeError) as error:
        _log.warning("%s could not be kept as safetensors in %s (%s): it is read anew.", path.name, kept.parent, error)


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in memory of its own; copied only where it is a view of something larger."""
    import torch

    own = tensor.numel() * tensor.element_size()
    if tensor.is_contiguous() and tensor.untyped_storage().nbytes() == own:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
