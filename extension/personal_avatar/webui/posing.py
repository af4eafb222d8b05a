"""The pose of a picture in a picture of ours, through sd-webui-controlnet where the user has it.

Its own script is called with one unit, as its API does; it belongs to the tab, so it is lent and given back as it was.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from modules import scripts, shared

from personal_avatar.domain import Family
from personal_avatar.errors import GenerationFailed, InvalidSettings
from personal_avatar.problems import stated
from personal_avatar.webui.identity import notes
from personal_avatar.webui.identity.foreign import TITLE
from personal_avatar.wording import FAMILIES, text

POSE = "openpose"
READERS = ("dw_openpose_full", "openpose_full", "openpose")
MARKS = {Family.SDXL: ("xl",), Family.SD2: ("sd21", "sd2", "v2")}


def problem(family: Family) -> str:
    """Why no pose can be followed with checkpoints of a family; "" when it can."""
    if _script(is_img2img=False) is None:
        return text("failure.poseless")
    if not model_for(_listed("get_models"), family):
        return text("failure.pose_model", wanted=POSE, family=FAMILIES[family])
    return ""


@contextmanager
def posed(p: Any, pose: np.ndarray, family: Family, is_img2img: bool) -> Iterator[None]:
    """`p` follows the pose in uint8 RGB `pose`. Raises `InvalidSettings` when it cannot be done."""
    script = _script(is_img2img)
    if script is None or (why := problem(family)):
        raise InvalidSettings(why if script else text("failure.no_controlnet"), text("remedy.controlnet"))
    added = [script, Witness(script)]
    p.scripts.alwayson_scripts += added
    p.scripts.scripts += added
    p.script_args = _arguments(script, unit(pose, family))
    try:
        yield
    finally:
        if getattr(script, "latest_network", None) is not None:  # its own way back is not taken after an exception
            script.latest_network.restore()
            script.latest_network = None


class Witness(scripts.Script):
    """Sees to it that no picture is made without the pose: the WebUI swallows what ControlNet raises."""

    def __init__(self, script: Any) -> None:
        self._script = script
        self.filename = __file__
        self.args_from = self.args_to = 0

    def title(self) -> str:
        return "Personal Avatar pose"

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        if getattr(self._script, "latest_network", None) is None:
            setattr(p, notes.PROBLEM, stated(GenerationFailed, "failure.lost_pose", "remedy.lost_pose"))
            shared.state.interrupt()


def unit(pose: np.ndarray, family: Family) -> dict[str, Any]:
    """What ControlNet's API takes. It finds the people in the picture by itself, with weights that it fetches."""
    readers = _listed("get_modules")
    return {
        "enabled": True, "module": next(name for name in READERS if name in readers), "image": pose,
        "model": model_for(_listed("get_models"), family), "pixel_perfect": True, "weight": 1.0,
    }


def model_for(models: Sequence[str], family: Family) -> str:
    """The first model for poses whose name fits a family; "" without one."""
    others = [mark for one, marks in MARKS.items() if one is not family for mark in marks]
    for name in models:
        words = name.lower()
        mine = any(mark in words for mark in MARKS.get(family, ()))
        if POSE in words and (mine or (family is Family.SD1 and not any(mark in words for mark in others))):
            return name
    return ""


def _arguments(script: Any, wanted: dict[str, Any]) -> tuple[Any, ...]:
    """Our unit at the place where the script looks for its own, the others off."""
    count = max(1, script.args_to - script.args_from)
    return (*[None] * script.args_from, wanted, *[{"enabled": False}] * (count - 1))


def _script(is_img2img: bool) -> Any:
    """The tab's own object; None without the extension."""
    runner = scripts.scripts_img2img if is_img2img else scripts.scripts_txt2img
    return next((one for one in runner.alwayson_scripts if one.title().lower() == TITLE), None)


def _listed(function: str) -> list[str]:
    """What ControlNet's module for other extensions tells."""
    found = sys.modules.get("internal_controlnet.external_code")
    return [str(name) for name in getattr(found, function)() if name and name != "None"] if found else []
