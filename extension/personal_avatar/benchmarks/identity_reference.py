"""InstantID by diffusers' classes alone: `ControlNetModel`, the attention processors of its IP-Adapter, its UNet.

What the community pipeline does at a step: the IdentityNet sees the face tokens instead of the text and the text's own
pooled state, the attention to the face is added to that to the text, keys and values are computed at every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from personal_avatar.benchmarks.identity_models import state_of
from personal_avatar.identity.nouns import AdapterWeights, Tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Scene:
    """What all engines get, the negative row first. `noise`: (1, 4, height, width), latents; `text`: (2, 77, width);
    `pooled`: (2, width); `sizes`: (2, 6); `hint`: (1, 3, 8 * height, 8 * width), 0..1."""

    noise: torch.Tensor
    text: torch.Tensor
    pooled: torch.Tensor
    sizes: torch.Tensor
    hint: torch.Tensor
    tokens: Tokens

    @property
    def added(self) -> dict[str, torch.Tensor]:
        return {"text_embeds": self.pooled, "time_ids": self.sizes}


@dataclass(frozen=True, eq=False)
class Reference:
    """`fused`: attention to the face by torch's kernel, as `load_ip_adapter` sets it; else by products and softmax over
    the whole UNet, as the community pipeline has it."""

    unet: Any
    net: Any
    adapter: AdapterWeights
    weight: float
    net_weight: float
    fused: bool = True

    @cached_property
    def processors(self) -> dict[str, Any]:
        """diffusers' own, filled by diffusers' own loader."""
        from diffusers.models.attention_processor import AttnProcessor

        made = dict(self.unet._convert_ip_adapter_attn_to_diffusers([state_of(self.adapter)], low_cpu_mem_usage=True))
        for name, processor in made.items():
            if name.endswith("attn2.processor"):
                made[name] = processor if self.fused else _plain(processor)
                made[name].scale = [self.weight]
            elif not self.fused:
                made[name] = AttnProcessor()
        return made

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Inside, the UNet has diffusers' processors; outside its own again."""
        before = dict(self.unet.attn_processors)
        try:
            self.unet.set_attn_processor(dict(self.processors))
            yield
        finally:
            self.unet.set_attn_processor(before)

    def residuals(self, scene: Scene, latents: torch.Tensor, timestep: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """Of every skip connection, and of the middle; weighted."""
        down, middle = self.net(
            latents, timestep, encoder_hidden_states=self._tokens(scene),
            controlnet_cond=scene.hint.expand(2, -1, -1, -1), conditioning_scale=self.net_weight,
            added_cond_kwargs=scene.added, return_dict=False,
        )
        return down, middle

    def __call__(self, scene: Scene, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The noise that both rows of `latents` hold; call it inside `entered`."""
        down, middle = self.residuals(scene, latents, timestep)
        found: torch.Tensor = self.unet(
            latents, timestep, encoder_hidden_states=(scene.text, [self._tokens(scene)]),
            added_cond_kwargs=scene.added, down_block_additional_residuals=down,
            mid_block_additional_residual=middle, return_dict=False,
        )[0]
        return found

    def _tokens(self, scene: Scene) -> torch.Tensor:
        import torch

        return torch.cat((scene.tokens.uncond, scene.tokens.cond))


def _plain(processor: Any) -> Any:
    """The same weights in the processor that does without torch's kernel."""
    import torch
    from diffusers.models.attention_processor import IPAdapterAttnProcessor

    with torch.device("meta"):
        made = IPAdapterAttnProcessor(processor.hidden_size, processor.cross_attention_dim, processor.num_tokens)
    made.to_k_ip, made.to_v_ip = processor.to_k_ip, processor.to_v_ip
    return made
