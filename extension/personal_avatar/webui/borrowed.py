"""What is the WebUI's - its options, its loaded checkpoint - is changed for a `with` block and given back after it.

All of this belongs into our turn in the WebUI's queue (`generation.turn`), except `options` alone.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modules import sd_models, shared

from personal_avatar.errors import AvatarError, BaseUnsupported, Crashed
from personal_avatar.naming import first_line, named
from personal_avatar.problems import stated
from personal_avatar.webui.checkpoints import enlist
from personal_avatar.webui.describe import NOISE_SCHEDULE, ZERO_TERMINAL_SNR, describe

UNKEPT = {"save_init_img": False}  # copies of what is painted anew, which nothing that erases a person would find


def stopped() -> bool:
    """Whether the user wants no more of what is being made: *Interrupt*, or *Skip*."""
    return bool(shared.state.interrupted or shared.state.skipped)


@contextmanager
def options(wanted: dict[str, Any]) -> Iterator[None]:
    """Options of the WebUI for the block, without their callbacks; what the user sets meanwhile stays as set."""
    before = {name: getattr(shared.opts, name) for name in wanted}
    shared.opts.data.update(wanted)
    try:
        yield
    finally:
        untouched = {name: value for name, value in before.items() if getattr(shared.opts, name) == wanted[name]}
        shared.opts.data.update(untouched)


@contextmanager
def checkpoint(path: Path) -> Iterator[None]:
    """Another checkpoint is loaded for the block, then the one that the user has chosen.

    Raises `BaseNotFound`, `BaseUnsupported` when the WebUI cannot load it, and what `named` knows of full memory.
    """
    info = enlist(path)
    describe(info)
    try:
        with options({"sd_model_checkpoint": info.title}):
            _load(path)
            yield
    finally:
        sd_models.reload_model_weights()


def _load(path: Path) -> None:
    try:
        sd_models.reload_model_weights()
    except AvatarError:
        raise
    except Exception as error:  # a file can be wrong in any way
        _start_again()
        if not isinstance(known := named(error), Crashed):
            raise known from error
        raise stated(BaseUnsupported, "base.cannot_load", file=path.name, cause=first_line(error)) from error


def _start_again() -> None:
    """After a failed load the WebUI holds a model that is half taken apart and counts it as loaded: forget it."""
    sd_models.model_data.sd_model = None
    sd_models.model_data.loaded_sd_models.clear()


@contextmanager
def sampling() -> Iterator[None]:
    """Sample the loaded checkpoint as its own tensors say, draw no previews, which nobody sees, and keep no copies.

    The WebUI reads neither `v_pred` nor `ztsnr` of a checkpoint: without a yaml, and with the noise schedule that was
    chosen for another one, it would make noise of them. Previews of SDXL would fetch a network.
    """
    model = shared.sd_model
    base = describe(model.sd_checkpoint_info)
    wanted: dict[str, Any] = {"live_previews_enable": False, **UNKEPT}
    if base.zero_terminal_snr:
        wanted[NOISE_SCHEDULE] = ZERO_TERMINAL_SNR
    before = model.parameterization
    if base.prediction == "v_prediction":
        model.parameterization = "v"
    try:
        with options(wanted):
            yield
    finally:
        model.parameterization = before


@contextmanager
def unrecorded() -> Iterator[None]:
    """Keep the user's last prompt (params.txt), and no copies, while pictures are made that the user does not see."""
    before = shared.cmd_opts.no_prompt_history
    shared.cmd_opts.no_prompt_history = True
    try:
        with options(UNKEPT):
            yield
    finally:
        shared.cmd_opts.no_prompt_history = before
