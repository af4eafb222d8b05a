"""Who puts the face into the picture: nobody, our hooks, or diffusers' classes in two ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from personal_avatar.benchmarks.identity_models import (
    ADAPTERS,
    SIZES,
    adapter_of,
    identitynet_config,
    identitynet_of,
    unet_of,
)
from personal_avatar.benchmarks.identity_reference import Reference, Scene
from personal_avatar.benchmarks.identity_work import OURS, PIPELINE, PLAIN, IdentityWork
from personal_avatar.identity.nouns import AdapterWeights, Rows, Tokens

if TYPE_CHECKING:
    import torch

TEXT_TOKENS, FACE_TOKENS = 77, 16
ROWS = (False, True)  # diffusers puts the negative row first


class Engine(Protocol):
    """Entered once for a generation, called once for a step with both rows."""

    def entered(self) -> AbstractContextManager[None]: ...

    def __call__(self, scene: Scene, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True, eq=False)
class Plain:
    """The UNet alone."""

    unet: Any

    def entered(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __call__(self, scene: Scene, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.unet(
            latents, timestep, encoder_hidden_states=scene.text, added_cond_kwargs=scene.added, return_dict=False
        )[0]
        return found


@dataclass(frozen=True, eq=False)
class Ours(Plain):
    """The same call inside `identity.injection.injected`."""

    injection: Any = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        from personal_avatar.identity.injection import injected

        with injected(self.unet, self.injection, lambda count: Rows(ROWS, 0.0)):
            yield


@dataclass(frozen=True, eq=False)
class Stage:
    """What the engines of a process share."""

    work: IdentityWork
    unet: Any
    adapter: AdapterWeights
    scene: Scene
    net_file: Path
    device: torch.device

    def engine(self, name: str, net: Any = None) -> Engine:
        """`net`: a ControlNetModel that is there already, for the engines of diffusers."""
        if name == PLAIN:
            return Plain(self.unet)
        if name == OURS:
            return Ours(self.unet, self._injection())
        net = net or controlnet(self.work, self.net_file).to(self.device)
        weights = (self.work.weight, self.work.net_weight)
        return Reference(self.unet, net, self.adapter, *weights, fused=name != PIPELINE)

    def engines(self, names: tuple[str, ...]) -> dict[str, Engine]:
        """Those of diffusers have one IdentityNet between them."""
        made: dict[str, Engine] = {}
        for name in names:
            there = [engine.net for engine in made.values() if isinstance(engine, Reference)]
            made[name] = self.engine(name, *there[:1])
        return made

    def _injection(self) -> Any:
        from personal_avatar.identity.injection import Control, Injection, Person
        from personal_avatar.identity.net import load_net

        net = load_net(self.net_file, self.device, self.unet.dtype)
        control = Control(net, self.scene.hint, self.work.net_weight)
        return Injection(self.adapter, [Person(self.scene.tokens)], self.work.weight, control=control)


def stage(work: IdentityWork, net_file: Path) -> Stage:
    import torch

    size, dtype = SIZES[work.size], dtype_of(work)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unet = unet_of(size, dtype).to(device)
    adapter = adapter_of(size, ADAPTERS[work.size], dtype)
    return Stage(work, unet, adapter, scene(work, device), net_file, device)


def scene(work: IdentityWork, device: torch.device) -> Scene:
    """Random inputs of the right sizes; a hint that is black but for a patch, as drawn keypoints are."""
    import torch

    size, side, dtype = SIZES[work.size], work.resolution_px, dtype_of(work)
    generator = torch.Generator().manual_seed(work.seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    hint = torch.zeros(1, 3, side, side)
    hint[:, :, side // 4 : side // 2, side // 4 : side // 2] = torch.rand(3, 1, 1, generator=generator)
    sizes = torch.tensor([[side, side, 0, 0, side, side]] * 2).to(device, dtype)
    tokens = Tokens(cond=random(1, FACE_TOKENS, size.context), uncond=random(1, FACE_TOKENS, size.context))
    return Scene(
        noise=random(1, 4, side // 8, side // 8), text=random(2, TEXT_TOKENS, size.context),
        pooled=random(2, size.towers[-1].width), sizes=sizes, hint=hint.to(device, dtype), tokens=tokens,
    )


def denoised(engine: Engine, scene: Scene, steps: int, guidance: float) -> Iterator[torch.Tensor]:
    """Euler's steps with guidance, as the pipeline does them; yields the latents after each."""
    import torch
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(steps, device=scene.noise.device)
    latents = scene.noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        both = scheduler.scale_model_input(torch.cat((latents, latents)), timestep)
        without, found = engine(scene, both, timestep).chunk(2)
        latents = scheduler.step(without + guidance * (found - without), timestep, latents).prev_sample
        yield latents


def write_net(work: IdentityWork, path: Path) -> None:
    """The file of the IdentityNet that all engines load."""
    from safetensors.torch import save_file

    save_file(identitynet_of(SIZES[work.size], dtype_of(work)).state_dict(), path)


def controlnet(work: IdentityWork, path: Path) -> Any:
    """The file in diffusers' own class."""
    import torch
    from diffusers import ControlNetModel
    from safetensors.torch import load_file

    with torch.device("meta"):
        net = ControlNetModel(**identitynet_config(SIZES[work.size]))
    net.load_state_dict(load_file(path), assign=True)
    return net.eval().requires_grad_(False)


def dtype_of(work: IdentityWork) -> torch.dtype:
    import torch

    by_name = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return by_name.get(work.precision, torch.float16 if torch.cuda.is_available() else torch.float32)
