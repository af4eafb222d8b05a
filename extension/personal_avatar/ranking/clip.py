"""How well a picture follows its prompt: CLIP's cosine of picture and words, brought to 0..1 as CLIPScore.

CLIPScore is 2.5 times the cosine, nothing below zero (Hessel and others, 2021, with ViT-B/32); more than 1 counts as 1.
Networks, weights of words and brackets are taken out of the prompt first, and CLIP reads no more than 75 tokens.
"""
from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.problems import stated
from personal_avatar.ranking import clip_layout
from personal_avatar.shipped import TOKENIZER

if TYPE_CHECKING:
    import torch

SCALE = 2.5
_NETWORK = re.compile(r"<[^<>]*>")
_WEIGHT = re.compile(r":\s*-?\d*\.?\d+\s*(?=[)\]])")


class Clip:
    """A `nouns.Follows`. Safe to call from several threads: one at a time runs."""

    def __init__(self, network: Any, tokenizer: Any, name: str = "") -> None:
        self._network, self._tokenizer, self.name = network, tokenizer, name
        self._turn = threading.Lock()

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        """See `nouns.Follows`; pictures are uint8 RGB (height, width, 3) of any sizes."""
        cosines, seen = self.cosines(images, [plain(prompt) for prompt in prompts])
        return [(min(1.0, max(0.0, SCALE * float(one))), vector) for one, vector in zip(cosines, seen, strict=True)]

    def cosines(self, images: Sequence[np.ndarray], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of each picture and its text, (n,), and the pictures' vectors (n, d) of length 1; float32."""
        import torch

        side = self._network.config.vision_config.image_size
        pixels = torch.stack([pixels_of(image, side) for image in images])
        tokens = self._tokens(texts)
        with self._turn, torch.no_grad():
            weight = self._network.visual_projection.weight
            seen = self._network.visual_projection(
                self._network.vision_model(pixel_values=pixels.to(weight.device, weight.dtype)).pooler_output
            ).float()
            read = self._network.text_projection(
                self._network.text_model(input_ids=tokens.to(weight.device)).pooler_output
            ).float()
        seen, read = (one / one.norm(dim=-1, keepdim=True) for one in (seen, read))
        return (seen * read).sum(-1).cpu().numpy(), seen.cpu().numpy()

    def _tokens(self, texts: Sequence[str]) -> torch.Tensor:
        length = self._network.config.text_config.max_position_embeddings
        made = self._tokenizer(list(texts), padding="max_length", truncation=True, max_length=length,
                               return_tensors="pt")
        tokens: torch.Tensor = made["input_ids"]
        return tokens


def plain(prompt: str) -> str:
    """A prompt of the WebUI as words alone: `a (red:1.2) coat <lora:anna:1>` -> `a red coat`."""
    text = _WEIGHT.sub("", _NETWORK.sub(" ", prompt))
    return " ".join(re.sub(r"(?<!\\)[()\[\]]", "", text).replace("\\", "").split()).strip(" ,") or "a picture"


def pixels_of(image: np.ndarray, side_px: int) -> torch.Tensor:
    """float32 (3, side, side): the shorter side reduced to `side_px`, the middle cut out, CLIP's mean taken out."""
    import torch
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    height, width = image.shape[:2]
    scale = side_px / min(height, width)
    size = (max(side_px, int(width * scale)), max(side_px, int(height * scale)))
    reduced = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    left, top = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    cut = torch.from_numpy(reduced[top : top + side_px, left : left + side_px].copy()).float() / 255
    return ((cut - torch.tensor(OPENAI_CLIP_MEAN)) / torch.tensor(OPENAI_CLIP_STD)).permute(2, 0, 1)


def load(path: Path) -> Clip:
    """A file as `clip_files.find` found it; on the graphics card in half precision where it fits.

    Safe in a thread of its own while the WebUI loads a checkpoint, which for that time puts new layers of all threads
    on the device meta and replaces `Module.load_state_dict` and `Module.to`: everything is built on meta here anyway,
    and neither of the two is called. Raises `WeightsCorrupt`.
    """
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    tensors, sizes = clip_layout.read(path)
    with torch.device("meta"):
        network = CLIPModel(CLIPConfig(**sizes))
    try:
        _fill(network, tensors)
    except (KeyError, ValueError) as error:
        values = {"file": path.name, "cause": error.args[0], "path": path}
        raise stated(WeightsCorrupt, "failure.lacks_part", "remedy.get_again", **values) from None
    for half in (network.text_model, network.vision_model):
        embeddings = half.embeddings
        embeddings.position_ids = torch.arange(embeddings.position_embedding.weight.shape[0])[None]
    about = path.stat()
    name = f"{path.name}:{about.st_size}:{about.st_mtime_ns}"
    return Clip(_placed(network.eval()), CLIPTokenizer.from_pretrained(str(TOKENIZER)), name)


def _fill(network: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put the tensors into their places as float32. Raises KeyError, ValueError with the name of one that is missing
    or has another shape."""
    import torch

    for name, parameter in list(network.named_parameters()):
        tensor = tensors[name]
        if tensor.shape != parameter.shape:
            raise ValueError(f"{name} in the shape {tuple(parameter.shape)}")
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, torch.nn.Parameter(tensor.float(), requires_grad=False))


def _placed(network: Any) -> Any:
    """On the card, if there is one with room for it beside what is there."""
    import torch

    if not torch.cuda.is_available():
        return network
    needed = 2 * sum(one.numel() for one in network.parameters()) * 2
    free, _ = torch.cuda.mem_get_info()
    return network.half().cuda() if free > needed else network
