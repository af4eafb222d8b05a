"""A small network that reads the attributes off a picture. It is trained on drawings only and measures generated
pictures.

Its own accuracy on drawings that it never saw, and on their VAE reconstructions, is the ceiling of what it can report.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import characters, portfolio
from .runs import Clock, save_state

log = logging.getLogger(__name__)
VALUES: dict[str, tuple[Any, ...]] = {
    "style": characters.STYLES,
    "sex": characters.SEXES,
    "hair": tuple(characters.HAIR),
    "cut": characters.CUTS,
    "shirt": tuple(characters.COLOURS),
    "background": tuple(characters.COLOURS),
    "glasses": (False, True),
    "beard": (False, True),
    "expression": characters.EXPRESSIONS,
}
INPUT_PX = 96


class Reader(nn.Module):
    """Input float32 [n, 3, 96, 96] in -1..1; output one [n, len(values)] tensor of logits per attribute, in VALUES'
    order.
    """

    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 24, 32, 64, 64, 128, 128), (2, 1, 2, 1, 2, 1)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Dropout(0.3))
        self.head = nn.Linear(widths[-1] * 36, sum(len(values) for values in VALUES.values()))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.head(self.body(pictures)).split([len(values) for values in VALUES.values()], 1)


def to_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] to the reader's input."""
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return functional.interpolate(tensor, size=INPUT_PX, mode="bilinear", antialias=True, align_corners=False)


@dataclass(frozen=True)
class Answers:
    """What was read: attribute name -> list of values, one per picture."""

    values: dict[str, list[Any]]

    def shares(self, wanted: list[dict[str, Any]]) -> dict[str, float]:
        """Share of pictures whose attribute is as wanted; hair colour counts only where there is hair."""
        result = {}
        for name, read in self.values.items():
            pairs = [(a, b[name]) for a, b in zip(read, wanted, strict=True) if name != "hair" or b["cut"] != "bald"]
            result[name] = round(float(np.mean([a == b for a, b in pairs])), 3)
        return result


@torch.no_grad()
def read(reader: Reader, pictures: np.ndarray) -> Answers:
    logits = [reader(to_input(pictures[start : start + 32])) for start in range(0, len(pictures), 32)]
    values = {}
    for place, (name, options) in enumerate(VALUES.items()):
        chosen = torch.cat([part[place] for part in logits]).argmax(1).tolist()
        values[name] = [options[index] for index in chosen]
    return Answers(values)


def train_reader(folders: list[Path], target: Path, minutes: float, held_out: int = 96, seed: int = 3) -> Reader:
    """Train until the minutes are over and save. The first pictures of each folder are never used."""
    torch.manual_seed(seed)
    rng, reader = np.random.default_rng(seed), Reader()
    pictures, labels = _load(folders, held_out)
    optimizer, clock, step = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=1e-2), Clock(minutes, 2e-3), 0
    while clock.progress() < 1:
        for group in optimizer.param_groups:
            group["lr"] = clock.rate(step)
        chosen = rng.integers(0, len(pictures), 32)
        loss = _loss(reader(augment(pictures[chosen].float() / 127.5 - 1, rng)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            log.info("reader step %d, %.0f %%, loss %.3f", step, 100 * clock.progress(), loss.item())
    save_state(reader.state_dict(), target)
    return reader.eval()


def load_reader(path: Path) -> Reader:
    reader = Reader()
    reader.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return reader.eval()


def _load(folders: list[Path], held_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures uint8 [n, 3, 96, 96] and label indices int64 [n, attributes]; hair colour of the bald is -100
    (ignored).
    """
    pictures, labels = [], []
    for folder in folders:
        for number, shard in enumerate(portfolio.read_shards(folder)):
            first = held_out if number == 0 else 0
            for start in range(first, len(shard.pictures), 50):
                small = to_input(np.array(shard.pictures[start : start + 50]))
                pictures.append(((small + 1) * 127.5).round().clamp(0, 255).byte())
            labels += [_labels(item) for item in shard.attributes[first:]]
    return torch.cat(pictures), torch.tensor(labels)


def _labels(attributes: dict[str, Any]) -> list[int]:
    places = [options.index(attributes[name]) for name, options in VALUES.items()]
    if attributes["cut"] == "bald":
        places[list(VALUES).index("hair")] = -100
    return places


def _loss(logits: tuple[torch.Tensor, ...], labels: torch.Tensor) -> torch.Tensor:
    return torch.stack([functional.cross_entropy(part, labels[:, place]) for place, part in enumerate(logits)]).sum()


def augment(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shift, mirror, soften and add noise: a generated picture is softer than a drawing, which must not change the
    answer.
    """
    shift = tuple(int(value) for value in rng.integers(-4, 5, 2))
    pictures = torch.roll(pictures, shift, (2, 3))
    if rng.random() < 0.5:
        pictures = pictures.flip(3)
    if rng.random() < 0.5:
        size = int(rng.integers(40, 80))
        small = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
        pictures = functional.interpolate(small, size=INPUT_PX, mode="bilinear", align_corners=False)
    return pictures + torch.randn_like(pictures) * float(rng.uniform(0, 0.06))
