"""Textual inversion embeddings: words of their own, in place of what a text encoder looks up for its tokens."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import GenerationFailed
from personal_avatar.naming import first_line
from personal_avatar.networks import made_for
from personal_avatar.problems import stated
from personal_avatar.wording import FAMILIES

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

CLIP_L, CLIP_G = "clip_l", "clip_g"
MAX_WORDS = 75


@dataclass(frozen=True)
class Embedding:
    """`vectors`: float32 (words, width), one for each text encoder of the checkpoint, in their order."""

    name: str
    vectors: tuple[torch.Tensor, ...]

    @property
    def words(self) -> int:
        return len(self.vectors[0])


@dataclass(frozen=True)
class Place:
    """Where an embedding stands among rows of tokens."""

    row: int
    column: int
    embedding: Embedding


def embedding_for(model: DiffusionModel, name: str, path: Path) -> Embedding:
    """The embedding in `path`, for this checkpoint. Raises `GenerationFailed` when it is for another kind."""
    found = _read(path)
    tables = [encoder.get_input_embeddings() for encoder in model.text_encoders.values()]
    parts = [found.get(key) for key in ((CLIP_L, CLIP_G) if len(tables) == 2 else ("",))]
    pairs = zip(parts, tables, strict=True)
    fitting = [part for part, table in pairs if part is not None and part.shape[-1] == table.weight.shape[-1]]
    if len(fitting) < len(tables):
        values = {"who": name, "base": model.base.title, "family": FAMILIES[model.family]}
        if other := made_for(path):
            raise stated(GenerationFailed, "failure.other_sizes", "remedy.out_of_prompt", format=other, **values)
        raise stated(GenerationFailed, "failure.strange_sizes", "remedy.out_of_prompt", **values)
    if len(fitting[0]) > MAX_WORDS:
        raise stated(
            GenerationFailed, "failure.long_embedding", who=name, count=len(fitting[0]), number=MAX_WORDS
        )
    return Embedding(name, tuple(fitting))


def _read(path: Path) -> dict[str, torch.Tensor]:
    """float32 (words, width) under "", or under "clip_l" and "clip_g"; not kept, as who is in it may be erased.

    Raises `GenerationFailed`.
    """
    data = _tensors(path)
    if {CLIP_L, CLIP_G} <= data.keys() and len(data[CLIP_L]) == len(data[CLIP_G]):
        found = {key: data[key] for key in (CLIP_L, CLIP_G)}
    elif len(data) == 1:
        found = {"": next(iter(data.values()))}
    else:
        found = {}
    found = {key: tensor.reshape(-1, tensor.shape[-1]).float() for key, tensor in found.items() if tensor.dim()}
    if not found or not all(bool(tensor.isfinite().all()) and len(tensor) for tensor in found.values()):
        raise stated(GenerationFailed, "failure.no_embedding", "remedy.remove_or_again", file=path.name)
    return found


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of the file; of a `.pt` of the WebUI those of its `string_to_param`."""
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path) if path.suffix.lower() == ".safetensors" else _unpickled(path)
    except (SafetensorError, OSError, pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        values = {"file": path.name, "cause": first_line(error, 120)}
        raise stated(GenerationFailed, "failure.unreadable_file", "remedy.get_or_train", **values) from None


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    """Nothing but tensors, plain values and torch's own containers of parameters is unpickled."""
    import torch

    with torch.serialization.safe_globals([torch.nn.ParameterDict]):
        data = torch.load(path, map_location="cpu", weights_only=True)
    found = data.get("string_to_param", data)
    return {str(key): value.detach() for key, value in found.items() if isinstance(value, torch.Tensor)}


@contextmanager
def put_in(encoder: Any, number: int, places: Sequence[Place]) -> Iterator[None]:
    """Within: the text encoder (the model's `number`th) finds at `places` the embeddings' vectors."""

    def replaced(module: Any, inputs: Any, found: torch.Tensor) -> torch.Tensor:
        words = found.clone()
        for place in places:
            vectors = place.embedding.vectors[number].to(words)
            words[place.row, place.column : place.column + len(vectors)] = vectors
        return words

    handle = encoder.get_input_embeddings().register_forward_hook(replaced)
    try:
        yield
    finally:
        handle.remove()
