"""A LoRA is tried with the WebUI's own network code: every part must find its place, and it must change a picture.

The WebUI ignores parts that it does not know, and LoRAs of the wrong size, without a word; here this is an error.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from modules import processing, shared

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import SelfTestFailed
from personal_avatar.webui import checkpoints, generation

HINT = "The file is kept, but do not rely on it. Train again, and report this with the log if it comes back."
STEPS = 4
SEED = 1


def verify_lora(file: Path) -> bool:
    """Try a LoRA that lies in the WebUI's folder on the loaded checkpoint; False when it was trained on another one.

    Raises `SelfTestFailed` when a part of it finds no place or does not fit, or when it changes nothing.
    """
    import networks  # the WebUI's Lora extension; `published` has looked whether it is there

    with generation.turn():
        entry = networks.available_networks.get(file.stem)
        if entry is None or not file.samefile(entry.filename):
            raise SelfTestFailed(f"The WebUI takes another file for <lora:{file.stem}>.", "Rename one of the two.")
        base = checkpoints.describe(shared.sd_model.sd_checkpoint_info)
        if not trained_on(entry.metadata, base):
            return False
        _verify_places(file, networks.load_network(file.stem, entry))
        _verify_effect(file, base)
    return True


def trained_on(metadata: dict[str, Any], base: BaseModelFile) -> bool:
    """Whether a LoRA's metadata name this checkpoint, by its SHA-256 when both tell it, else by its file name."""
    wanted = str(metadata.get("ss_new_sd_model_hash", ""))
    if wanted and base.sha256:
        return wanted == base.sha256
    return metadata.get("ss_sd_model_name") == base.path.name


def _verify_places(file: Path, network: Any) -> None:
    wanted = parts_of(file)
    found = {module.network_key.partition(".")[0] for module in network.modules.values()}
    if wanted != found:
        missing = ", ".join(sorted(wanted - found)[:3])
        count = f"{len(found)} of {len(wanted)}"
        raise SelfTestFailed(f"The WebUI finds a place for {count} parts of {file.name}; not for {missing}.", HINT)


def parts_of(file: Path) -> set[str]:
    """Names of the modules that a LoRA file changes: what its tensors are called before the first dot."""
    return {name.partition(".")[0] for name in checkpoints.read_shapes(file)}


def _verify_effect(file: Path, base: BaseModelFile) -> None:
    size_px = max(64, base.native_px // 2 // 64 * 64)
    with _unrecorded():
        without, _ = _picture(f"portrait <lora:{file.stem}:0>", size_px)
        with_it, comments = _picture(f"portrait <lora:{file.stem}:1>", size_px)
    if without is None or with_it is None:  # the user pressed Interrupt
        return
    if "Networks with errors" in comments:
        raise SelfTestFailed(f"{file.name} does not fit the checkpoint: {comments.strip()}.", HINT)
    if np.array_equal(without, with_it):
        raise SelfTestFailed(f"{file.name} changes nothing: one seed gives the same picture with and without it.", HINT)


def _picture(prompt: str, size_px: int) -> tuple[np.ndarray | None, str]:
    """Pixels (uint8 RGB) of a quick picture that is saved nowhere, and the WebUI's remarks on it."""
    p = processing.StableDiffusionProcessingTxt2Img(
        sd_model=shared.sd_model, prompt=prompt, seed=SEED, sampler_name="Euler", scheduler="Automatic", steps=STEPS,
        cfg_scale=4.0, width=size_px, height=size_px, restore_faces=False,
        do_not_save_samples=True, do_not_save_grid=True,
    )
    with closing(p):
        processed = generation.process(p)
    if shared.state.interrupted or not processed.images:
        return None, ""
    return np.asarray(processed.images[processed.index_of_first_image].convert("RGB")), processed.comments


@contextmanager
def _unrecorded() -> Iterator[None]:
    """Keep the user's last prompt (params.txt) while the test pictures are made."""
    before = shared.cmd_opts.no_prompt_history
    shared.cmd_opts.no_prompt_history = True
    try:
        yield
    finally:
        shared.cmd_opts.no_prompt_history = before
