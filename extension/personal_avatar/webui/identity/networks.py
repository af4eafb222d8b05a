"""The one set of identity networks of this process, and the photos of avatars."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.studio.oneshot import unit_of
from personal_avatar.webui import register

if TYPE_CHECKING:
    from personal_avatar.identity.unit import IdentityUnit


@lru_cache(maxsize=1)
def unit() -> IdentityUnit:
    """Made at the first generation with a person; only within the WebUI's queue. Raises when a package is missing."""
    return unit_of(register.studio().host.folders())


def park() -> None:
    """Clear the graphics card of our networks, if there are any."""
    if unit.cache_info().currsize:
        unit().park()


def forget() -> None:
    """Keep nothing that was read from photos."""
    if unit.cache_info().currsize:
        unit().forget()


def photos_of(avatar: str) -> Sequence[Path]:
    """The photos that an avatar, given by id or name, was trained from. Raises `NotFound`."""
    store = register.studio().avatars
    return store.photos(store.find(avatar).id)
