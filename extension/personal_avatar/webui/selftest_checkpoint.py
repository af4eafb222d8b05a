"""A trained checkpoint is tried: the WebUI must load it with every weight, and it must not paint as its base does.

The WebUI leaves weights that it does not find in a file as they are, without a word; here this is an error.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from modules import sd_models, shared

from personal_avatar.errors import BaseUnsupported, SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.families.detect import UNET
from personal_avatar.training.families.files import read_shapes
from personal_avatar.webui import borrowed, generation, trial
from personal_avatar.webui.checkpoints import enlist
from personal_avatar.wording import text

PROMPT = "portrait"


def verify(file: Path) -> None:
    """Put a checkpoint on the WebUI's list and load it for a picture.

    Raises `SelfTestFailed` when it cannot be loaded whole or, its base being the chosen one, paints as that does.
    """
    with generation.turn():
        enlist(file)
        base = trial.base()
        comparable = trial.trained_on(trial.metadata_of(file), base)
        without = trial.picture(PROMPT, base)
        try:
            with borrowed.checkpoint(file):
                _verify_whole(file, base.path if comparable else None)
                with trial.blamed(file):
                    with_it = trial.picture(PROMPT, base)
        except BaseUnsupported as error:
            raise SelfTestFailed(error.message, text(trial.HINT)) from error
        if comparable:
            trial.demand_difference(file, without, with_it)


def _verify_whole(file: Path, base: Path | None) -> None:
    """The loaded model has a place for every weight of the file's UNet, and what `base` gives it the file gives too."""
    given, asked = _names(file), _names(base) if base is not None else frozenset()
    model: Any = shared.sd_model
    places = {name.replace(".wrapped.", ".") for name, _ in model.named_parameters()}
    astray = {name for name in given if name.startswith(UNET)} - places
    lacking = (places & asked) - given
    if astray or lacking:
        named = ", ".join(sorted(astray | lacking)[:3])
        found = len(given & places)
        raise stated(
            SelfTestFailed, "failure.no_weights", trial.HINT, found=found, of=found + len(astray | lacking),
            file=file.name, lost=named,
        )


def _names(file: Path) -> frozenset[str]:
    """Tensors of a checkpoint by the WebUI's present names; old files name those of the text encoder differently."""
    old = sd_models.checkpoint_dict_replacements_sd1
    return frozenset(sd_models.transform_checkpoint_dict_key(name, old) for name in read_shapes(file))
