"""SmilingWolf's WD taggers, version 3: a picture in words of Danbooru, by onnxruntime.

Source of the recipe: the model cards (https://huggingface.co/SmilingWolf/wd-vit-tagger-v3). The picture is padded with
white to a square, resized (bicubic) and given as BGR, float32, 0..255, (1, side, side, 3); the answer is a probability
for each line of selected_tags.csv.
"""
from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.problems import stated
from personal_avatar.sessions import session

TAGS_FILE = "selected_tags.csv"
GENERAL, CHARACTER = 0, 4  # what is neither is a rating
_WHITE = (255, 255, 255)
# Tags that are drawn with underscores; in all others it stands for a space.
_DRAWN = frozenset(
    ["0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^",
     "o_o", "u_u", "x_x", "|_|", "||_||"]
)  # fmt: skip


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which a tag counts, as the model cards recommend."""

    general: float = 0.35
    character: float = 0.85


@dataclass(frozen=True)
class WdTagger:
    """`model`: the ONNX file; `tags`: its selected_tags.csv."""

    model: Path
    tags: Path

    def scores(self, image: np.ndarray) -> tuple[tuple[str, int, float], ...]:
        """(tag, category, probability 0..1) in the order of the file; `image` uint8 RGB (height, width, 3).

        Raises `WeightsMissing`, `WeightsCorrupt`.
        """
        loaded = session(self.model)
        wanted = loaded.get_inputs()[0]
        names = _tags_in(self.tags, self.tags.stat().st_mtime_ns)
        answer = loaded.run(None, {wanted.name: prepared(image, int(wanted.shape[1]))})[0][0]
        if len(answer) != len(names):
            raise stated(
                WeightsCorrupt, "failure.tags", file=self.model.name, found=len(answer), other=self.tags.name,
                expected=len(names),
            )
        return tuple((name, kind, float(score)) for (name, kind), score in zip(names, answer, strict=True))

    def caption(self, image: np.ndarray, thresholds: Thresholds = Thresholds()) -> str:
        """Characters, then what is seen, each the likeliest first; ratings are left out."""
        scored = self.scores(image)
        kinds = ((CHARACTER, thresholds.character), (GENERAL, thresholds.general))
        found = [tag for kind, least in kinds for tag in _likely(scored, kind, least)]
        return ", ".join(found)


def prepared(image: np.ndarray, side_px: int) -> np.ndarray:
    """float32 (1, side, side, 3), BGR, 0..255: the whole picture in the middle of a white square."""
    height, width = image.shape[:2]
    longest = max(height, width)
    square = Image.new("RGB", (longest, longest), _WHITE)
    square.paste(Image.fromarray(image), ((longest - width) // 2, (longest - height) // 2))
    if longest != side_px:
        square = square.resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.float32)[None, :, :, ::-1])


def _likely(scored: tuple[tuple[str, int, float], ...], kind: int, least: float) -> list[str]:
    chosen = sorted(((score, name) for name, category, score in scored if category == kind and score > least),
                    key=lambda pair: -pair[0])  # fmt: skip
    return [name if name in _DRAWN else name.replace("_", " ") for _, name in chosen]


@lru_cache(maxsize=4)
def _tags_in(path: Path, _modified_ns: int) -> tuple[tuple[str, int], ...]:
    """(tag, category) of each line. Raises `WeightsCorrupt`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple((row["name"], int(row["category"])) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise stated(WeightsCorrupt, "failure.table", file=path.name, cause=type(error).__name__) from error
