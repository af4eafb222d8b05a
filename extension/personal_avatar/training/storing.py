"""Numbers and tensors in a folder, such that at every moment either the old ones or the new ones are complete.

state/complete.json          what is there: numbers, names of tensors, and each file's size and SHA-256; written last
state/<generation>/N.safetensors

A new generation is written beside the old one and flushed to the disk; replacing `complete.json` is the one moment in
which it becomes the valid one; only then the old one goes. Whatever `complete.json` does not name is rubbish.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar import wording
from personal_avatar.errors import DiskFull
from personal_avatar.jobs.kept import STATE_COMPLETE as COMPLETE
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.storage import flush_folder, sha256_of, write_bytes
from personal_avatar.training.files import write_tensors

if TYPE_CHECKING:
    import torch

VERSION = 1
SHARD_BYTES = 10**9  # of tensors are copied to main memory at once
SPARE_BYTES = 50 * 10**6
TENSOR, PAIRS, TUPLE = "tensor", "pairs", "tuple"


class Damaged(Exception):
    """What lies in a state's folder cannot be used; the text says why, as the end of a sentence."""


def write(folder: Path, facts: dict[str, Any], tree: Any) -> None:
    """Keep `facts` (JSON) and `tree` (dicts, lists, tuples, numbers, texts, tensors) in the place of what was kept.

    Raises `DiskFull`, then the old ones are still there and nothing else.
    """
    tensors: list[torch.Tensor] = []
    shape = packed(tree, tensors, {})
    refuse_full(folder, sum(one.nbytes for one in tensors))
    generation = folder / uuid.uuid4().hex
    try:
        files = _write_shards(generation, tensors)
        flush_folder(folder)
        _commit(folder, {"version": VERSION, "generation": generation.name, "files": files, "tree": shape}, facts)
    except Exception as error:
        _sweep(folder)
        found = named(error)
        if isinstance(found, DiskFull):
            raise found from None
        raise
    _sweep(folder)


def amend(folder: Path, facts: dict[str, Any]) -> None:
    """Other facts about the same tree. Raises `Damaged` when nothing complete is there."""
    _commit(folder, _contents(folder)["state"], facts)


def facts_of(folder: Path) -> dict[str, Any] | None:
    """Without a look at the tensors; None when nothing complete is there."""
    try:
        found: dict[str, Any] = _contents(folder)["facts"]
    except Damaged:
        return None
    return found


def parts(folder: Path) -> dict[str, str]:
    """Names and SHA-256 of the files that the complete state is made of, besides `complete.json`; empty without one."""
    try:
        state = _contents(folder)["state"]
    except Damaged:
        return {}
    return {f"{state['generation']}/{name}": digest for name, (_, digest) in state["files"].items()}


def read(folder: Path) -> tuple[dict[str, Any], Any]:
    """The facts, and the tree with its tensors on the CPU, in memory of their own. Raises `Damaged`."""
    contents = _contents(folder)
    state = contents["state"]
    check(folder / state["generation"], state["files"])
    return contents["facts"], unpacked(state["tree"], _tensors(folder / state["generation"], state["files"]))


def refuse_full(folder: Path, wanted: int) -> None:
    """Raise `DiskFull` when there is no room for a second generation of so many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE_BYTES:
        needed, there = wording.size(wanted / 1e6), wording.size(free / 1e6)
        raise stated(DiskFull, "failure.state", needed=needed, place=folder, free=there)


def packed(tree: Any, tensors: list[torch.Tensor], places: dict[int, int]) -> Any:
    """`tree` as JSON can hold it; its tensors are appended to `tensors`, each once (`places`: id -> row)."""
    import torch

    if isinstance(tree, torch.Tensor):
        if id(tree) not in places:
            places[id(tree)] = len(tensors)
            tensors.append(tree)
        return {TENSOR: places[id(tree)]}
    if isinstance(tree, dict):
        return {PAIRS: [[key, packed(value, tensors, places)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        rows = [packed(value, tensors, places) for value in tree]
        return {TUPLE: rows} if isinstance(tree, tuple) else rows
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"a state cannot hold a {type(tree).__name__}")


def unpacked(shape: Any, tensors: list[torch.Tensor]) -> Any:
    """What `packed` was given."""
    if isinstance(shape, list):
        return [unpacked(value, tensors) for value in shape]
    if not isinstance(shape, dict):
        return shape
    if TENSOR in shape:
        return tensors[shape[TENSOR]]
    if TUPLE in shape:
        return tuple(unpacked(value, tensors) for value in shape[TUPLE])
    return {key: unpacked(value, tensors) for key, value in shape[PAIRS]}


def copied(tree: Any) -> Any:
    """The same with every tensor copied to main memory."""
    tensors: list[torch.Tensor] = []
    shape = packed(tree, tensors, {})
    return unpacked(shape, [_on_cpu(one) for one in tensors])


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _write_shards(generation: Path, tensors: list[torch.Tensor]) -> dict[str, list[Any]]:
    """File name -> [bytes, SHA-256]; everything flushed to the disk."""
    generation.mkdir()
    files: dict[str, list[Any]] = {}
    for rows in _shards(tensors):
        path = generation / f"{len(files)}.safetensors"
        write_tensors(path, {str(row): _on_cpu(tensors[row]) for row in rows})
        files |= signed(path)
    flush_folder(generation)
    return files


def _shards(tensors: list[torch.Tensor]) -> Iterator[range]:
    """Neighbours of at most `SHARD_BYTES` together, at least one."""
    first, size = 0, 0
    for row, tensor in enumerate(tensors):
        if size and size + tensor.nbytes > SHARD_BYTES:
            yield range(first, row)
            first, size = row, 0
        size += tensor.nbytes
    yield range(first, len(tensors))


def _tensors(generation: Path, files: dict[str, list[Any]]) -> list[torch.Tensor]:
    """Copied out of the files, which can be removed then on every system."""
    from safetensors.torch import load_file

    found = {int(row): one.clone() for name in files for row, one in load_file(generation / name).items()}
    return [found[row] for row in range(len(found))]


def _commit(folder: Path, state: dict[str, Any], facts: dict[str, Any]) -> None:
    body = {"state": state, "facts": facts}
    write_bytes(folder / COMPLETE, json.dumps({"sha256": _sum(body), **body}).encode("utf-8"))
    flush_folder(folder)


def _contents(folder: Path) -> dict[str, Any]:
    """What `complete.json` says. Raises `Damaged`."""
    try:
        found: dict[str, Any] = json.loads((folder / COMPLETE).read_bytes())
        body = {"state": found["state"], "facts": found["facts"]}
        whole = _sum(body) == found["sha256"]
    except FileNotFoundError:
        raise Damaged("there is none") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise Damaged(f"{COMPLETE} cannot be read") from None
    if not whole:
        raise Damaged(f"{COMPLETE} was changed")
    if body["state"].get("version") != VERSION:
        raise Damaged("it was written by another version")
    return body


def _sum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8")).hexdigest()


def signed(path: Path) -> dict[str, list[Any]]:
    """The file's name -> [bytes, SHA-256], as `check` takes it."""
    return {path.name: [path.stat().st_size, sha256_of(path)]}


def check(folder: Path, files: dict[str, list[Any]]) -> None:
    """Raises `Damaged` when those files are not there as they were signed."""
    for name, (size, digest) in files.items():
        path = folder / name
        try:
            whole = path.stat().st_size == size and sha256_of(path) == digest
        except OSError:
            raise Damaged(f"the file {name} is missing") from None
        if not whole:
            raise Damaged(f"the file {name} is damaged")


def _sweep(folder: Path) -> None:
    """Remove what `complete.json` does not name."""
    try:
        kept = {COMPLETE, _contents(folder)["state"]["generation"]}
    except Damaged:
        kept = {COMPLETE}
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
