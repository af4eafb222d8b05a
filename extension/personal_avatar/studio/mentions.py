"""Which avatars a prompt names: by their LoRAs, by their embeddings, or because their checkpoint paints."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from personal_avatar.domain import Avatar, Checkpoint, Method
from personal_avatar.networks import find_lora, split_embeddings
from personal_avatar.prompts import emphasis, split_networks

LORAS = (Method.LORA, Method.DREAMBOOTH_LORA)


def mentioned(prompt: str, avatars: Iterable[Avatar], checkpoint: Path | None = None) -> list[Avatar]:
    """Avatars with a face that are in a picture of this prompt. `checkpoint`: the file that it is made with."""
    text, tags = split_networks(prompt)
    wanted = [tag.name for tag in tags if tag.weight > 0]
    pieces = [piece for piece, weight in emphasis(text) if weight > 0]
    return [avatar for avatar in avatars if avatar.reference and _named(avatar, wanted, pieces, checkpoint)]


def _named(avatar: Avatar, loras: list[str], pieces: list[str], checkpoint: Path | None) -> bool:
    points = avatar.checkpoints
    files = {point.path.stem: point.path for point in points if point.method in LORAS}
    if any(find_lora(name, files) for name in loras):
        return True
    words = {point.path.stem for point in points if point.method is Method.TEXTUAL_INVERSION}
    if any(name for piece in pieces for _, name in split_embeddings(piece, words)):
        return True
    return any(_paints(point, checkpoint, pieces) for point in points)


def _paints(point: Checkpoint, checkpoint: Path | None, pieces: list[str]) -> bool:
    if point.method is not Method.DREAMBOOTH or checkpoint is None:
        return False
    return point.path == checkpoint and any(point.trigger.lower() in piece.lower() for piece in pieces)
