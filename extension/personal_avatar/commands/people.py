"""Whom a command means: an avatar's name or id, which may be the name of another one."""
from __future__ import annotations

from collections.abc import Sequence

from personal_avatar import commandline
from personal_avatar.avatars import AVATAR_FILE
from personal_avatar.domain import Avatar
from personal_avatar.errors import BadInput, NotFound
from personal_avatar.names import same_name
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.terminal import Terminal
from personal_avatar.wording import text

BY_ID = "id:"  # before an id: this one, whoever has that name
NAMED = 20


def avatar_named(studio: Studio, word: str, own_first: bool = True) -> Avatar:
    """The only avatar with this id or name; `own_first`: of several of this name that of whoever runs the command,
    where there is one. Raises `NotFound`, and `BadInput` where somebody else may be meant."""
    everybody = studio.avatars.all()
    found = [one for one in everybody if f"{BY_ID}{one.id}" == word] or _meant(everybody, word, own_first)
    if not found:
        raise NotFound(f"There is no avatar {word!r}.", _those_there(studio))
    if len(found) > 1:
        each = ", ".join(f"{word_for(studio, one.id)} ({one.name}, of {one.user_id})" for one in found)
        raise BadInput(f"{len(found)} avatars are called {word!r}.", f"Name one by its id: {each}.")
    return found[0]


def erasable(studio: Studio, word: str) -> tuple[str, str]:
    """(id, who that is) of the only avatar with this id or name, or of one whose file is damaged, by its id. Raises as
    `avatar_named`, and `NotReadable`."""
    damaged = word.removeprefix(BY_ID)
    if not studio.avatars.is_damaged(damaged):
        avatar = avatar_named(studio, word, own_first=False)
        return avatar.id, f"{avatar.name} ({avatar.id}, of {avatar.user_id})"
    if word == damaged and any(same_name(one.name, word) for one in studio.avatars.all()):
        hint = f"Name it by its id: {BY_ID}{damaged}, or the other one by its id: {command(studio, 'list')}"
        raise BadInput(f"There is an avatar {word!r} and a damaged one with that id.", hint)
    return damaged, f"{damaged} (its {AVATAR_FILE} cannot be read)"


def _meant(everybody: Sequence[Avatar], word: str, own_first: bool) -> list[Avatar]:
    """Who has this id, and who has this name."""
    called = [one for one in everybody if same_name(one.name, word)]
    own = [one for one in called if own_first and one.user_id == TrainRequest.user_id]
    return [one for one in everybody if one.id == word or one in (own or called)]


def word_for(studio: Studio, avatar_id: str) -> str:
    """What names this avatar and nobody else."""
    is_a_name = any(same_name(one.name, avatar_id) for one in studio.avatars.all() if one.id != avatar_id)
    return f"{BY_ID}{avatar_id}" if is_a_name else avatar_id


def tell_nearly(studio: Studio, name: str, terminal: Terminal) -> None:
    """Before an avatar is made: that somebody of nearly this name stays as they are."""
    if other := studio.avatars.nearly(name, TrainRequest.user_id):
        terminal.complain(text("train.nearly", other=other, name=name.strip()))


def command(studio: Studio, *words: str) -> str:
    """`personal-avatar avatars` with these words."""
    return commandline.of("avatars", *words, data=studio.host.folders().data)


def _those_there(studio: Studio) -> str:
    names = studio.avatars.choices()
    if not names:
        return "There are no avatars yet."
    more = f" and {len(names) - NAMED} more: {command(studio, 'list')}" if len(names) > NAMED else "."
    return f"There are: {', '.join(names[:NAMED])}{more}"
