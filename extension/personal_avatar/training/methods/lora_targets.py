"""Which modules of a checkpoint get a LoRA, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.planning.plan import LoraPlan

if TYPE_CHECKING:
    import torch

ATTENTION_PARENTS: tuple[str, ...] = ("Transformer2DModel",)
RESIDUAL_PARENTS = ("ResnetBlock2D", "Downsample2D", "Upsample2D")
TEXT_PARENTS = ("CLIPAttention", "CLIPMLP")
LATE_BLOCKS = ("mid_block.", "up_blocks.")


@dataclass(frozen=True)
class Target:
    """One module that gets a LoRA: kohya prefix of its root, dotted path in it, name in the file, rank and alpha."""

    prefix: str
    path: str
    key: str
    rank: int
    alpha: float


def choose_targets(model: DiffusionModel, plan: LoraPlan) -> list[Target]:
    """Every module that the plan asks for and that the WebUI can find by its name."""
    groups = [(UNET_PREFIX, ATTENTION_PARENTS, plan.rank, plan.alpha)]
    if plan.conv_rank:
        groups.append((UNET_PREFIX, RESIDUAL_PARENTS, plan.conv_rank, plan.conv_alpha))
    if plan.text_encoder_learning_rate > 0:
        groups += [(prefix, TEXT_PARENTS, plan.rank, plan.alpha) for prefix in model.text_encoders]
    targets = [
        Target(prefix, path, model.lora_key(prefix, path), rank, alpha)
        for prefix, parents, rank, alpha in groups
        for path in products_within(model.modules()[prefix], parents)
        if prefix != UNET_PREFIX or in_blocks(path, plan.blocks)
    ]
    known = model.webui_weight_names()
    return [target for target in targets if webui_name(target.key, model.family) in known]


def in_blocks(path: str, blocks: str) -> bool:
    """Whether a module of the UNet belongs to `blocks` of the plan ("all" or "late")."""
    return blocks == "all" or path.startswith(LATE_BLOCKS)


def products_within(root: torch.nn.Module, parents: tuple[str, ...]) -> list[str]:
    """Dotted paths of all linear and convolution layers inside modules of the classes `parents`."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    found = []
    for path, module in root.named_modules():
        if type(module).__name__ in parents:
            found += [f"{path}.{name}" for name, child in module.named_modules() if isinstance(child, kinds)]
    return found
