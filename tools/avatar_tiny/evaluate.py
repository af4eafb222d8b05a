"""The numbers of avatar-tiny: faces found, attributes followed, identity kept by the VAE, range of activations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from . import codec, models, reader, sampling
from .captions import full_caption
from .characters import STYLES, attributes, random_character, random_shot
from .draw_set import MOVEMENT
from .drawing import draw
from .export import Networks
from .judges import Judges
from .samples import HELD_OUT_SEED

log = logging.getLogger(__name__)
PEOPLE_SEED = HELD_OUT_SEED + 1_000


@dataclass(frozen=True)
class Portraits:
    """Drawings of people who were never trained on, and what their captions say."""

    pictures: np.ndarray
    attributes: list[dict[str, Any]]


def unseen_portraits(count: int) -> Portraits:
    """The three styles in turn, the movement of the training set."""
    pictures, facts = [], []
    for number in range(count):
        seed = PEOPLE_SEED + number
        character, shot = random_character(seed), random_shot(seed, MOVEMENT, style=STYLES[number % len(STYLES)])
        pictures.append(draw(character, shot, models.RESOLUTION_PX).picture)
        facts.append(attributes(character, shot))
    return Portraits(np.stack(pictures), facts)


@torch.no_grad()
def reconstruct(vae: Any, pictures: np.ndarray) -> np.ndarray:
    """Once through the VAE, uint8 [n, h, w, 3]."""
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = torch.cat([codec.encode(vae, part) for part in tensor.split(4)])
    return sampling.decode_pictures(vae, latents)


def faces_found(judges: Judges, pictures: np.ndarray) -> dict[str, float]:
    """Shares of pictures with a face, by detector and by both."""
    first = np.array([judges.yunet.find(picture) is not None for picture in pictures])
    second = np.array([judges.retinaface.find(picture) is not None for picture in pictures])
    shares = {"yunet": first, "retinaface": second, "both": first & second}
    return {name: round(float(found.mean()), 3) for name, found in shares.items()}


def cosines(judges: Judges, drawings: np.ndarray, copies: np.ndarray) -> dict[str, float]:
    """Mean cosine of each drawing to its copy and, for comparison, to the next drawing's copy; 0 where no face is
    found.
    """
    result = {}
    for name in judges.recognisers:
        a = [judges.embed(name, picture) for picture in drawings]
        b = [judges.embed(name, picture) for picture in copies]
        same = [0.0 if x is None or y is None else float(x @ y) for x, y in zip(a, b, strict=True)]
        other = [0.0 if x is None or y is None else float(x @ y) for x, y in zip(a, b[1:] + b[:1], strict=True)]
        result[name] = round(float(np.mean(same)), 3)
        result[f"{name}_another_person"] = round(float(np.mean(other)), 3)
    return result


@contextmanager
def largest_activations(module: Any, into: dict[str, float]) -> Iterator[None]:
    """While open, `into["max"]` grows to the largest absolute output of any layer."""

    def note(_: Any, __: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            into["max"] = max(into.get("max", 0.0), float(output.detach().abs().max()))

    handles = [part.register_forward_hook(note) for part in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def activation_ranges(networks: Networks, captions: list[str], pictures: np.ndarray) -> dict[str, float]:
    """Largest absolute activation of each network in float32; half precision overflows at 65504."""
    found: dict[str, dict[str, float]] = {"text": {}, "unet": {}, "vae": {}}
    with largest_activations(networks.text, found["text"]), largest_activations(networks.unet, found["unet"]):
        sampling.sample_latents(networks, captions, list(range(len(captions))), steps=8)
    with largest_activations(networks.vae, found["vae"]):
        reconstruct(networks.vae, pictures)
    return {name: round(values["max"], 1) for name, values in found.items()}


def evaluate(networks: Networks, judges: Judges, attribute_reader: reader.Reader, count: int = 48) -> dict[str, Any]:
    """All numbers as one JSON document. Captions are those of unseen drawings, seeds 0, 1, 2, ..."""
    portraits = unseen_portraits(count)
    copies = reconstruct(networks.vae, portraits.pictures)
    log.info("drawings and reconstructions made")
    captions = [full_caption(item) for item in portraits.attributes]
    made = sampling.generate(networks, captions, list(range(count)))
    log.info("pictures made")
    mse = float(((portraits.pictures.astype(np.float32) - copies) ** 2).mean())
    return {
        "pictures": count,
        "generated": {
            "faces": faces_found(judges, made),
            "followed": reader.read(attribute_reader, made).shares(portraits.attributes),
        },
        "reconstructed": {
            "faces": faces_found(judges, copies),
            "followed": reader.read(attribute_reader, copies).shares(portraits.attributes),
            "psnr_db": round(10 * float(np.log10(255**2 / mse)), 2),
            "cosine": cosines(judges, portraits.pictures, copies),
        },
        "drawings": {
            "faces": faces_found(judges, portraits.pictures),
            "followed": reader.read(attribute_reader, portraits.pictures).shares(portraits.attributes),
        },
        "largest_activation": activation_ranges(networks, captions[:4], portraits.pictures[:4]),
    }
