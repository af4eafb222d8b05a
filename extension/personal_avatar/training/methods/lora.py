"""LoRA: low-rank additions to attention, and on request to the residual blocks (LoCon), saved under kohya's names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import SelfTestFailed
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.files import write_tensors
from personal_avatar.training.methods.base import State
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.plan import LoraPlan

if TYPE_CHECKING:
    import torch

ADAPTER = "default"
ATTENTION_PARENTS: tuple[str, ...] = ("Transformer2DModel",)
RESIDUAL_PARENTS = ("ResnetBlock2D", "Downsample2D", "Upsample2D")
TEXT_PARENTS = ("CLIPAttention", "CLIPMLP")


@dataclass(frozen=True)
class Target:
    """One module that gets a LoRA: kohya prefix of its root, dotted path in it, rank and alpha."""

    prefix: str
    path: str
    rank: int
    alpha: float

    @property
    def key(self) -> str:
        return kohya_key(self.prefix, self.path)


def kohya_key(prefix: str, path: str) -> str:
    return f"{prefix}_{path.replace('.', '_')}"


def choose_targets(model: DiffusionModel, plan: LoraPlan) -> list[Target]:
    """Every module that the plan asks for and that the WebUI can find by its name."""
    groups = [("lora_unet", ATTENTION_PARENTS, plan.rank, plan.alpha)]
    if plan.conv_rank:
        groups.append(("lora_unet", RESIDUAL_PARENTS, plan.conv_rank, plan.conv_alpha))
    if plan.text_encoder_learning_rate > 0:
        groups += [(prefix, TEXT_PARENTS, plan.rank, plan.alpha) for prefix in model.text_encoders]
    known = model.webui_weight_names()
    targets = [
        Target(prefix, path, rank, alpha)
        for prefix, parents, rank, alpha in groups
        for path in products_within(model.modules()[prefix], parents)
    ]
    return [target for target in targets if webui_name(target.key) in known]


def products_within(root: torch.nn.Module, parents: tuple[str, ...]) -> list[str]:
    """Dotted paths of all linear and convolution layers inside modules of the classes `parents`."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    found = []
    for path, module in root.named_modules():
        if type(module).__name__ in parents:
            found += [f"{path}.{name}" for name, child in module.named_modules() if isinstance(child, kinds)]
    return found


class Lora:
    """LoRA layers injected into a loaded checkpoint; see `TrainingMethod`."""

    def __init__(self, model: DiffusionModel, plan: LoraPlan) -> None:
        import torch

        targets = choose_targets(model, plan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self._layers = {target.key: layer for target, layer in _inject(model, targets)}
        self._alphas = {target.key: target.alpha for target in targets}
        self._plan = plan
        self.trains_text = plan.text_encoder_learning_rate > 0

    def parameter_groups(self) -> list[dict[str, Any]]:
        unet = [weight for key, weight in self._weights() if key.startswith("lora_unet")]
        text = [weight for key, weight in self._weights() if not key.startswith("lora_unet")]
        groups = [{"params": unet, "lr": self._plan.learning_rate}]
        return [*groups, {"params": text, "lr": self._plan.text_encoder_learning_rate}] if text else groups

    def _weights(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for key, layer in self._layers.items():
            yield f"{key}.lora_down.weight", layer.lora_A[ADAPTER].weight
            yield f"{key}.lora_up.weight", layer.lora_B[ADAPTER].weight

    def state(self) -> State:
        return {key: weight.detach().float().cpu().clone() for key, weight in self._weights()}

    def load(self, state: State) -> None:
        for key, weight in self._weights():
            weight.data.copy_(state[key])

    def places(self) -> dict[str, torch.Tensor]:
        return {key: layer.base_layer.weight for key, layer in self._layers.items()}

    @contextmanager
    def strength(self, weight: float) -> Iterator[None]:
        before = {key: layer.scaling[ADAPTER] for key, layer in self._layers.items()}
        for key, layer in self._layers.items():
            layer.scaling[ADAPTER] = before[key] * weight
        try:
            yield
        finally:
            for key, layer in self._layers.items():
                layer.scaling[ADAPTER] = before[key]

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        import torch

        tensors = {key: weight.half().contiguous() for key, weight in self.state().items()}
        tensors |= {f"{key}.alpha": torch.tensor(alpha, dtype=torch.float16) for key, alpha in self._alphas.items()}
        write_tensors(path, tensors, metadata)

    def read(self, path: Path) -> State:
        """Raises `SelfTestFailed` when the file does not hold exactly the weights of this LoRA."""
        from safetensors.torch import load_file

        read = {key: tensor.float() for key, tensor in load_file(path).items() if not key.endswith(".alpha")}
        expected = {key: tuple(weight.shape) for key, weight in self._weights()}
        if {key: tuple(tensor.shape) for key, tensor in read.items()} != expected:
            raise SelfTestFailed(f"{path.name} does not hold the {len(expected)} tensors that were trained.")
        return read


def _inject(model: DiffusionModel, targets: list[Target]) -> Iterator[tuple[Target, Any]]:
    """Put a LoRA layer in the place of every target, and yield it; its own weights are fp32 and require gradients."""
    from peft import LoraConfig, inject_adapter_in_model

    for prefix in dict.fromkeys(target.prefix for target in targets):
        chosen = [target for target in targets if target.prefix == prefix]
        config = LoraConfig(
            r=chosen[0].rank,
            lora_alpha=chosen[0].alpha,  # a float is fine
            target_modules=[target.path for target in chosen],
            rank_pattern={target.path: target.rank for target in chosen},
            alpha_pattern={target.path: target.alpha for target in chosen},
        )
        root = inject_adapter_in_model(config, model.modules()[prefix], adapter_name=ADAPTER)
        for target in chosen:
            layer: Any = root.get_submodule(target.path)
            layer.lora_A[ADAPTER].float().requires_grad_(True)
            layer.lora_B[ADAPTER].float().requires_grad_(True)
            yield target, layer
