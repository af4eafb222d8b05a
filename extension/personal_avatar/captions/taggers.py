"""Taggers by name, where their files lie, and how one is made ready. A new one is a file and a line here."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from personal_avatar import commandline
from personal_avatar.captions import blip, wd14
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.errors import NotFound, WeightsMissing
from personal_avatar.problems import stated
from personal_avatar.weights.nouns import Weight
from personal_avatar.weights.tagging import TAGGERS as WEIGHTS
from personal_avatar.wording import text

TEMPLATE = "template"
BLIP = "blip"
WD14 = ("wd14-vit", "wd14-swinv2", "wd14-eva02")
ANY_WD14 = "wd14"  # the first of them that is there

Describe = Callable[[np.ndarray], str]


def resolved(name: str, weights_folder: Path) -> str:
    """`name`, or for "wd14" the first of the three that is there, the smallest where none is."""
    if name != ANY_WD14:
        return name
    return next((tagger for tagger in WD14 if not lacking(tagger, weights_folder)), WD14[0])


def lacking(name: str, weights_folder: Path) -> tuple[Weight, ...]:
    """The files of a tagger of ours that are not there; the user's own in their places count."""
    if name == BLIP:
        try:
            blip.find(weights_folder)
        except WeightsMissing:
            return tuple(weight for weight in WEIGHTS[BLIP] if not (weights_folder / weight.file_name).is_file())
        return ()
    model, tags = WEIGHTS[name]
    has_tags = _tags_of(weights_folder / model.file_name, weights_folder / tags.file_name).is_file()
    missing = () if (weights_folder / model.file_name).is_file() else (model,)
    return missing if has_tags else (*missing, tags)


def refusal(name: str, weights: tuple[Weight, ...], weights_folder: Path) -> WeightsMissing:
    """What is missing of a tagger, how large, under which licence, and how to get it."""
    told = ", ".join(f"{weight.file_name} ({weight.size_text}, {weight.licence})" for weight in weights)
    by_hand = "; ".join(f"{weight.url} -> {weights_folder / weight.file_name}" for weight in weights)
    command = commandline.fetching(weights_folder, name)
    hint = text("error.WEIGHTS_MISSING.tagger", command=command, files=by_hand)
    return WeightsMissing(
        text("failure.tagger", tagger=name, files=told), hint, tuple(weight.name for weight in weights),
    )


def describer(name: str, weights_folder: Path, settings: CaptionSettings, device: str = "cpu") -> Describe:
    """What describes a uint8 RGB picture. Raises `WeightsMissing`, `WeightsCorrupt`, `NotFound`."""
    if name not in WEIGHTS:
        raise stated(
            NotFound, "failure.no_tagger", "remedy.there_are", wanted=repr(name), names=", ".join((TEMPLATE, *WEIGHTS)),
        )
    if missing := lacking(name, weights_folder):
        raise refusal(name, missing, weights_folder)
    if name == BLIP:
        return blip.Blip(blip.find(weights_folder), device).caption
    model, tags = (weights_folder / weight.file_name for weight in WEIGHTS[name])
    tagger = wd14.WdTagger(model, _tags_of(model, tags))
    thresholds = wd14.Thresholds(settings.tag_from, settings.character_from)
    return lambda image: tagger.caption(image, thresholds)


def _tags_of(model: Path, shared: Path) -> Path:
    """The table beside the model, as it is published; else the one that all share."""
    beside = model.with_name(wd14.TAGS_FILE)
    return beside if beside.is_file() else shared
