"""How much pictures resemble those of a style, whatever they show: by their colours and their textures.

A picture is described by the mean and the spread of brightness and of both colour differences, and by how much detail
each has at four sizes. Resemblance is 1 where the descriptions are alike and falls with their distance. Content,
composition and the course of lines are not looked at: two styles of like colours and like detail resemble each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from personal_avatar.training.evaluation.likeness import Measured

LEVELS = 4
COLOURS_BY, DETAILS_BY = 0.1, 0.5  # what counts as one step: of 0..1, and of the natural logarithm
LEAST_DETAIL = 1e-3
YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


class StyleMeter:
    """Compares pictures with reference pictures of a style, uint8 RGB (height, width, 3) of one size."""

    def __init__(self, references: Iterable[np.ndarray]) -> None:
        self._references = np.stack([description(image) for image in references])

    def measure(self, images: Iterable[np.ndarray]) -> Measured:
        """Each picture's resemblance to the middle of the references, 0..1."""
        middle = self._references.mean(axis=0)
        each = tuple(_resemblance(description(image), middle) for image in images)
        return Measured(float(np.mean(each)), each)

    def ceiling(self, reconstructed: Iterable[np.ndarray]) -> float:
        """`reconstructed`: pictures once through the VAE, first the references in their order, each against the
        others, then further ones of the style. With a single reference, itself."""
        each = [_resemblance(description(image), self._others(index)) for index, image in enumerate(reconstructed)]
        return float(np.mean(each))

    def _others(self, index: int) -> np.ndarray:
        rest = [one for place, one in enumerate(self._references) if place != index]
        return np.mean(rest or self._references, axis=0)


def description(image: np.ndarray) -> np.ndarray:
    """float (18,): mean and spread of the three channels, and their details from fine to coarse, in steps."""
    channels = image.astype(np.float64) / 255.0 @ YCC.T
    colours = np.concatenate([channels.mean(axis=(0, 1)), channels.std(axis=(0, 1))])
    return np.concatenate([colours / COLOURS_BY, np.log(_details(channels) + LEAST_DETAIL) / DETAILS_BY])


def _details(channels: np.ndarray) -> np.ndarray:
    """(12,): mean difference of each channel (height, width, 3) to itself made coarser, at sizes halved each time."""
    found = []
    for _ in range(LEVELS):
        half = (max(1, channels.shape[1] // 2), max(1, channels.shape[0] // 2))
        smaller = _resized(channels, half)
        found.append(np.abs(channels - _resized(smaller, (channels.shape[1], channels.shape[0]))).mean(axis=(0, 1)))
        channels = smaller
    return np.concatenate(found)


def _resized(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = (Image.fromarray(channels[..., number].astype(np.float32)) for number in range(channels.shape[2]))
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes], axis=-1)


def _resemblance(one: np.ndarray, other: np.ndarray) -> float:
    """0..1"""
    return float(np.exp(-np.sqrt(np.mean((one - other) ** 2)) / 2))
