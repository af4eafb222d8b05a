"""Small faces are painted anew by an inner img2img with the same person and the outer picture's prompt and sampler."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import numpy as np
from modules import processing, sd_hijack, sd_models, shared
from PIL import Image

from personal_avatar.identities import IdentityRequest
from personal_avatar.ranking.likeness import FaceReader
from personal_avatar.studio.second_pass import with_small_faces
from personal_avatar.webui import borrowed
from personal_avatar.webui.describe import describe
from personal_avatar.webui.identity import notes, script
from personal_avatar.webui.identity.session import Session

GRID_PX = 64
WHITE = 128  # from here on a mask is white


def painted(p: Any, begun: Session, picture: np.ndarray, analyser: FaceReader) -> tuple[np.ndarray, int]:
    """uint8 RGB with its small faces painted anew, and how many they were. Raises what kept a person from it."""
    embeddings = [reference.embedding for reference in begun.references]
    made = painted_part(p, picture.shape[1], picture.shape[0])
    return with_small_faces(picture, begun.request, embeddings, analyser, partial(_repainted, p), made)


def painted_part(p: Any, width: int, height: int) -> np.ndarray | None:
    """Where an inpainted picture was painted, bool (height, width); None: everywhere."""
    mask = getattr(p, "mask_for_overlay", None)
    if mask is None:
        return None
    fitted = mask.convert("L").resize((width, height), Image.Resampling.BOX)
    made: np.ndarray = np.asarray(fitted) >= WHITE
    return made


def _repainted(p: Any, request: IdentityRequest, crop: np.ndarray) -> np.ndarray:
    return again(p, script.runner(request, strict=False), crop, request.settings.second_pass_strength)


def again(p: Any, runner: Any, crop: np.ndarray, strength: float) -> np.ndarray:
    """The crop, painted anew at the checkpoint's own size and scaled back; as it is when the user stops the work.

    `runner`: of the scripts that take part.
    """
    if borrowed.stopped():
        return crop
    with _within(p), closing(_inner(p, runner, crop, strength)) as inner:
        made = processing.process_images(inner)
    problem = notes.problem_of(inner)
    if problem is not None:
        raise problem
    if not made.images or borrowed.stopped():
        return crop
    height, width = crop.shape[:2]
    return np.asarray(made.images[0].convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def _inner(p: Any, runner: Any, crop: np.ndarray, strength: float) -> Any:
    """An img2img of one face with the outer picture's prompt, seed and sampler."""
    number = min(p.iteration * p.batch_size + getattr(p, "batch_index", 0), len(p.all_prompts) - 1)
    width, height = _size(crop.shape[1], crop.shape[0], describe(shared.sd_model.sd_checkpoint_info).native_px)
    inner = processing.StableDiffusionProcessingImg2Img(
        sd_model=shared.sd_model, prompt=p.all_prompts[number], negative_prompt=p.all_negative_prompts[number],
        seed=p.all_seeds[number], sampler_name=p.sampler_name, scheduler=p.scheduler, steps=p.steps,
        cfg_scale=p.cfg_scale, width=width, height=height, restore_faces=False, tiling=False,
        do_not_save_samples=True, do_not_save_grid=True, do_not_reload_embeddings=True,
        init_images=[Image.fromarray(crop)], denoising_strength=strength, resize_mode=0,
    )
    inner.scripts, inner.script_args = runner, ()
    return inner


def _size(width_px: int, height_px: int, native_px: int) -> tuple[int, int]:
    """The crop's sides enlarged until the longer one is native, in steps of the UNet's grid."""
    scale = native_px / max(width_px, height_px)
    width, height = (max(GRID_PX, round(side * scale / GRID_PX) * GRID_PX) for side in (width_px, height_px))
    return width, height


@contextmanager
def _within(p: Any) -> Iterator[None]:
    """A generation within another: progress, token merging, tiling, the user's last prompt are the outer one's again.

    ControlNet leaves its `forward` on the UNet until all pictures are done; its hint is of the whole picture, not of a
    face.
    """
    state = shared.state
    before = (state.job, state.job_no, state.sampling_step, state.sampling_steps)
    state.job_count += 1
    try:
        with borrowed.unrecorded(), _own_forward(p.sd_model.model.diffusion_model):
            yield
    finally:
        state.job, state.job_no, state.sampling_step, state.sampling_steps = before
        state.job_count -= 1
        sd_models.apply_token_merging(p.sd_model, p.get_token_merging_ratio())
        sd_hijack.model_hijack.apply_circular(p.tiling)


@contextmanager
def _own_forward(unet: Any) -> Iterator[None]:
    """What others have put in place of the UNet's `forward` is away for the block."""
    foreign = vars(unet).pop("forward", None)
    try:
        yield
    finally:
        if foreign is not None:
            unet.forward = foreign
