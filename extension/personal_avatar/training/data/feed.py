"""Rows of pictures for one batch after the other, with a memory that can be put away and taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personal_avatar.training.data.training_set import Pictures
from personal_avatar.training.planning.schedule import BatchOrder

if TYPE_CHECKING:
    import torch

State = dict[str, list[int]]


class Feed:
    """The person's pictures of one size, and those of the class, each in an order of its own."""

    def __init__(self, pictures: Pictures, generator: torch.Generator) -> None:
        self.pictures = pictures
        self.rows = BatchOrder(pictures.latents.sizes(), generator, pictures.repeats)
        self.others = BatchOrder(pictures.others.latents.sizes() if pictures.others else [], generator)

    def state(self) -> State:
        return {"rows": self.rows.state(), "others": self.others.state()}

    def set_state(self, state: State) -> None:
        self.rows.set_state(state["rows"])
        self.others.set_state(state["others"])
