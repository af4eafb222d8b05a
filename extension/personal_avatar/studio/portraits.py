"""A person and styles become ranked portraits: generate, score, order, restore the best."""
from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.domain import Portrait, Style, to_json
from personal_avatar.errors import AvatarError
from personal_avatar.host import Host, Picture, PictureRequest
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log, Progress, SampleMade, Stage
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.networks import mismatches
from personal_avatar.pictures import save_picture
from personal_avatar.prompts import refuse_unusable, split_networks
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.overall import ordered
from personal_avatar.storage import write_json
from personal_avatar.studio.best_of import BestOf
from personal_avatar.studio.creating import Painting
from personal_avatar.studio.oneshot import remarks
from personal_avatar.studio.retouching import Retouching
from personal_avatar.styles.wildcards import Wildcards, has_wildcards

BATCH = 4
LOADED_BATCH = 8  # where the host loads another checkpoint for each batch


@dataclass(frozen=True, eq=False)
class Session(Painting):
    """What the stages share: who is painted and how, by whom, judged by whom, where to. `retouch`: restores the
    best."""

    host: Host
    scorer: Scorer
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
    for sentence in remarks(session.host.folders(), session.request(styles[0]), session.base):
        session.emit(Log(sentence))
    for sentence in session.scorer.opinions.remarks:
        session.emit(Log(sentence))
    told: set[str] = set()
    together = BATCH if session.sitter.checkpoint is None else LOADED_BATCH
    wildcards = Wildcards(session.host.folders().wildcards)
    for style, seeds in _share(styles, first_seed, settings.count, together, quota):
        for request in session.requests(style, seeds, wildcards):
            _warn(request, session, told)
            for picture in session.host.generate(request, lambda step, total: session.control.check()):
                yield _keep(picture, request, style, done, session)
                done += 1
                session.emit(Progress(done, settings.count, seconds_per_step=(time.monotonic() - began) / done))
            session.control.check()


def _refuse_unusable(styles: tuple[Style, ...], session: Session) -> None:
    """Before anything is painted; what wildcards hold is known later. Raises `InvalidSettings`."""
    prompts = [session.prompts(style)[0] for style in styles]
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
