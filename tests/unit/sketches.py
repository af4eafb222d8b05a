"""A host that draws instead of painting: every second picture shows the same character, the others show strangers."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.studio import Studio

from tests.unit.api.house import DrawingHost, analyser
from tools.avatar_tiny import characters
from tools.avatar_tiny.drawing import draw

FIRST = 30_000_000  # never drawn for the training of avatar-tiny
PX = 192


def who(seed: int) -> int:
    """The character that is drawn with a seed: 0 with even ones, 1 to 5 in turn with odd ones."""
    return 0 if seed % 2 == 0 else 1 + seed // 2 % 5


def sketch(seed: int, character: int) -> np.ndarray:
    shot = characters.random_shot(seed, style="soft3d", expression="smiling")
    return draw(characters.random_character(FIRST + character), shot, PX).picture


class SketchingHost(DrawingHost):
    """`draws`: seed -> uint8 RGB (192, 192, 3)."""

    draws: Callable[[int], np.ndarray] = staticmethod(lambda seed: sketch(seed, who(seed)))

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        self.requests.append(request)
        told = ", ".join(f"{name}: {value}" for name, value in request.infotext)
        for seed in request.seeds:
            on_step(1, 1)
            yield Picture(self.draws(seed), seed, f"{request.prompt}\nSteps: 20, Seed: {seed}, {told}")


def sketching_studio(folder: Path, weights: Path) -> Studio:
    """As `house.build_studio`, with a host that sketches."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").symlink_to(weights, target_is_directory=True)
    studio = Studio(SketchingHost(folder))
    studio._analyser = analyser(weights.resolve())
    studio.install_tiny()
    return studio
