"""One photo, no training: what is asked for, whether it can work here and now, and what is there and what is missing.

Between the doors' words (files, dicts) and the nouns of `identities`; knows the host by its protocol alone.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import AvatarError, BaseUnsupported, InvalidSettings
from personal_avatar.host import Folders, Host
from personal_avatar.identities import IdentitySettings
from personal_avatar.params import validated

if TYPE_CHECKING:
    from personal_avatar.identity.shelf import AdapterFile, Shelf

METHODS_OF = {Family.SD1: ("faceid",), Family.SDXL: ("instantid", "faceid")}
# Settings that are said by other means here: pictures are files of a job, restoration is a stage of it.
ELSEWHERE = frozenset({"enabled", "references", "avatar", "keypoints_image", "people", "layout", "restore"})
MAX_REFERENCES = 20


@dataclass(frozen=True)
class FoundAdapter:
    """A file of the shelf. `method`: "instantid" or "faceid"; `kind`: see identity.nouns.AdapterKind."""

    file: str
    method: str
    kind: str
    family: str
    size_mb: float


@dataclass(frozen=True)
class MissingPart:
    """What `method` lacks with the loaded checkpoint: `message` names the file, `hint` says where to get it."""

    method: str
    message: str
    hint: str


@dataclass(frozen=True)
class IdentityStatus:
    """What can be done without training now. `checkpoint`, `family`: what is loaded, empty when nothing is; `methods`:
    those that work with it, the one that `auto` takes first; `problem`: why none can, whatever is downloaded."""

    checkpoint: str
    family: str
    methods: tuple[str, ...]
    adapters: tuple[FoundAdapter, ...]
    missing: tuple[MissingPart, ...]
    problem: str = ""

    @property
    def ready(self) -> bool:
        return bool(self.methods)


def settings_of(values: dict[str, Any]) -> IdentitySettings:
    """Settings without pictures; raises `InvalidSettings`, also for those that are said by other means here."""
    foreign = sorted(ELSEWHERE & set(values))
    if foreign:
        raise InvalidSettings(f"{', '.join(foreign)} cannot be set here.", "Give the photos as references.")
    return validated(IdentitySettings, values)


def shelf_of(folders: Folders) -> Shelf:
    """All places where weights may lie."""
    from personal_avatar.identity.shelf import Shelf

    return Shelf(folders.identity_folders)


def refuse_unusable(shelf: Shelf, settings: IdentitySettings, base: BaseModelFile) -> None:
    """Raises `BaseUnsupported`, or `WeightsMissing` with what to download, before any work is done."""
    from personal_avatar.identity.nouns import AdapterKind

    if base.family not in METHODS_OF:
        raise _unsupported(base)
    kind = shelf.choose(settings, base.family).kind
    if kind is AdapterKind.INSTANTID:
        shelf.identitynet()
    if kind.needs_clip:
        shelf.clip_vision()
    shelf.face_pack("antelopev2" if kind is AdapterKind.INSTANTID else "buffalo_l")


def status(host: Host) -> IdentityStatus:
    """What is there and what is missing, with the checkpoint that is loaded."""
    shelf = shelf_of(host.folders())
    adapters = tuple(_found(file) for family in METHODS_OF for file in shelf.adapters(family))
    try:
        base = host.checkpoint()
    except AvatarError as error:
        return IdentityStatus("", "", (), adapters, (), str(error))
    if base.family not in METHODS_OF:
        problem = str(_unsupported(base))
        return IdentityStatus(base.title, base.family.value, (), adapters, (), problem)
    missing = {method: _missing(shelf, method, base) for method in METHODS_OF[base.family]}
    return IdentityStatus(
        base.title, base.family.value, tuple(method for method, part in missing.items() if part is None), adapters,
        tuple(part for part in missing.values() if part is not None),
    )


def _missing(shelf: Shelf, method: str, base: BaseModelFile) -> MissingPart | None:
    try:
        refuse_unusable(shelf, IdentitySettings(method=method), base)
    except AvatarError as error:
        return MissingPart(method, error.message, error.hint)
    return None


def _unsupported(base: BaseModelFile) -> BaseUnsupported:
    return BaseUnsupported(
        f"{base.title} is of the family {base.family.value}, for which there is no network that knows faces.",
        "Load a Stable Diffusion 1.5 or XL checkpoint, or train an avatar for this one.",
    )


def _found(file: AdapterFile) -> FoundAdapter:
    method = "instantid" if file.kind.value == "instantid" else "faceid"
    return FoundAdapter(file.path.name, method, file.kind.value, file.family.value, round(file.size / 2**20, 1))
