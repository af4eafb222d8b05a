"""Pictures through the WebUI's own `process_images`: its queue, progress, interrupt, options, saving and infotext.

Every picture waits its turn in the WebUI's queue, so that other users of the WebUI get theirs in between; those of one
request with another checkpoint, which has to be loaded for them, share a turn. The scripts
of other extensions do not run on our pictures: they are made for their own panels, and a portrait must not depend on
what somebody left switched on in txt2img. So `p.scripts` is an empty runner; with none at all the WebUI would leave
`<lora:...>` out of the infotext.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from modules import processing, scripts, sd_models, sd_samplers, shared
from modules.call_queue import queue_lock
from PIL import Image

from personal_avatar.errors import AvatarError, Cancelled, Crashed, GenerationFailed, NoCheckpoint
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.naming import described, named
from personal_avatar.problems import stated
from personal_avatar.webui import borrowed, callbacks, checkpoints, posing, saving, sharing
from personal_avatar.webui.identity import notes
from personal_avatar.webui.ours import mark_saved

OnStep = Callable[[int, int], None]
JOB = "Personal Avatar"
CLIP_SKIP = "CLIP_stop_at_last_layers"


@dataclass
class _Outcome:
    """What one picture came to. `picture` None: skipped by the user; `problem`: there will be no more pictures."""

    picture: Picture | None = None
    problem: AvatarError | None = None


def pictures(request: PictureRequest, on_step: OnStep) -> Iterator[Picture]:
    """One picture a seed. Raises `GenerationFailed`, `NoCheckpoint`, `Cancelled` (the WebUI's Interrupt button too)."""
    another = request.checkpoint
    with sharing.guest().staying():
        for outcome in _apart(request, on_step) if another is None else _together(request, another, on_step):
            if outcome.picture is not None:
                yield outcome.picture
            if outcome.problem is not None:
                raise outcome.problem


def _apart(request: PictureRequest, on_step: OnStep) -> Iterator[_Outcome]:
    """A turn for every picture. The Interrupt button counts while the last one is looked at, too."""
    for seed in request.seeds:
        with turn(paints=True):
            outcome, began = _one(request, seed, on_step), shared.state.time_start
        yield outcome
        if shared.state.interrupted and shared.state.time_start == began:  # else it was meant for somebody else's job
            shared.state.interrupted = False
            yield _Outcome(problem=interrupted())


def _together(request: PictureRequest, checkpoint: Path, on_step: OnStep) -> list[_Outcome]:
    """All pictures in one turn: to load another checkpoint takes longer than to make a picture."""
    outcomes: list[_Outcome] = []
    try:
        with turn(), borrowed.checkpoint(checkpoint):
            for seed in request.seeds:
                outcomes.append(_one(request, seed, on_step))
                if outcomes[-1].problem is not None:
                    break
    except AvatarError as error:
        outcomes.append(_Outcome(problem=error))
    return outcomes


def _one(request: PictureRequest, seed: int, on_step: OnStep) -> _Outcome:
    on_step(0, request.steps)
    follower = _Follower(on_step)
    with _prepared(request, seed) as p, callbacks.added("cfg_denoised", follower):
        processed = process(p)
        problem = notes.problem_of(p)
    if follower.cancelled is not None:
        return _Outcome(problem=follower.cancelled)
    if problem is not None:
        return _Outcome(problem=problem)
    if shared.state.interrupted:
        return _Outcome(problem=interrupted())
    if shared.state.skipped:
        shared.state.skipped = False
        return _Outcome()
    return _Outcome(_picture(processed, seed), interrupted() if shared.state.stopping_generation else None)


@contextmanager
def _prepared(request: PictureRequest, seed: int) -> Iterator[Any]:
    """What the WebUI works on, posed, and saved under a name that no other picture has."""
    with closing(_processing(request, seed)) as p, saving.apart(p), _pose(p, request):
        yield p


def interrupted() -> Cancelled:
    return stated(Cancelled, "ending.interrupted", "ending.hint.pictures")


@contextmanager
def turn(paints: bool = False) -> Iterator[None]:
    """Our turn in the WebUI's queue, shown as a job of its own. The lock is not re-entrant: never nest.

    Trainings park if there is no room beside them. `paints`: `process` comes next, which knows what it needs.
    """
    with queue_lock:
        if shared.sd_model is None:  # the first access waits for the load at start-up
            raise stated(NoCheckpoint, "base.not_loaded", "remedy.console")
        shared.state.begin(job=JOB)
        shared.state.job_count = 1
        shared.state.textinfo = JOB
        if not paints:
            sharing.before_work()
        try:
            yield
        finally:
            shared.state.end()
            shared.state.interrupted = shared.state.skipped = shared.state.stopping_generation = False
            shared.state.textinfo = None
            shared.total_tqdm.clear()


def _processing(request: PictureRequest, seed: int) -> Any:
    sampler, scheduler = sampler_and_scheduler(request.sampler)
    common = {
        "sd_model": shared.sd_model, "prompt": request.prompt, "negative_prompt": request.negative_prompt,
        "seed": seed, "sampler_name": sampler, "scheduler": scheduler, "steps": request.steps,
        "cfg_scale": request.guidance, "width": request.width_px, "height": request.height_px, "restore_faces": False,
        "do_not_save_grid": True, "do_not_save_samples": not request.keep,
        "extra_generation_params": dict(request.infotext),
        "override_settings": {CLIP_SKIP: request.clip_skip} if request.clip_skip else {},
    }
    p = _from_noise(common) if request.image is None else _from_image(common, request.image, request.strength)
    p.scripts, p.script_args = _runner(request), ()
    return p


def _pose(p: Any, request: PictureRequest) -> AbstractContextManager[None]:
    """The pose that is asked for, as long as the picture is made."""
    if request.pose is None:
        return nullcontext()
    return posing.posed(p, request.pose, checkpoints.selected().family, request.image is not None)


def _from_noise(common: dict[str, Any]) -> Any:
    folder = shared.opts.outdir_samples or shared.opts.outdir_txt2img_samples
    return processing.StableDiffusionProcessingTxt2Img(outpath_samples=folder, **common)


def _from_image(common: dict[str, Any], image: np.ndarray, strength: float) -> Any:
    """The picture is scaled until it covers the size, what is too much is cut off."""
    return processing.StableDiffusionProcessingImg2Img(
        outpath_samples=shared.opts.outdir_samples or shared.opts.outdir_img2img_samples,
        init_images=[Image.fromarray(image)], denoising_strength=strength, resize_mode=1, **common,
    )


def _runner(request: PictureRequest) -> Any:
    """No scripts, or the hooks of our own that put a person in."""
    from personal_avatar.webui.identity import script

    return no_scripts() if request.identity is None else script.runner(request.identity, strict=True)


def no_scripts() -> Any:
    """For pictures that nobody is put into; other extensions look into it, too."""
    from personal_avatar.webui.identity import networks

    networks.park()
    return scripts.ScriptRunner()


def sampler_and_scheduler(wanted: str) -> tuple[str, str]:
    """The WebUI's names for `DPM++ 2M`, `DPM++ 2M Karras` and so on. Raises `GenerationFailed` for an unknown one."""
    sampler, scheduler = sd_samplers.get_sampler_and_scheduler(wanted, "Automatic")
    if not wanted.startswith(sampler):
        raise stated(GenerationFailed, "failure.webui_sampler", "remedy.webui_sampler", wanted=repr(wanted))
    return sampler, scheduler


@dataclass
class _Follower:
    """A callback of the sampler: tells `on_step` of every step, and stops the sampling when it raises `Cancelled`.

    While it is added we hold the queue, so that it sees our pictures alone.
    """

    on_step: OnStep
    cancelled: Cancelled | None = field(default=None)

    def __call__(self, params: Any) -> None:
        try:
            self.on_step(params.sampling_step + 1, params.total_sampling_steps)
        except Cancelled as wish:
            self.cancelled = wish
            shared.state.interrupt()


def process(p: Any) -> Any:
    """`process_images` with named errors; only within `turn()`."""
    sharing.before_picture(p)
    try:
        sd_models.reload_model_weights()  # what is loaded may be what somebody's request asked for
        with borrowed.sampling():
            made = processing.process_images(p)
        sharing.after_picture(p)
        return made
    except AvatarError:
        raise
    except Exception as error:
        known = named(error)
        if isinstance(known, Crashed):
            raise stated(
            GenerationFailed, "failure.picture_failed", cause=described(error),
        ) from error
        raise known from error


def _picture(processed: Any, seed: int) -> Picture:
    if not processed.images:
        raise stated(GenerationFailed, "failure.no_picture_made")
    image = processed.images[processed.index_of_first_image]
    saved = getattr(image, "already_saved_as", None)
    if saved:
        mark_saved(Path(saved))
    pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return Picture(pixels, seed, processed.infotexts[processed.index_of_first_image], Path(saved) if saved else None)
