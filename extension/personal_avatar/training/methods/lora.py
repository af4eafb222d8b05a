"""LoRA: low-rank additions to attention, and on request to the residual blocks (LoCon), saved under kohya's names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from personal_avatar.errors import SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.parts import UNET_PREFIX
from personal_avatar.training.files import refuse_infinite, write_tensors
from personal_avatar.training.methods import lora_names
from personal_avatar.training.methods.base import State, Subject
from personal_avatar.training.methods.dora import Magnitude
from personal_avatar.training.methods.lora_targets import Target, choose_targets
from personal_avatar.training.planning.plan import LoraPlan

if TYPE_CHECKING:
    import torch

ADAPTER = "default"
READS_WORDS = re.compile(r"_attn2_to_[kv]\.")  # keys and values of cross attention
Number = TypeVar("Number", int, float)


class Lora:
    """LoRA layers injected into a loaded checkpoint; see `TrainingMethod`. State keys are those of the saved file."""

    heavy = False
    moves_others = True

    def __init__(self, model: DiffusionModel, plan: LoraPlan, subject: Subject | None = None) -> None:
        import torch

        targets = choose_targets(model, plan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self._layers = {target.key: layer for target, layer in _inject(model, targets, plan)}
        self._magnitudes = {key: Magnitude(layer, ADAPTER) for key, layer in self._layers.items()} if plan.dora else {}
        self._alphas = {target.key: target.alpha for target in targets}
        self._model, self._plan = model, plan
        self.trains_text = plan.text_encoder_learning_rate > 0

    def parameter_groups(self) -> list[dict[str, Any]]:
        """UNet, what reads words in it, text encoders, and of all the magnitudes of DoRA, which must not decay."""
        groups: list[dict[str, Any]] = []
        for weights, extra in ((self._products(), {}), (self._scales(), {"weight_decay": 0.0})):
            found: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
            for key, weight in weights:
                found.setdefault((not key.startswith(UNET_PREFIX), self._ahead(key)), []).append(weight)
            rates = self._plan.learning_rate, self._plan.text_encoder_learning_rate
            groups += [
                {"params": found[of_text, factor], "lr": rates[of_text], "ahead": factor, **extra}
                for of_text, factor in sorted(found)
            ]
        return groups

    def _ahead(self, key: str) -> float:
        return self._plan.words_factor if key.startswith(UNET_PREFIX) and READS_WORDS.search(key) else 1.0

    def _weights(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._products()
        yield from self._scales()

    def _products(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for key, layer in self._layers.items():
            yield f"{key}.lora_down.weight", layer.lora_A[ADAPTER].weight
            yield f"{key}.lora_up.weight", layer.lora_B[ADAPTER].weight

    def _scales(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for key, magnitude in self._magnitudes.items():
            yield f"{key}.dora_scale", magnitude.value

    def aside(self) -> tuple[torch.Tensor, ...]:
        return ()

    def state(self) -> State:
        return {key: weight.detach().float().cpu().clone() for key, weight in self._weights()}

    def load(self, state: State) -> None:
        for key, weight in self._weights():
            weight.data.copy_(state[key])

    def places(self) -> dict[str, torch.Tensor]:
        """Kohya key -> the frozen weight of the module that is trained under this key."""
        return {key: layer.base_layer.weight for key, layer in self._layers.items()}

    @contextmanager
    def strength(self, weight: float) -> Iterator[None]:
        before = {key: layer.scaling[ADAPTER] for key, layer in self._layers.items()}
        magnitudes = {key: magnitude.weight for key, magnitude in self._magnitudes.items()}
        for key, layer in self._layers.items():
            layer.scaling[ADAPTER] = before[key] * weight
        for magnitude in self._magnitudes.values():
            magnitude.weight *= weight
        try:
            yield
        finally:
            for key, layer in self._layers.items():
                layer.scaling[ADAPTER] = before[key]
            for key, magnitude in self._magnitudes.items():
                magnitude.weight = magnitudes[key]

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Half precision but for the magnitudes: they multiply the whole weight, so that their rounding would count."""
        import torch

        state = self.state().items()
        tensors = {key: tensor if key.endswith(".dora_scale") else tensor.half() for key, tensor in state}
        tensors |= {f"{key}.alpha": torch.tensor(alpha, dtype=torch.float32) for key, alpha in self._alphas.items()}
        write_tensors(path, {key: tensor.contiguous() for key, tensor in tensors.items()}, metadata)

    def read(self, path: Path) -> State:
        """Each in the shape that is trained here, whatever `same_layer` of it the file has."""
        from safetensors.torch import load_file

        read = {key: tensor.float() for key, tensor in load_file(path).items() if not key.endswith(".alpha")}
        shapes = {key: weight.shape for key, weight in self._weights()}
        if read.keys() != shapes.keys() or not all(lora_names.same_layer(read[key].shape, shapes[key]) for key in read):
            raise stated(SelfTestFailed, "failure.tensors", file=path.name, count=len(shapes))
        return {key: tensor.reshape(shapes[key]) for key, tensor in read.items()}

    def matched(self, path: Path) -> int:
        refuse_infinite(path, self.read(path))
        return lora_names.check(path, self._model, self.places())


def _inject(model: DiffusionModel, targets: list[Target], plan: LoraPlan) -> Iterator[tuple[Target, Any]]:
    """Put a LoRA layer in the place of every target, and yield it; its own weights are fp32 and require gradients."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    from personal_avatar.training.methods.low_rank import Conv2d, Linear, Plain

    for prefix, group in groupby(targets, lambda target: target.prefix):
        chosen = list(group)
        config = LoraConfig(
            r=chosen[0].rank,
            lora_alpha=chosen[0].alpha,  # a float is fine
            target_modules=[target.path for target in chosen],
            rank_pattern=_others(chosen, {target.path: target.rank for target in chosen}),
            alpha_pattern=_others(chosen, {target.path: target.alpha for target in chosen}),
        )
        # DoRA scales what goes into the products of peft's layer.
        ours = {torch.nn.Linear: Plain} if plan.dora else {torch.nn.Linear: Linear, torch.nn.Conv2d: Conv2d}
        config._register_custom_module(ours)
        root = inject_adapter_in_model(config, model.modules()[prefix], adapter_name=ADAPTER)
        for target in chosen:
            layer: Any = root.get_submodule(target.path)
            layer.lora_A[ADAPTER].float().requires_grad_(True)
            layer.lora_B[ADAPTER].float().requires_grad_(True)
            layer.cast_input_dtype_enabled = False  # autocast does it, without a copy in fp32 in between
            yield target, layer


def _others(targets: list[Target], values: dict[str, Number]) -> dict[str, Number]:
    """One pattern for all paths with the same value, which is another than the first one's: peft tries every pattern
    on every module, and a large network has hundreds."""
    usual = values[targets[0].path]
    different = sorted({value for value in values.values() if value != usual})
    return {
        "|".join(re.escape(path) for path, one in values.items() if one == value): value for value in different
    }
