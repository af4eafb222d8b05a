"""What is done to a finished picture: small faces are painted anew, then faces are restored, each by itself.

With a person put in without training it is that person whom the faces shall look like; without one, the avatars that
the prompt names; everybody else, and all without anybody, stay like themselves.
"""
from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from modules import scripts
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.errors import NoFace, WrongState
from personal_avatar.identities import IdentitySettings, PictureRestoreSettings
from personal_avatar.identity import infotext
from personal_avatar.restoration.everybody import restore_everybody
from personal_avatar.restoration.judge import Judge, Person, person_in
from personal_avatar.studio.restored import REPAINTED, RESTORED, SAID, told
from personal_avatar.studio.second_pass import inside, repainted
from personal_avatar.webui import borrowed, register, restorers
from personal_avatar.webui.identity import networks, notes, session
from personal_avatar.webui.identity.session import Session

WISH = "personal_avatar_restoration"  # attributes of the generation: settings, and whom its faces shall look like
PEOPLE = "personal_avatar_people"


def wish(p: Any, settings: IdentitySettings | None) -> None:
    """A generation begins in which nobody is put in, but faces are restored; None: it is another one."""
    setattr(p, WISH, settings)
    setattr(p, PEOPLE, None)


def is_all(settings: IdentitySettings) -> bool:
    """Whether restoration is wanted and nobody was given who could be put in."""
    return settings.restore.enabled and not (settings.references or settings.avatar or settings.people)


def finish(p: Any, pp: Any) -> None:
    """`pp.image` as the settings want it; what goes wrong is told and leaves it as it is."""
    begun = session.of(p)
    settings = begun.request.settings if begun is not None else getattr(p, WISH, None)
    if settings is None or not (settings.second_pass or settings.restore.enabled):
        return
    notes.next_picture(p, SAID)
    if borrowed.stopped():
        return
    if begun is not None and (begun.kind is None or not begun.references):
        return
    picture = np.asarray(pp.image.convert("RGB"))
    try:
        finished = _finished(p, begun, settings, picture)
    except Exception as error:  # noqa: BLE001 - the picture is there, as it was generated
        notes.warn_of_this(p, str(notes.known(error)))
        return
    if finished is not picture:
        pp.image = Image.fromarray(finished)


def _finished(p: Any, begun: Session | None, settings: IdentitySettings, picture: np.ndarray) -> np.ndarray:
    from personal_avatar.webui.identity import second_pass  # its inner pictures have these hooks in turn

    if begun is None:
        notes.tell(p, (*infotext.restore_pairs(settings), *infotext.second_pass_pairs(settings)))
    elif settings.second_pass and begun.kind is not None:
        picture, count = second_pass.painted(p, begun, picture, networks.unit().analyser(begun.kind))
        notes.tell(p, [(REPAINTED, str(count))])
    if not settings.restore.enabled or borrowed.stopped():
        return picture
    judge = register.studio().restoring.judge()
    people = _people(p, begun, judge)
    if begun is None and settings.second_pass:
        picture = _painted_anew(p, settings, people, judge, picture)
    return _restored(p, settings, people, judge, picture)


def _people(p: Any, begun: Session | None, judge: Judge) -> list[Person]:
    """Looked up once for all pictures of a generation."""
    known = getattr(p, PEOPLE, None)
    if known is not None and known[0] is begun:
        return list(known[1])
    found = [] if begun is None else _given(begun, judge)
    restoring, names = register.studio().restoring, {person.name for person in found}
    avatars = restoring.named_in("\n".join(p.all_prompts or [str(p.prompt)]))
    for avatar in avatars:
        with suppress(WrongState):  # without a face to compare with it is a stranger
            found += [restoring.person(avatar, judge)] if avatar.name not in names else []
    setattr(p, PEOPLE, (begun, tuple(found)))
    return found


def _given(begun: Session, judge: Judge) -> list[Person]:
    """People that are put in; those whom our recognisers do not find in their photos are strangers to them."""
    found = []
    for subject in begun.request.people:
        try:
            found.append(person_in(subject.photos, judge.readers, subject.name))
        except NoFace:
            continue
    return found


def _painted_anew(
    p: Any, settings: IdentitySettings, people: list[Person], judge: Judge, picture: np.ndarray
) -> np.ndarray:
    """Small faces of trained people, by an inner picture of the same prompt."""
    from personal_avatar.webui.identity import second_pass

    if not people:
        return picture
    small = PictureRestoreSettings(**{name: getattr(settings, name) for name in infotext.SECOND_PASS})

    def painter(prompt: str, crop: np.ndarray, strength: float) -> np.ndarray:
        return second_pass.again(p, scripts.ScriptRunner(), crop, strength)

    made = repainted(picture, people, judge, small, painter, "", is_ours=partial(_is_ours, _painted_part(p, picture)))
    notes.tell(p, [(REPAINTED, str(made.count))])
    return made.image


def _restored(
    p: Any, settings: IdentitySettings, people: list[Person], judge: Judge, picture: np.ndarray
) -> np.ndarray:
    """Raises `RestorerMissing`."""
    model = restorers.chosen(settings.restore.model)

    def restorer(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        return restorers.restored(crop, model, fidelity, face)

    ours = partial(_is_ours, _painted_part(p, picture))
    found = restore_everybody(picture, people, judge, restorer, settings.restore, ours)
    notes.tell(p, [(RESTORED, "0"), *told(found, model)])
    return found.image


def _painted_part(p: Any, picture: np.ndarray) -> np.ndarray | None:
    from personal_avatar.webui.identity import second_pass

    return second_pass.painted_part(p, picture.shape[1], picture.shape[0])


def _is_ours(painted: np.ndarray | None, face: Face) -> bool:
    """Faces that the user gave stay as they are, and all do once the user stops the work."""
    return not borrowed.stopped() and inside(face, painted)
