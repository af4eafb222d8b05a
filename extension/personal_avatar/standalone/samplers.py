"""The WebUI's names of samplers -> schedulers of diffusers."""
from __future__ import annotations

from typing import Any

from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import stated

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "DDIM": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
}


def scheduler(name: str, schedule: dict[str, Any]) -> Any:
    """A fresh scheduler; `schedule`: the model's noise schedule. Raises `InvalidSettings` for an unknown name."""
    import diffusers

    refuse_sampler(name)
    kind, options = SAMPLERS[name]
    return getattr(diffusers, kind)(**schedule, **options)


def refuse_sampler(name: str) -> None:
    """Raise `InvalidSettings` for an unknown name."""
    if name not in SAMPLERS:
        names = ", ".join(SAMPLERS)
        raise stated(InvalidSettings, "failure.no_sampler", "remedy.one_of", wanted=repr(name), names=names)
