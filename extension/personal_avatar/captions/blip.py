"""BLIP: a picture in a sentence, by transformers, in the process of a job.

Source: Li et al. 2022 (arXiv 2201.12086); transformers' BlipForConditionalGeneration and BlipImageProcessor. Weights
come from files alone: nothing is asked of a hub.
"""
from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar import commandline
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt, WeightsMissing
from personal_avatar.problems import stated
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

FOLDER = "blip"
MODELS = ("model.safetensors", "pytorch_model.bin")
WORDS = "vocab.txt"
CONFIG = "config.json"
_HUB_NAME = "models--Salesforce--blip-image-captioning-*"
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_SPREAD = (0.26862954, 0.26130258, 0.27577711)
_HEAD_WIDTH = 64
_BEAMS, _MOST_NEW_TOKENS = 3, 40
_VISION, _TEXT = "vision_model.", "text_decoder.bert."
# Buffers that some versions of transformers write and others do not.
_NO_WEIGHTS = ("position_ids",)


@dataclass(frozen=True)
class BlipFiles:
    """`config`: the file beside the model that tells its sizes; None: they are read off the weights."""

    model: Path
    words: Path
    config: Path | None = None


def places(weights_folder: Path) -> tuple[Path, ...]:
    """Folders that may hold BLIP: ours, then what transformers fetched for other programs of this user."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return (weights_folder / FOLDER, *sorted(hub.glob(f"{_HUB_NAME}/snapshots/*")))


def find(weights_folder: Path) -> BlipFiles:
    """The first model that is complete. Raises `WeightsMissing`."""
    for folder in places(weights_folder):
        model = next((folder / name for name in MODELS if (folder / name).is_file()), None)
        if model is not None and (folder / WORDS).is_file():
            config = folder / CONFIG
            return BlipFiles(model, folder / WORDS, config if config.is_file() else None)
    command = commandline.fetching(weights_folder, "blip")
    raise WeightsMissing(
        text("failure.no_blip", place=weights_folder / FOLDER), text("remedy.fetch_it", command=command),
        ("blip-model", "blip-words"),
    )


def prepared(image: np.ndarray, side_px: int) -> np.ndarray:
    """float32 (3, side, side): the picture resized (bicubic, whatever its shape) and normalised as CLIP's pictures."""
    from PIL import Image

    resized = Image.fromarray(image).resize((side_px, side_px), Image.Resampling.BICUBIC)
    values = np.asarray(resized, dtype=np.float32) / np.float32(255)
    normal = (values - np.asarray(_MEAN, dtype=np.float32)) / np.asarray(_SPREAD, dtype=np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


class Blip:
    """A loaded model. Its memory is free again when the object is gone."""

    def __init__(self, files: BlipFiles, device: str = "cpu") -> None:
        """Raises `WeightsCorrupt` for files that do not belong together."""
        import torch
        from transformers import BertTokenizer

        state = _state(files.model)
        self._device = torch.device(device)
        self._model = _model(state, files).to(self._device).eval()
        self._tokenizer = BertTokenizer(str(files.words))
        self._side_px: int = self._model.config.vision_config.image_size

    def caption(self, image: np.ndarray) -> str:
        """What is to be seen in a uint8 RGB picture (height, width, 3); English, in small letters."""
        import torch

        pixels = torch.from_numpy(prepared(image, self._side_px)[None]).to(self._device)
        with torch.inference_mode():
            found = self._model.generate(pixel_values=pixels, num_beams=_BEAMS, max_new_tokens=_MOST_NEW_TOKENS)
        known = [token for token in found[0].tolist() if token < len(self._tokenizer)]
        return str(self._tokenizer.decode(known, skip_special_tokens=True)).strip()


def _state(path: Path) -> dict[str, torch.Tensor]:
    from personal_avatar.pickles import load_pickle

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(str(path)))
        return load_pickle(path, "cpu")
    except BaseUnsupported as error:
        raise stated(
            WeightsCorrupt, "failure.unreadable", file=path.name, cause=error.message.rstrip("."),
        ) from error
    except Exception as error:  # safetensors has errors of its own for torn files
        raise stated(WeightsCorrupt, "failure.unreadable_file", file=path.name, cause=type(error).__name__) from error


def _model(state: dict[str, torch.Tensor], files: BlipFiles) -> Any:
    """BLIP with these weights, float32. Raises `WeightsCorrupt`."""
    from transformers import BlipConfig, BlipForConditionalGeneration

    try:
        told = json.loads(files.config.read_text(encoding="utf-8")) if files.config else sizes(state)
        model = BlipForConditionalGeneration(BlipConfig(**told))
        missing, unknown = model.load_state_dict(state, strict=False)
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise stated(WeightsCorrupt, "failure.other_blip", file=files.model.name, cause=_short(error)) from error
    lacking = [name for name in missing if not name.endswith(_NO_WEIGHTS) and "cls.predictions.decoder" not in name]
    if lacking or any(not name.endswith(_NO_WEIGHTS) for name in unknown):
        raise stated(WeightsCorrupt, "failure.bare_blip", file=files.model.name, count=len(lacking))
    model.tie_weights()
    return model.float()


def sizes(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The configuration of the published models, as their weights tell it: heads are 64 wide. Raises `KeyError`."""
    patch = state[f"{_VISION}embeddings.patch_embedding.weight"].shape
    positions = state[f"{_VISION}embeddings.position_embedding"].shape[1]
    words = state[f"{_TEXT}embeddings.word_embeddings.weight"].shape
    vision = {
        "hidden_size": patch[0],
        "patch_size": patch[-1],
        "image_size": math.isqrt(positions - 1) * patch[-1],
        "intermediate_size": state[f"{_VISION}encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": _layers(state, f"{_VISION}encoder.layers."),
        "num_attention_heads": max(1, patch[0] // _HEAD_WIDTH),
    }
    text = {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "encoder_hidden_size": patch[0],
        "intermediate_size": state[f"{_TEXT}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "num_hidden_layers": _layers(state, f"{_TEXT}encoder.layer."),
        "num_attention_heads": max(1, words[1] // _HEAD_WIDTH),
        "max_position_embeddings": state[f"{_TEXT}embeddings.position_embeddings.weight"].shape[0],
    }
    return {"vision_config": vision, "text_config": text}


def _layers(state: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
