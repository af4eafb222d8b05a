"""DoRA: direction and magnitude of a weight are trained apart (Liu et al. 2024, arXiv 2402.09353).

W' = m (W + s B A) / |W + s B A|, with one magnitude for each input channel, as the paper writes it, as LyCORIS saved
it first (`dora_scale`, shape (1, inputs) or (1, inputs, 1, 1)) and as the WebUI reads it. peft has one for each output
channel, which the WebUI would apply along the wrong axis; so magnitudes are kept here, on top of peft's LoRA layers.
Scaling the columns of a weight is scaling its inputs: hooks do that, and nothing is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SHORTEST = 1e-12  # columns of nothing but zeros stay what they are


class Magnitude:
    """The magnitudes of one peft LoRA layer. `value` float32 (1, inputs[, 1, 1]); `weight`: see `Lora.strength`."""

    def __init__(self, layer: Any, adapter: str) -> None:
        import torch

        self._layer, self._down, self._up = layer, layer.lora_A[adapter], layer.lora_B[adapter]
        self._scaling = float(layer.scaling[adapter])
        self.value = torch.nn.Parameter(self._norm())
        self.weight = 1.0
        self._factor: torch.Tensor | None = None
        self._lengths: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        layer.base_layer.register_forward_pre_hook(self._scale_base_input)
        self._down.register_forward_pre_hook(self._scale_lora_input)

    def _norm(self) -> torch.Tensor:
        """Length of every column of W + s B A, of the shape of `value`; a constant for the gradient (section 4.3)."""
        import torch

        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            weight, down = self._layer.base_layer.weight.float(), self._down.weight.float()
            added = (self._up.weight.float().flatten(1) @ down.flatten(1)).reshape(weight.shape)
            merged = weight + self._scaling * added
            others = [dim for dim in range(merged.dim()) if dim != 1]
            return torch.linalg.vector_norm(merged, dim=others, keepdim=True).clamp_min(SHORTEST)

    def _length(self) -> torch.Tensor:
        """`_norm`, on a CPU only when A or B have changed: comparing them costs a small part of it. A graphics card
        would have to be waited for, and versions of tensors do not tell of what optimisers do to `data`."""
        import torch

        if self.device.type != "cpu":
            return self._norm()
        down, up = self._down.weight.detach(), self._up.weight.detach()
        known = self._lengths
        if known is None or not (torch.equal(known[0], down) and torch.equal(known[1], up)):
            self._lengths = known = (down.clone(), up.clone(), self._norm())
        return known[2]

    @property
    def device(self) -> torch.device:
        return self._down.weight.device

    def _scale_base_input(self, _: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """The base layer comes first; its share of the factor follows the strength, as the WebUI mixes weights."""
        if self.weight == 0:
            return None
        self._factor = self.value / self._length()
        return self._scaled(inputs, 1.0 + self.weight * (self._factor - 1.0))

    def _scale_lora_input(self, _: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        factor, self._factor = self._factor, None
        return None if factor is None else self._scaled(inputs, factor)

    def _scaled(self, inputs: tuple[torch.Tensor, ...], factor: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Multiplied in fp32, then in the number format that they came in; gradients do not see the rounding."""
        first = inputs[0]
        shaped = factor if self.value.dim() == 4 else factor.flatten()
        return (first * shaped).to(first.dtype), *inputs[1:]
