"""What happens to captions while a training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def drop(captions: list[str], share: float, generator: torch.Generator) -> list[str]:
    """Some captions, `share` of them on average, become empty, so that the unconditional answer follows."""
    import torch

    dropped = torch.rand(len(captions), generator=generator) < share
    return ["" if gone else caption for caption, gone in zip(captions, dropped.tolist(), strict=True)]


def shuffle_tags(caption: str, keep: int, generator: torch.Generator) -> str:
    """The parts between commas in random order, the first `keep` of them where they are."""
    import torch

    tags = [tag.strip() for tag in caption.split(",")]
    rest = tags[keep:]
    order = torch.randperm(len(rest), generator=generator).tolist()
    return ", ".join([*tags[:keep], *(rest[place] for place in order)])
