"""A person and styles become ranked portraits: generate, score, order, restore the best."""
from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import validator
from pydantic.errors import StrRegexError

from personal_avatar.domain import BaseModelFile, Portrait, Style, to_json
from personal_avatar.errors import AvatarError
from personal_avatar.host import Host, Picture, PictureRequest
from personal_avatar.identities import IdentityRequest
from personal_avatar.identity.infotext import STYLE
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Stage
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.networks import mismatches
from personal_avatar.params import Settings, setting
from personal_avatar.pictures import covering, save_picture
from personal_avatar.prompts import refuse_unusable, split_networks
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.overall import ordered
from personal_avatar.storage import write_json
from personal_avatar.studio.best_of import BestOf
from personal_avatar.studio.oneshot import OneShot, posed, remarks
from personal_avatar.studio.retouching import Retouching
from personal_avatar.styles.filling import fill
from personal_avatar.styles.library import settings_of
from personal_avatar.styles.wildcards import Wildcards, has_wildcards
from personal_avatar.training.presets import TINY_GUIDANCE, is_tiny

BATCH = 4
STEPS, GUIDANCE = 20, 5.0
SHAPES_FROM_PX = 512  # a checkpoint for smaller pictures knows squares alone
GRID_PX, LEAST_PX = 8, 64  # sides of latents are eighths; less than that goes through no network
LOADED_BATCH = 8  # where the host loads another checkpoint for each batch


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
    max_likeness_drop: float = setting(0.0, "create.max_drop", ge=0.0, le=0.2, step=0.01, advanced=True)
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


@dataclass(frozen=True)
class Session:
    """What the stages share: who, with what, judged by whom, where to. `retouch`: restores the best."""

    sitter: Sitter
    base: BaseModelFile
    host: Host
    scorer: Scorer
    settings: CreateSettings
    folder: Path
    emit: EventWriter
    control: Control
    retouch: Retouching


def make_portraits(styles: tuple[Style, ...], session: Session) -> dict[str, Any]:
    """Generate, rank and restore; returns the result document with `images` best first."""
    started = time.monotonic()
    quota = _quota(styles, session)
    made: list[tuple[Portrait, np.ndarray | None]] = []
    try:
        session.emit(Stage("generate"))
        for pair in _generate(styles, session, quota):
            made.append(pair)
            quota.note(pair[0])
        if quota.is_on:
            session.emit(Log(quota.sentence(session.settings.count)))
        session.emit(Stage("rank"))
        portraits = _ordered(made, session)
        if session.settings.restore:
            best, rest = portraits[: session.settings.restore_count], portraits[session.settings.restore_count :]
            portraits = session.retouch(best, session.folder / ARTIFACTS_FOLDER, session.emit, session.control) + rest
    except AvatarError as error:  # a wish to end it, too
        error.result = _document(_ordered(made, session), session, quota, started) if made else None
        raise
    return _document(portraits, session, quota, started)


def _quota(styles: tuple[Style, ...], session: Session) -> BestOf:
    settings = session.settings
    good_from = (settings.good_from or session.scorer.good_from) if settings.keep_good else 0.0
    return BestOf(settings.keep_good, good_from, [style.id for style in styles])


def _ordered(made: list[tuple[Portrait, np.ndarray | None]], session: Session) -> list[Portrait]:
    """Best first, by `overall`; see ranking.overall."""
    return ordered([portrait for portrait, _ in made], [look for _, look in made], session.scorer.scale)


def _document(ranked: list[Portrait], session: Session, quota: BestOf, started: float) -> dict[str, Any]:
    best_of = quota.document(session.settings.count)
    result = {
        "model_id": session.sitter.avatar_id,
        "images": [to_json(portrait) for portrait in ranked],
        "checkpoint": session.base.title,
        "seconds": round(time.monotonic() - started, 1),
        **({"best_of": best_of} if best_of else {}),
    }
    write_json(session.folder / ARTIFACTS_FOLDER / "portraits.json", result)
    return result


def _generate(
    styles: tuple[Style, ...], session: Session, quota: BestOf
) -> Iterator[tuple[Portrait, np.ndarray | None]]:
    """Pictures in turn for each style, scored as they come, and what they look like; until the quota is met."""
    settings, done, began = session.settings, 0, time.monotonic()
    _refuse_unusable(styles, session)
    first_seed = settings.seed if settings.seed >= 0 else random.SystemRandom().randrange(2**31)
    session.emit(Progress(0, settings.count))
    for sentence in remarks(session.host.folders(), _request(styles[0], (), session), session.base):
        session.emit(Log(sentence))
    for sentence in session.scorer.opinions.remarks:
        session.emit(Log(sentence))
    told: set[str] = set()
    together = BATCH if session.sitter.checkpoint is None else LOADED_BATCH
    wildcards = Wildcards(session.host.folders().wildcards)
    for style, seeds in _share(styles, first_seed, settings.count, together, quota):
        for request in _requests(style, seeds, session, wildcards):
            _warn(request, session, told)
            for picture in session.host.generate(request, lambda step, total: session.control.check()):
                yield _keep(picture, request, style, done, session)
                done += 1
                session.emit(Progress(done, settings.count, seconds_per_step=(time.monotonic() - began) / done))
            session.control.check()


def _refuse_unusable(styles: tuple[Style, ...], session: Session) -> None:
    """Before anything is painted; what wildcards hold is known later. Raises `InvalidSettings`."""
    prompts = [_prompts(style, session)[0] for style in styles]
    refuse_unusable(tag for prompt in prompts if not has_wildcards(prompt) for tag in split_networks(prompt)[1])


def _warn(request: PictureRequest, session: Session, told: set[str]) -> None:
    """Tell once of each network and embedding that does not fit the loaded checkpoint, cannot be read, or is not there.
    Raises `InvalidSettings` for a network whose weight is no number."""
    refuse_unusable(split_networks(request.prompt)[1])
    folders = session.host.folders()
    for sentence in mismatches(request.prompt, session.base, folders, request.negative_prompt):
        if sentence not in told:
            told.add(sentence)
            session.emit(Log(sentence))


def _share(
    styles: tuple[Style, ...], first_seed: int, count: int, together: int, quota: BestOf
) -> Iterator[tuple[Style, tuple[int, ...]]]:
    """Split `count` pictures evenly among the styles, in batches of `together`: a host that has to load another
    checkpoint for a batch does so once a style. Picture i has seed `first_seed` + i. A style that has its good ones is
    done; asked anew after each batch."""
    for index, style in enumerate(styles):
        start, end = index * count // len(styles), (index + 1) * count // len(styles)
        while batch := quota.missing(style.id, min(together, end - start)):
            yield style, tuple((first_seed + i) % 2**32 for i in range(start, start + batch))
            start += batch


def _requests(
    style: Style, seeds: tuple[int, ...], session: Session, wildcards: Wildcards
) -> Iterator[PictureRequest]:
    """One for all seeds; one for each where the prompt holds wildcards."""
    request = _request(style, seeds, session)
    if not has_wildcards(request.prompt + request.negative_prompt):
        yield request
        return
    for seed in seeds:
        texts = [wildcards.expanded(text, seed) for text in (request.prompt, request.negative_prompt)]
        yield replace(request, prompt=texts[0], negative_prompt=texts[1], seeds=(seed,))


def _request(style: Style, seeds: tuple[int, ...], session: Session) -> PictureRequest:
    settings, sitter = session.settings, session.sitter
    prompt, negative = _prompts(style, session)
    width_px, height_px = picture_size(settings, session.base.native_px, sitter, style.shape)
    steps, guidance = _painted_as(style, session)
    image = None if sitter.image is None else covering(sitter.image, width_px, height_px)
    return PictureRequest(
        prompt=prompt, negative_prompt=negative, seeds=seeds, width_px=width_px,
        height_px=height_px, steps=steps, guidance=guidance, sampler=settings.sampler, checkpoint=sitter.checkpoint,
        infotext=(*([("Personal Avatar", sitter.avatar_id)] if sitter.avatar_id else ()),
                  (STYLE, style.id)),
        identity=sitter.identity and posed(sitter.identity, image), image=image, strength=sitter.strength,
        pose=sitter.pose, clip_skip=sitter.clip_skip,
    )


def _prompts(style: Style, session: Session) -> tuple[str, str]:
    """(prompt with the networks that are wanted besides, negative prompt)."""
    settings = session.settings
    prompt, negative = fill(style, session.sitter.words, {"clothes": settings.clothes, "hair": settings.hair})
    return " ".join([prompt, *tags(settings.loras)]), negative


def _painted_as(style: Style, session: Session) -> tuple[int, float]:
    """Steps and guidance: as the settings say, else as the style asks for. Where somebody is put in without training
    guidance stays moderate, as more of it burns colours."""
    asked = settings_of(style, session.base.family.value)
    guidance = asked.get("guidance", TINY_GUIDANCE if is_tiny(session.base) else GUIDANCE)
    if session.sitter.identity is not None:
        guidance = min(guidance, GUIDANCE)
    return session.settings.steps or int(asked.get("steps", STEPS)), session.settings.guidance or guidance


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


def _keep(
    picture: Picture, request: PictureRequest, style: Style, number: int, session: Session
) -> tuple[Portrait, np.ndarray | None]:
    """Save a picture when the host did not, score it, tell about it; with what it looks like."""
    path = picture.path or save_picture(
        picture.image, session.folder / ARTIFACTS_FOLDER / f"{number:04d}-{_file_word(style.id)}.png", picture.infotext
    )
    scored = session.scorer.score(picture.image, request.prompt)
    session.emit(SampleMade(str(path), number, request.prompt, scored.likeness))
    portrait = Portrait(path, picture.seed, request.prompt, style.id, scored.likeness, scored.scores, scored.faces)
    return portrait, scored.look


def _file_word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", text)[:40] or "picture"
