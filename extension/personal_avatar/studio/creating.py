"""What portraits are asked for, of whom and how, and what the host is asked for to make them."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import validator
from pydantic.errors import StrRegexError

from personal_avatar.domain import BaseModelFile, Style
from personal_avatar.host import PictureRequest
from personal_avatar.identities import IdentityRequest
from personal_avatar.identity.infotext import STYLE
from personal_avatar.params import Settings, setting
from personal_avatar.pictures import covering
from personal_avatar.prompts import split_networks
from personal_avatar.studio.oneshot import OneShot, posed
from personal_avatar.styles.filling import fill
from personal_avatar.styles.library import settings_of
from personal_avatar.styles.wildcards import Wildcards, has_wildcards
from personal_avatar.training.planning.presets import TINY_GUIDANCE, is_tiny

STEPS, GUIDANCE = 20, 5.0
SHAPES_FROM_PX = 512  # a checkpoint for smaller pictures knows squares alone
GRID_PX, LEAST_PX = 8, 64  # sides of latents are eighths; less than that goes through no network


class CreateSettings(Settings):
    """How portraits are made. 0 in sizes: of the checkpoint's own area, in the shape of the style; in steps and
    guidance: the style's own. `clothes`, `hair`: what to try on in place of what the style says. `loras`: more
    networks, such as "film-grain:0.6, ink", a name without a weight counts 1. `keep_good`: no more
    pictures are made when there are so many good ones, 0: all are made; `good_from`: the likeness from which one is
    good, 0: by how alike the person's own photos are, see `ranking.person`.
    """

    count: int = setting(8, "create.count", ge=1, le=200, step=1)
    lora_weight: float = setting(1.0, "create.lora_weight", ge=0.0, le=2.0, step=0.05)
    clothes: str = setting("", "create.clothes", max_length=200)
    hair: str = setting("", "create.hair", max_length=200)
    loras: str = setting(
        "", "create.loras", regex=r"^[^<>]*(?!\n)$", max_length=500, advanced=True, problem="problem.loras"
    )
    keep_good: int = setting(0, "create.keep_good", ge=0, le=200, step=1)
    good_from: float = setting(0.0, "create.good_from", ge=0.0, le=1.0, step=0.01, advanced=True)
    restore: bool = setting(True, "create.restore")
    restore_count: int = setting(4, "create.restore_count", ge=1, le=200, step=1, advanced=True)
    max_likeness_drop: float = setting(0.0, "identity.restore_drop", ge=0.0, le=0.2, step=0.01, advanced=True)
    steps: int = setting(0, "create.steps", ge=0, le=150, step=1, advanced=True)
    guidance: float = setting(0.0, "create.guidance", ge=0.0, le=30.0, step=0.5, advanced=True)
    width_px: int = setting(0, "create.width", ge=0, le=2048, step=64, advanced=True, unit="px")
    height_px: int = setting(0, "create.height", ge=0, le=2048, step=64, advanced=True, unit="px")
    sampler: str = setting("DPM++ 2M", "create.sampler", max_length=60, advanced=True)
    seed: int = setting(-1, "create.seed", ge=-1, le=2**32 - 1, step=1)

    @validator("loras", pre=True)
    def _named_plainly(cls, loras: Any) -> Any:  # noqa: N805
        """They may be written as in prompts, too."""
        return re.sub(r"<lora:([^<>,]+)>", r",\1,", loras) if isinstance(loras, str) else loras

    @validator("loras")
    def _with_numbers(cls, loras: str) -> str:  # noqa: N805
        if not all(tag.is_usable for tag in split_networks("".join(tags(loras)))[1]):
            raise StrRegexError(pattern="")
        return loras


@dataclass(frozen=True)
class CreateTask:
    """Payload of a job that makes portraits. `avatar_id`: empty when nobody was trained; `settings`: validated
    `CreateSettings` as a dict; `negative_prompt`: what was asked for, which the styles hold beside their own."""

    avatar_id: str
    styles: tuple[Style, ...]
    settings: dict[str, Any]
    one_shot: OneShot = OneShot()
    negative_prompt: str = ""


@dataclass(frozen=True, eq=False)
class Sitter:
    """Who is painted. `words`: what stands for the person in a prompt; `avatar_id`: empty when nobody was trained;
    `checkpoint`: one of the person's own; `image`: uint8 RGB, of which `strength` is painted anew; `pose`: uint8 RGB,
    whose pose the host follows; `clip_skip` as in `PictureRequest`."""

    words: str
    avatar_id: str = ""
    checkpoint: Path | None = None
    identity: IdentityRequest | None = None
    image: np.ndarray | None = None
    strength: float = 0.6
    pose: np.ndarray | None = None
    clip_skip: int = 0


@dataclass(frozen=True, eq=False)
class Painting:
    """Who is painted, with which checkpoint, and how."""

    sitter: Sitter
    base: BaseModelFile
    settings: CreateSettings

    def requests(self, style: Style, seeds: tuple[int, ...], wildcards: Wildcards) -> Iterator[PictureRequest]:
        """One for all seeds; one for each where the prompt holds wildcards."""
        request = self.request(style, seeds)
        if not has_wildcards(request.prompt + request.negative_prompt):
            yield request
            return
        for seed in seeds:
            texts = [wildcards.expanded(text, seed) for text in (request.prompt, request.negative_prompt)]
            yield replace(request, prompt=texts[0], negative_prompt=texts[1], seeds=(seed,))

    def request(self, style: Style, seeds: tuple[int, ...] = ()) -> PictureRequest:
        """Of a style; wildcards stay in its prompt."""
        settings, sitter = self.settings, self.sitter
        prompt, negative = self.prompts(style)
        width_px, height_px = picture_size(settings, self.base.native_px, sitter, style.shape)
        steps, guidance = self._painted_as(style)
        image = None if sitter.image is None else covering(sitter.image, width_px, height_px)
        return PictureRequest(
            prompt=prompt, negative_prompt=negative, seeds=seeds, width_px=width_px,
            height_px=height_px, steps=steps, guidance=guidance, sampler=settings.sampler,
            checkpoint=sitter.checkpoint,
            infotext=(*([("Personal Avatar", sitter.avatar_id)] if sitter.avatar_id else ()),
                      (STYLE, style.id)),
            identity=sitter.identity and posed(sitter.identity, image), image=image, strength=sitter.strength,
            pose=sitter.pose, clip_skip=sitter.clip_skip,
        )

    def prompts(self, style: Style) -> tuple[str, str]:
        """(prompt with the networks that are wanted besides, negative prompt)."""
        settings = self.settings
        prompt, negative = fill(style, self.sitter.words, {"clothes": settings.clothes, "hair": settings.hair})
        return " ".join([prompt, *tags(settings.loras)]), negative

    def _painted_as(self, style: Style) -> tuple[int, float]:
        """Steps and guidance: as the settings say, else as the style asks for. Where somebody is put in without
        training guidance stays moderate, as more of it burns colours."""
        asked = settings_of(style, self.base.family.value)
        guidance = asked.get("guidance", TINY_GUIDANCE if is_tiny(self.base) else GUIDANCE)
        if self.sitter.identity is not None:
            guidance = min(guidance, GUIDANCE)
        return self.settings.steps or int(asked.get("steps", STEPS)), self.settings.guidance or guidance


def tags(loras: str) -> list[str]:
    """"ink:0.6, film" -> `<lora:ink:0.6>`, `<lora:film:1>`."""
    named = [part.strip() for part in loras.split(",") if part.strip()]
    return [f"<lora:{part}>" if ":" in part else f"<lora:{part}:1>" for part in named]


def picture_size(
    settings: CreateSettings, native_px: int, sitter: Sitter, style_shape: float = 1.0
) -> tuple[int, int]:
    """Width and height as the settings say, in steps of a checkpoint's grid; else of the checkpoint's own area, in
    the shape of the picture that is painted anew, else of the style, where the checkpoint knows other shapes than
    squares; and where somebody is put in without training not the size at which that brings watermarks."""
    from personal_avatar.identity.unit import WATERMARKED_PX

    if settings.width_px or settings.height_px:
        asked = (settings.width_px or native_px, settings.height_px or native_px)
        width_px, height_px = (max(LEAST_PX, side // GRID_PX * GRID_PX) for side in asked)
        return width_px, height_px
    if sitter.image is None:
        ratio = style_shape if native_px >= SHAPES_FROM_PX else 1.0
    else:
        ratio = sitter.image.shape[1] / sitter.image.shape[0]
    step, shape = max(8, native_px // 16), ratio**0.5
    sides = [max(step, round(side / step) * step) for side in (native_px * shape, native_px / shape)]
    if sitter.identity is not None and tuple(sides) == WATERMARKED_PX:
        sides = [side - 8 for side in sides]
    return sides[0], sides[1]
