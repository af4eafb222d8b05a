"""The person is in the UNet exactly while the sampler runs.

A generation has one sampler (two with hires fix), whose `launch_sampling` runs all its steps. It is wrapped for one
call: the hooks enter before the first step and leave after the last, also when sampling raises or is interrupted. When
the refiner loads another checkpoint in the middle, they move to it if it has the same shape.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from modules import shared

from personal_avatar.identity.injection import Injection, injected
from personal_avatar.webui import callbacks
from personal_avatar.webui.identity import notes
from personal_avatar.webui.identity.rows import RowCounter


class Sampling:
    """Stands in for `launch_sampling` of the sampler of `p`, once. `on_problem` is told what keeps the person out of
    the UNet; `on_end` is called when the hooks are out, with whether the UNet was called as the sampler had announced.
    """

    def __init__(
        self, p: Any, injection: Injection, on_problem: Callable[[Exception], None], on_end: Callable[[bool], None]
    ) -> None:
        self._p, self._injection, self._on_problem, self._on_end = p, injection, on_problem, on_end
        self._rows = RowCounter()
        self._model: Any = None
        self._inside: AbstractContextManager[None] | None = None

    def arm(self) -> None:
        """Take the place of the sampler's method; an earlier one of ours that never ran gives it up."""
        if isinstance(vars(self._p.sampler).get("launch_sampling"), Sampling):
            del self._p.sampler.launch_sampling
        self._original = self._p.sampler.launch_sampling
        self._p.sampler.launch_sampling = self

    def __call__(self, steps: int, sample: Callable[[], Any]) -> Any:
        del self._p.sampler.launch_sampling
        try:
            problem = self._enter(shared.sd_model)
            if problem is not None:
                self._on_problem(problem)
            with callbacks.added("cfg_denoiser", self._step):
                return self._original(steps, sample)
        finally:
            self._leave()
            self._on_end(self._rows.used)

    def _enter(self, model: Any) -> Exception | None:
        """Hook this checkpoint's UNet; what kept us from it, with nothing hooked."""
        self._model = model
        inside = injected(model.model.diffusion_model, self._injection, self._rows)
        try:
            inside.__enter__()
        except Exception as error:  # noqa: BLE001 - whatever it is, the picture is made
            return error
        self._inside = inside
        return None

    def _leave(self) -> None:
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.__exit__(None, None, None)

    def _step(self, params: Any) -> None:
        """The sampler is about to call the UNet; what is raised here would only be logged."""
        if shared.sd_model is not self._model:
            self._move(shared.sd_model)
        texts = params.text_cond["crossattn"] if isinstance(params.text_cond, dict) else params.text_cond
        denoiser = params.denoiser
        self._rows.announce(len(texts), len(params.x), denoiser.step / max(denoiser.total_steps or 1, 1))

    def _move(self, model: Any) -> None:
        """The refiner has loaded another checkpoint."""
        was_inside = self._inside is not None
        self._leave()
        if was_inside and self._enter(model) is not None:
            name = model.sd_checkpoint_info.name_for_extra
            notes.warn(self._p, [f"{name} does not fit the face's network: it paints its steps without the person."])
