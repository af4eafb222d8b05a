"""Who shall be in a picture without training: the settings, declared once, and the people with their photos.

The settings are the first argument of the WebUI's script, the API's schema and the widgets; see `params`.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personal_avatar.params import Settings, setting

METHODS = ("auto", "instantid", "faceid")
KEYPOINTS = ("auto", "reference", "image", "none")
NEGATIVES = ("zero", "noise")
LAYOUTS = ("boxes", "left-to-right")


class RegionSettings(Settings):
    """Where a person is: a box in shares (0..1) of the picture's width and height."""

    left: float = setting(0.0, "identity.left", ge=0.0, le=1.0, step=0.01)
    top: float = setting(0.0, "identity.top", ge=0.0, le=1.0, step=0.01)
    right: float = setting(1.0, "identity.right", ge=0.0, le=1.0, step=0.01)
    bottom: float = setting(1.0, "identity.bottom", ge=0.0, le=1.0, step=0.01)


class PersonSettings(Settings):
    """One of several people. `references`, `mask`: pictures as base64 or data URLs; `avatar`: an id in place of them.

    `mask`: white where the person is; it wins over `region`.
    """

    references: tuple[str, ...] = setting((), "identity.references")
    avatar: str = setting("", "identity.avatar", max_length=80)
    weight: float = setting(1.0, "identity.person_weight", ge=0.0, le=2.0, step=0.05)
    region: RegionSettings | None = setting(None, "identity.region")
    mask: str | None = setting(None, "identity.mask")


class IdentityRestoreSettings(Settings):
    """Restoration of faces, refused where one becomes less like the person. `model`: empty for the best installed.

    Only faces below `below_px` (longer side) or `below_sharpness` (0 flat, about 1 crisp) are restored, all when both
    are 0. `fidelity`: the freest that is tried, 0..1; between it and 1 the likeness decides. `others`: also those who
    are not the person; they stay like themselves but for `self_drop`.
    """

    enabled: bool = setting(False, "identity.restore")
    model: str = setting("", "identity.restore_model", max_length=60)
    min_similarity_drop: float = setting(0.0, "identity.restore_drop", ge=0.0, le=0.2, step=0.01)
    below_px: int = setting(256, "identity.restore_below_px", ge=0, le=4096, step=8, advanced=True, unit="px")
    below_sharpness: float = setting(0.25, "identity.restore_below_sharpness", ge=0.0, le=2.0, step=0.05, advanced=True)
    fidelity: float = setting(0.0, "identity.restore_fidelity", ge=0.0, le=1.0, step=0.05, advanced=True)
    others: bool = setting(True, "identity.restore_others", advanced=True)
    self_drop: float = setting(0.05, "identity.restore_self_drop", ge=0.0, le=0.2, step=0.01, advanced=True)


class PictureRestoreSettings(IdentityRestoreSettings):
    """Restoration of pictures that exist. `second_pass`: the person's small faces are painted anew first."""

    second_pass: bool = setting(False, "identity.second_pass")
    second_pass_below_px: int = setting(120, "identity.second_pass_below", ge=32, le=1024, step=8, advanced=True)
    second_pass_strength: float = setting(
        0.4, "identity.second_pass_strength", ge=0.05, le=1.0, step=0.05, advanced=True
    )


class IdentitySettings(Settings):
    """One generation. Weights as in the papers: 0.8 is usual; `start` and `end` are shares of the sampling.

    `references` and `avatar` are the one person when `people` is empty.
    """

    enabled: bool = setting(True, "identity.enabled")
    method: str = setting("auto", "identity.method", choices=METHODS)
    adapter: str = setting("", "identity.adapter", max_length=200, advanced=True)
    references: tuple[str, ...] = setting((), "identity.references")
    avatar: str = setting("", "identity.avatar", max_length=80)
    adapter_weight: float = setting(0.8, "identity.adapter_weight", ge=0.0, le=2.0, step=0.05)
    identitynet_weight: float = setting(0.8, "identity.identitynet_weight", ge=0.0, le=2.0, step=0.05)
    start: float = setting(0.0, "identity.start", ge=0.0, le=1.0, step=0.05)
    end: float = setting(1.0, "identity.end", ge=0.0, le=1.0, step=0.05)
    identitynet_end: float = setting(1.0, "identity.identitynet_end", ge=0.0, le=1.0, step=0.05, advanced=True)
    down_weight: float = setting(1.0, "identity.down_weight", ge=0.0, le=2.0, step=0.05, advanced=True)
    mid_weight: float = setting(1.0, "identity.mid_weight", ge=0.0, le=2.0, step=0.05, advanced=True)
    up_weight: float = setting(1.0, "identity.up_weight", ge=0.0, le=2.0, step=0.05, advanced=True)
    lora_weight: float = setting(1.0, "identity.lora_weight", ge=0.0, le=2.0, step=0.05, advanced=True)
    structure_weight: float = setting(1.0, "identity.structure_weight", ge=0.0, le=3.0, step=0.05, advanced=True)
    keypoints: str = setting("auto", "identity.keypoints", choices=KEYPOINTS)
    keypoints_image: str | None = setting(None, "identity.keypoints_image")
    negative: str = setting("zero", "identity.negative", choices=NEGATIVES, advanced=True)
    noise_strength: float = setting(0.35, "identity.noise_strength", ge=0.0, le=1.0, step=0.05, advanced=True)
    noise_seed: int = setting(0, "identity.noise_seed", ge=0, le=2**32 - 1, step=1, advanced=True)
    second_pass: bool = setting(False, "identity.second_pass")
    second_pass_below_px: int = setting(200, "identity.second_pass_below", ge=32, le=1024, step=8, advanced=True)
    second_pass_strength: float = setting(
        0.4, "identity.second_pass_strength", ge=0.05, le=1.0, step=0.05, advanced=True
    )
    layout: str = setting("boxes", "identity.layout", choices=LAYOUTS)
    people: tuple[PersonSettings, ...] = setting((), "identity.people")
    restore: IdentityRestoreSettings = setting(IdentityRestoreSettings(), "identity.restore")


@dataclass(frozen=True, eq=False)
class Subject:
    """A person of the picture. `photos`: uint8 RGB (height, width, 3); `box`: left, top, right, bottom in shares of the
    picture; `mask`: uint8 (height, width), white where the person is; both None: everywhere."""

    photos: tuple[np.ndarray, ...]
    name: str = ""
    weight: float = 1.0
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class IdentityRequest:
    """`people` in the order of the settings; `keypoints_image`: a picture whose faces give pose and expression.

    Whoever caches does it by the content of the arrays.
    """

    settings: IdentitySettings
    people: tuple[Subject, ...]
    keypoints_image: np.ndarray | None = None
