"""The text encoders of a checkpoint as modules of transformers: OpenAI's CLIP-L, and OpenCLIP's H and G."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.shipped import TOKENIZER
from personal_avatar.storage import state_of
from personal_avatar.training.families.files import Shapes
from personal_avatar.training.families.stored import Places, clip_places, open_clip_places
from personal_avatar.training.families.unet_config import blocks

if TYPE_CHECKING:
    import torch

HEAD_WIDTH = 64
START, END = 49406, 49407
CLIP_PAD = "<|endoftext|>"
OPEN_CLIP_FILLING = 0  # a "!" within a word


@dataclass(frozen=True)
class TextEncoder:
    """One encoder to be built: `config` for transformers' CLIPTextConfig; `prefix` of its tensors in the file.

    `projected`: with the projection of the pooled text.
    """

    config: dict[str, Any]
    prefix: str
    open_clip: bool = False
    projected: bool = False

    def build(self) -> torch.nn.Module:
        """An empty module."""
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

        settings = CLIPTextConfig(**self.config, attn_implementation="eager")
        return CLIPTextModelWithProjection(settings) if self.projected else CLIPTextModel(settings)

    def places(self, module: torch.nn.Module) -> Places:
        names = [name for name, _ in module.named_parameters()]
        return (open_clip_places if self.open_clip else clip_places)(names, self.prefix)


def clip_encoder(shapes: Shapes, prefix: str, folder: Path | None, base: BaseModelFile) -> TextEncoder:
    """CLIP in transformers' own layout under `prefix`; `folder` may hold a `config.json` with the number of heads.

    Very old files lack the `text_model.` part of the names. Raises `BaseUnsupported`.
    """
    if prefix + "text_model.final_layer_norm.weight" in shapes:
        prefix += "text_model."
    path = folder / "config.json" if folder else None
    written = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
    layers = len(blocks(shapes, prefix + "encoder.layers."))
    config = _config(
        _shape(shapes, prefix + "embeddings.token_embedding.weight", base),
        _shape(shapes, prefix + "embeddings.position_embedding.weight", base)[0],
        _shape(shapes, prefix + "encoder.layers.0.mlp.fc1.weight", base)[0],
    )
    heads = int(written.get("num_attention_heads", config["num_attention_heads"]))
    act = str(written.get("hidden_act", "quick_gelu"))
    return TextEncoder({**config, "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": act}, prefix)


def open_clip_encoder(shapes: Shapes, prefix: str, base: BaseModelFile, *, drop: int, projected: bool) -> TextEncoder:
    """OpenCLIP under `prefix` without its last `drop` layers. Raises `BaseUnsupported`."""
    layers = len(blocks(shapes, prefix + "transformer.resblocks.")) - drop
    config = _config(
        _shape(shapes, prefix + "token_embedding.weight", base),
        _shape(shapes, prefix + "positional_embedding", base)[0],
        _shape(shapes, prefix + "transformer.resblocks.0.mlp.c_fc.weight", base)[0],
    )
    if projected:
        config["projection_dim"] = _shape(shapes, prefix + "text_projection", base)[1]
    return TextEncoder({**config, "num_hidden_layers": layers, "hidden_act": "gelu"}, prefix, True, projected)


def _config(embedding: tuple[int, ...], positions: int, inner: int) -> dict[str, Any]:
    vocabulary, width = embedding
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": width,
        "max_position_embeddings": positions,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": END,
    }


def _shape(shapes: Shapes, name: str, base: BaseModelFile) -> tuple[int, ...]:
    if name not in shapes:
        raise stated(BaseUnsupported, "base.text", file=base.path.name, tensor=name)
    return shapes[name]


def tokenizer(folder: Path | None, *, open_clip: bool = False) -> Any:
    """CLIP's tokenizer, from `folder` if there is one in it; OpenCLIP has the same words and another filling, which is
    set afterwards: a tokenizer made with it would cut every "!" out of a text. Whoever gets it may add words to it."""
    place = folder if folder and (folder / "vocab.json").is_file() else TOKENIZER
    files = (file for file in sorted(place.iterdir()) if file.is_file())
    read = _read(place, tuple((file.name, *state_of(file.stat())) for file in files))
    tables = read.encoder, read.decoder, read.bpe_ranks  # tens of thousands of entries, which stay as they are read
    known = copy.deepcopy(read, {id(table): table for table in tables})
    if open_clip:
        known.pad_token_id = OPEN_CLIP_FILLING
    return known


@lru_cache(maxsize=2)
def _read(place: Path, state: tuple[tuple[str | int, ...], ...]) -> Any:
    """Taken apart once while its files stay the same; nobody changes it."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(place), local_files_only=True, pad_token=CLIP_PAD)
