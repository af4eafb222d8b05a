"""Small faces are painted anew: cut out, enlarged, painted with the same person by an inner img2img, put back."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from modules import processing, sd_models, shared
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.identities import IdentityRequest, IdentityRestoreSettings, IdentitySettings, Subject
from personal_avatar.ranking.likeness import FaceReader
from personal_avatar.restoration.paste import Box, box_around, face_mask, match_colours, pasted
from personal_avatar.webui import borrowed
from personal_avatar.webui.describe import describe
from personal_avatar.webui.identity import matching, notes, script
from personal_avatar.webui.identity.session import Session

CROP_SCALE = 2.5  # of the face's longer side: hair, neck and shoulders tell the checkpoint what it paints
FEATHER = 0.35
GRID_PX = 64


def painted(p: Any, begun: Session, picture: np.ndarray, analyser: FaceReader) -> tuple[np.ndarray, int]:
    """uint8 RGB with its small faces painted anew, and how many they were."""
    limit = begun.request.settings.second_pass_below_px
    faces = [face for face in analyser.detect(picture) if max(face.width_px, face.height_px) < limit]
    embeddings = [analyser.embed(picture, face) for face in faces]
    count = 0
    for number, person in matching.assigned(embeddings, [one.embedding for one in begun.references]):
        if shared.state.interrupted or shared.state.skipped:
            break
        box = box_around(faces[number], (picture.shape[1], picture.shape[0]), CROP_SCALE)
        patch = _repainted(p, begun.request.people[person], begun.request.settings, box.of(picture))
        if patch is not None:
            picture, count = _put_back(picture, patch, faces[number], box), count + 1
    return picture, count


def _put_back(picture: np.ndarray, patch: np.ndarray, face: Face, box: Box) -> np.ndarray:
    mask = face_mask(face, box, FEATHER)
    return pasted(picture, match_colours(patch, box.of(picture), mask), box, mask)


def _repainted(p: Any, subject: Subject, settings: IdentitySettings, crop: np.ndarray) -> np.ndarray | None:
    """The crop, painted anew at the checkpoint's own size and scaled back; None when it was interrupted.

    Raises what kept the person from it.
    """
    height, width = crop.shape[:2]
    request = IdentityRequest(_alone(settings), (replace(subject, box=None, mask=None, weight=1.0),))
    with _within(p), closing(_inner(p, request, crop)) as inner:
        made = processing.process_images(inner)
    problem = notes.problem_of(inner)
    if problem is not None:
        raise problem
    if not made.images or shared.state.interrupted:
        return None
    painted_anew = made.images[0].convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(painted_anew)


def _alone(settings: IdentitySettings) -> IdentitySettings:
    keypoints = "none" if settings.keypoints == "none" else "auto"
    plain = {"people": (), "second_pass": False, "restore": IdentityRestoreSettings(), "layout": "boxes"}
    return settings.copy(update={**plain, "keypoints": keypoints, "keypoints_image": None})


def _inner(p: Any, request: IdentityRequest, crop: np.ndarray) -> Any:
    """An img2img of one face with the outer picture's prompt, seed and sampler."""
    number = min(p.iteration * p.batch_size + getattr(p, "batch_index", 0), len(p.all_prompts) - 1)
    width, height = _size(crop.shape[1], crop.shape[0], describe(shared.sd_model.sd_checkpoint_info).native_px)
    inner = processing.StableDiffusionProcessingImg2Img(
        sd_model=shared.sd_model, prompt=p.all_prompts[number], negative_prompt=p.all_negative_prompts[number],
        seed=p.all_seeds[number], sampler_name=p.sampler_name, scheduler=p.scheduler, steps=p.steps,
        cfg_scale=p.cfg_scale, width=width, height=height, restore_faces=False, tiling=False,
        do_not_save_samples=True, do_not_save_grid=True, do_not_reload_embeddings=True,
        init_images=[Image.fromarray(crop)], denoising_strength=request.settings.second_pass_strength, resize_mode=0,
    )
    inner.scripts, inner.script_args = script.runner(request, strict=False), ()
    return inner


def _size(width_px: int, height_px: int, native_px: int) -> tuple[int, int]:
    """The crop's sides enlarged until the longer one is native, in steps of the UNet's grid."""
    scale = native_px / max(width_px, height_px)
    sides: Sequence[int] = [max(GRID_PX, round(side * scale / GRID_PX) * GRID_PX) for side in (width_px, height_px)]
    return sides[0], sides[1]


@contextmanager
def _within(p: Any) -> Iterator[None]:
    """A generation within another: progress, token merging and the user's last prompt are the outer one's again."""
    state = shared.state
    before = (state.job, state.job_no, state.sampling_step, state.sampling_steps)
    state.job_count += 1
    try:
        with borrowed.unrecorded():
            yield
    finally:
        state.job, state.job_no, state.sampling_step, state.sampling_steps = before
        state.job_count -= 1
        sd_models.apply_token_merging(p.sd_model, p.get_token_merging_ratio())
