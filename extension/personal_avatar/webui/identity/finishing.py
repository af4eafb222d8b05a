"""What is done to a finished picture with a person in it: small faces are painted anew, then faces are restored."""
from __future__ import annotations

from typing import Any

import numpy as np
from modules import shared
from PIL import Image

from personal_avatar.errors import RestorerMissing
from personal_avatar.identities import IdentitySettings
from personal_avatar.identity.infotext import PREFIX
from personal_avatar.identity.nouns import AdapterKind, Reference
from personal_avatar.ranking.likeness import FaceReader, Scorer
from personal_avatar.restoration.restore import RestoreSettings, restore_best
from personal_avatar.second_pass import FACES
from personal_avatar.webui import restorers
from personal_avatar.webui.identity import networks, notes, session
from personal_avatar.webui.identity.session import Session

RESTORED = PREFIX + "restored faces"


def finish(p: Any, pp: Any) -> None:
    """`pp.image` as the settings want it; what goes wrong is told and leaves it as it is."""
    begun = session.of(p)
    if begun is None or begun.kind is None or not begun.references or _stopped():
        return
    settings = begun.request.settings
    if not (settings.second_pass or settings.restore.enabled):
        return
    picture = np.asarray(pp.image.convert("RGB"))
    try:
        finished = _finished(p, begun, begun.kind, picture)
    except Exception as error:  # noqa: BLE001 - the picture is there, with the person in it
        notes.warn(p, [str(notes.known(error))])
        return
    if finished is not picture:
        pp.image = Image.fromarray(finished)


def _stopped() -> bool:
    return bool(shared.state.interrupted or shared.state.skipped)


def _finished(p: Any, begun: Session, kind: AdapterKind, picture: np.ndarray) -> np.ndarray:
    analyser = networks.unit().analyser(kind)
    settings = begun.request.settings
    if settings.second_pass:
        from personal_avatar.webui.identity import second_pass  # its inner pictures have these hooks in turn

        picture, count = second_pass.painted(p, begun, picture, analyser)
        notes.tell(p, [(FACES, str(count))])
    if settings.restore.enabled and not _stopped():
        picture, count = _restored(settings, begun.references, picture, analyser)
        notes.tell(p, [(RESTORED, str(count))])
    return picture


def _restored(
    settings: IdentitySettings, references: tuple[Reference, ...], picture: np.ndarray, analyser: FaceReader
) -> tuple[np.ndarray, int]:
    """The picture with everybody's face restored as far as the likeness allows it, and how many were.

    Raises `RestorerMissing`.
    """
    installed = restorers.available()
    model = settings.restore.model or next(iter(installed), "")
    if model not in installed:
        raise RestorerMissing(f"The face restorer {model} is not installed." if model else "There is no face restorer.")
    limits, count = RestoreSettings(max_drop=settings.restore.min_similarity_drop), 0
    for reference in references:
        made = restore_best(
            picture, Scorer(analyser, reference.embedding), lambda crop, w: restorers.restored(crop, model, w), limits
        )
        picture, count = made.image, count + made.accepted
    return picture, count
