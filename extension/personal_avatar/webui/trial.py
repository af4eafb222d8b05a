"""Quick pictures with which a new file is tried; they are saved nowhere and leave the user's last prompt alone."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from modules import processing, sd_models, shared

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import Crashed, GenerationFailed, SelfTestFailed
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.webui import borrowed, generation
from personal_avatar.webui.describe import describe

HINT = "remedy.not_reliable"
STEPS = 4
SEED = 1
LARGEST_PX = 256  # whether a file changes anything is seen at any size


@dataclass(frozen=True)
class Trial:
    """A picture: `pixels` uint8 RGB; `remarks`: what the WebUI says of it."""

    pixels: np.ndarray
    remarks: str = ""


def base() -> BaseModelFile:
    """The checkpoint that the user has chosen, loaded. Only within `generation.turn()`."""
    return describe(sd_models.reload_model_weights().sd_checkpoint_info)


def trained_on(metadata: dict[str, Any], checkpoint: BaseModelFile) -> bool:
    """Whether a file's metadata name this checkpoint, by its SHA-256 when both tell it, else by its file name."""
    wanted = metadata.get("personal_avatar.base_sha256") or metadata.get("ss_new_sd_model_hash")
    if wanted and checkpoint.sha256:
        return bool(wanted == checkpoint.sha256)
    return checkpoint.path.name in (metadata.get("personal_avatar.base"), metadata.get("ss_sd_model_name"))


def base_in(metadata: dict[str, Any]) -> str:
    """The name of the checkpoint's file that a file's metadata name; "?" where they do not."""
    return str(metadata.get("personal_avatar.base") or metadata.get("ss_sd_model_name") or "?")


def metadata_of(file: Path) -> dict[str, Any]:
    """The texts in the header of a safetensors file, empty for other files."""
    return dict(sd_models.read_metadata_from_safetensors(str(file))) if file.suffix == ".safetensors" else {}


def picture(prompt: str, checkpoint: BaseModelFile) -> Trial:
    """One fixed seed, small. Only within `generation.turn()`. Raises what `generation.process` raises, and `Cancelled`
    when the user pressed Interrupt or Skip: what was painted until then tells nothing."""
    size_px = max(64, min(LARGEST_PX, checkpoint.native_px // 2 // 64 * 64))
    p = processing.StableDiffusionProcessingTxt2Img(
        sd_model=shared.sd_model, prompt=prompt, seed=SEED, sampler_name="Euler", scheduler="Automatic", steps=STEPS,
        cfg_scale=4.0, width=size_px, height=size_px, restore_faces=False,
        do_not_save_samples=True, do_not_save_grid=True, do_not_reload_embeddings=True,
    )
    p.scripts, p.script_args = generation.no_scripts(), ()
    p.cached_c, p.cached_uc = [None, None], [None, None]  # the WebUI's cache does not see that an embedding changed
    with closing(p), borrowed.unrecorded():
        processed = generation.process(p)
    if borrowed.stopped() or shared.state.stopping_generation:
        raise generation.interrupted()
    if not processed.images:
        raise stated(GenerationFailed, "failure.no_picture_made")
    return Trial(np.asarray(processed.images[processed.index_of_first_image].convert("RGB")), processed.comments)


@contextmanager
def blamed(file: Path) -> Iterator[None]:
    """For the picture with `file`, once the WebUI has painted without it: that there is none is the fault of the file
    then, unless memory, a disk or the user stood in the way. Raises `SelfTestFailed`."""
    try:
        yield
    except Exception as error:
        known = named(error)
        if borrowed.stopped() or not isinstance(known, GenerationFailed | Crashed):
            raise
        raise stated(
            SelfTestFailed, "failure.blamed", HINT, file=file.name, cause=known.message,
        ) from error


def demand_difference(file: Path, without: Trial, with_it: Trial) -> None:
    """Raises `SelfTestFailed` when a file changes nothing."""
    if np.array_equal(without.pixels, with_it.pixels):
        raise stated(SelfTestFailed, "failure.same_picture", HINT, file=file.name)
