"""What the WebUI itself has to describe pictures: BLIP of its CLIP interrogator, and DeepDanbooru.

The WebUI would download their weights at the first use; here nothing is downloaded: what is missing is named instead.
Its modules for this are imported when a picture is described, since they bring more libraries along.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from modules import devices, lowvram, paths, shared
from PIL import Image

from personal_avatar.errors import NotFound, WeightsMissing
from personal_avatar.webui.borrowed import options
from personal_avatar.webui.generation import turn

BLIP = "webui-blip"
DEEPDANBOORU = "deepdanbooru"
_BERT = "models--bert-base-uncased"


@dataclass(frozen=True)
class Needed:
    """Weights that the WebUI looks for: any file with `suffix` in `folder` below its models. `press`: the button of
    img2img that downloads them."""

    folder: str
    suffix: str
    file: str
    size_text: str
    licence: str
    url: str
    press: str

    @property
    def target(self) -> Path:
        return Path(paths.models_path) / self.folder / self.file

    def sentence(self) -> str:
        """"" when a file is there."""
        if any(self.target.parent.glob(f"*{self.suffix}")):
            return ""
        return f"{self.file} ({self.size_text}, {self.licence}) is not in {self.target.parent}."


_NEEDED = {
    BLIP: Needed(
        "BLIP", ".pth", "model_base_caption_capfilt_large.pth", "896 MB", "BSD-3-Clause",
        "https://storage.googleapis.com/sfr-vision-language-research/BLIP/models/model_base_caption_capfilt_large.pth",
        "Interrogate CLIP",
    ),
    DEEPDANBOORU: Needed(
        "torch_deepdanbooru", ".pt", "model-resnet_custom_v3.pt", "about 640 MB", "MIT",
        "https://github.com/AUTOMATIC1111/TorchDeepDanbooru/releases/download/v1/model-resnet_custom_v3.pt",
        "Interrogate DeepBooru",
    ),
}
NAMES = tuple(_NEEDED)


def lacks(name: str) -> str:
    """What is missing before it works, as one sentence; "" when nothing is. Raises `NotFound`."""
    sentence = _needed(name).sentence()
    if not sentence and name == BLIP and not _has_words():
        return "The words of BERT (bert-base-uncased, 0.7 MB, Apache-2.0), which BLIP speaks with, are not here."
    return sentence


def interrogate(image: np.ndarray, name: str) -> str:
    """Describe a uint8 RGB picture when it is our turn in the WebUI's queue. Raises `WeightsMissing`, `NotFound`."""
    needed = _needed(name)
    if missing := lacks(name):
        hint = f'Press "{needed.press}" in img2img once, then the WebUI downloads it; or by hand: {needed.url}'
        raise WeightsMissing(missing, f"{hint} -> {needed.target}")
    with turn():
        return _WAYS[name](Image.fromarray(image))


def _needed(name: str) -> Needed:
    if name not in _NEEDED:
        raise NotFound(f"The WebUI has no {name!r}.", f"It has: {', '.join(NAMES)}.")
    return _NEEDED[name]


def _has_words() -> bool:
    """Whether transformers finds BERT's vocabulary in its cache: BLIP's decoder asks for it by name."""
    from transformers.utils import TRANSFORMERS_CACHE

    return any((Path(TRANSFORMERS_CACHE) / _BERT).glob("snapshots/*/vocab.txt"))


def _sentence(picture: Image.Image) -> str:
    """The interrogator's caption, without the artists and styles that CLIP would add (and its 890 MB)."""
    from modules import torch_utils

    asked: Any = shared.interrogator
    lowvram.send_everything_to_cpu()
    devices.torch_gc()
    if asked.blip_model is None:
        asked.blip_model = asked.load_blip_model()
        if not shared.cmd_opts.no_half and not asked.running_on_cpu:
            asked.blip_model = asked.blip_model.half()
    before = asked.dtype
    try:
        asked.blip_model = asked.blip_model.to(devices.device_interrogate)
        asked.dtype = torch_utils.get_param(asked.blip_model).dtype
        return str(asked.generate_caption(picture))
    finally:
        asked.dtype = before
        asked.send_blip_to_ram()
        devices.torch_gc()


def _tags(picture: Image.Image) -> str:
    """DeepDanbooru's tags as a caption wants them: with spaces, without ranks and escapes, the likeliest first."""
    from modules import deepbooru

    plain: AbstractContextManager[None] = options({
        "deepbooru_use_spaces": True, "deepbooru_escape": False, "deepbooru_sort_alpha": False,
        "interrogate_return_ranks": False,
    })  # fmt: skip
    with plain:
        return str(deepbooru.model.tag(picture))


_WAYS: dict[str, Callable[[Image.Image], str]] = {BLIP: _sentence, DEEPDANBOORU: _tags}
