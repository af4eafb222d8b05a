"""Which avatars a prompt names: by their LoRAs, by their embeddings, or because their checkpoint paints."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from personal_avatar.domain import Avatar, Checkpoint, Method
from personal_avatar.networks import find_lora, split_embeddings
from personal_avatar.prompts import emphasis, split_networks


def mentioned(
    prompt: str, avatars: Iterable[Avatar], checkpoint: Path | None = None, *, any_weight: bool = False
) -> list[Avatar]:
    """Avatars with a face that are in a picture of this prompt. `checkpoint`: the file that it is made with;
    `any_weight`: also what is taken out or left without effect."""
    text, tags = split_networks(prompt)
    loras = [tag.name for tag in tags if any_weight or max(tag.weights) > 0]
    pieces = [piece for piece, weight in emphasis(text) if any_weight or weight > 0]
    people = [avatar for avatar in avatars if avatar.reference]
    known = {word for avatar in people for word in _words(avatar)}  # of two that fit the longer one is meant
    words = {name for piece in pieces for _, name in split_embeddings(piece, known) if name}
    return [
        avatar for avatar in people
        if words & _words(avatar) or _has(avatar, loras) or _is_painted(avatar, checkpoint, pieces)
    ]


def _words(avatar: Avatar) -> set[str]:
    return {point.path.stem for point in avatar.checkpoints if point.method is Method.TEXTUAL_INVERSION}


def _has(avatar: Avatar, loras: Sequence[str]) -> bool:
    files = {point.path.stem: point.path for point in avatar.checkpoints if point.method.is_lora}
    return any(find_lora(name, files) for name in loras)


def _is_painted(avatar: Avatar, checkpoint: Path | None, pieces: list[str]) -> bool:
    return any(_paints(point, checkpoint, pieces) for point in avatar.checkpoints)


def _paints(point: Checkpoint, checkpoint: Path | None, pieces: list[str]) -> bool:
    if point.method is not Method.DREAMBOOTH or checkpoint is None:
        return False
    return point.path == checkpoint and any(point.trigger.lower() in piece.lower() for piece in pieces)
