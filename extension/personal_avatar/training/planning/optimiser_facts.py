"""What is known of each optimiser, by the name that plans have for it; its builder is in optimisers.py. No torch."""
from __future__ import annotations

from dataclasses import dataclass

ADAMW, EIGHT_BIT, SMALLEST = "adamw", "adamw8bit", "adafactor"


@dataclass(frozen=True)
class Optimiser:
    """`called`: its class with the module, as files say by what they were trained; `state_bytes`: of its state for each
    trained number; `sd_scripts`: its name there, "" where they do not have it; `package`: what it needs besides the
    trainer's own, as pip calls it; `card`: whether it runs on graphics cards only.

    `times_adamws`: its learning rate, where AdamW's is 1: as the authors advise; of muon as measured
    (tools/avatar_tiny). `one_rate`: it finds its own, near 1, and takes no other for a part of the weights;
    `own_schedule`: how the rate changes from step to step is its own business; `matrices`: it moves nothing else."""

    called: str
    state_bytes: float
    sd_scripts: str = ""
    package: str = ""
    card: bool = False
    times_adamws: float = 1.0
    one_rate: bool = False
    own_schedule: bool = False
    matrices: bool = False

    @property
    def module(self) -> str:
        """That of its package, as Python calls it."""
        return self.called.partition(".")[0]


OPTIMISERS = {
    ADAMW: Optimiser("torch.optim.adamw.AdamW", 8, "AdamW"),
    EIGHT_BIT: Optimiser("bitsandbytes.optim.adamw.AdamW8bit", 2, "AdamW8bit", "bitsandbytes", card=True),
    "prodigy": Optimiser("prodigyopt.prodigy.Prodigy", 16, "Prodigy", "prodigyopt", one_rate=True),
    SMALLEST: Optimiser("transformers.optimization.Adafactor", 0.1, "AdaFactor"),
    "lion": Optimiser("lion_pytorch.lion_pytorch.Lion", 4, "Lion", "lion-pytorch", times_adamws=0.2),
    "schedulefree": Optimiser(
        "schedulefree.adamw_schedulefree.AdamWScheduleFree", 8, "AdamWScheduleFree", "schedulefree",
        times_adamws=2.0, own_schedule=True,
    ),
    "muon": Optimiser("personal_avatar.training.muon.Muon", 4, times_adamws=2.0, matrices=True),
}  # fmt: skip
