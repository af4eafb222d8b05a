"""One photo, no training: what is asked for, whether it can work here and now, and what is there and what is missing.

Between the doors' words (files, dicts) and the nouns of `identities`; knows the host by its protocol alone.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.domain import BaseModelFile, Consent, Family
from personal_avatar.errors import AvatarError, BaseUnsupported, InvalidSettings, WeightsMissing
from personal_avatar.host import Folders, Host, PictureRequest
from personal_avatar.identities import IdentityRequest, IdentitySettings
from personal_avatar.params import validated
from personal_avatar.problems import stated
from personal_avatar.training.planning.fitness import face_widths, takes_published
from personal_avatar.weights import registry
from personal_avatar.wording import FAMILIES

if TYPE_CHECKING:
    from personal_avatar.identity.shelf import AdapterFile, Shelf
    from personal_avatar.identity.unit import IdentityUnit

METHODS_OF = {Family.SD1: ("faceid",), Family.SDXL: ("instantid", "faceid")}
# Settings that are said by other means here: pictures are files of a job, restoration is a stage of it.
ELSEWHERE = frozenset({"enabled", "references", "avatar", "keypoints_image", "people", "restore"})
MAX_REFERENCES, MAX_PEOPLE = 20, 8  # photos of one person, people of one picture
ANY_SIZE_PX = (512, 512)  # whether a face is there does not hang on the size of the picture
OF_ANY_SIZE = frozenset(weight.name for weight in (registry.CLIP_H, registry.ANTELOPE, registry.BUFFALO))
Box = tuple[float, float, float, float]  # left, top, right, bottom in shares of the picture


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
    """What `method` lacks with the loaded checkpoint: `message` names the file, `hint` says where to get it; `weights`:
    names in weights.registry of what can be downloaded."""

    method: str
    message: str
    hint: str
    weights: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdentityStatus:
    """What can be done without training now. `checkpoint`, `family`: what is loaded, empty when nothing is; `methods`:
    those that work with it, the one that `auto` takes first; `problem`: why none can, whatever is downloaded, and
    `remedy`: what to do then."""

    checkpoint: str
    family: str
    methods: tuple[str, ...]
    adapters: tuple[FoundAdapter, ...]
    missing: tuple[MissingPart, ...]
    problem: str = ""
    remedy: str = ""

    @property
    def ready(self) -> bool:
        return bool(self.methods)


@dataclass(frozen=True)
class Neighbour:
    """Another person of the same picture. `box`: where; None: see the setting `layout`."""

    references: tuple[Path, ...]
    class_noun: str = "person"
    box: Box | None = None


@dataclass(frozen=True)
class KeptNeighbour:
    """The same with names of files in the job's folder `photos`."""

    references: tuple[str, ...]
    class_noun: str
    box: Box | None


@dataclass(frozen=True)
class OneShot:
    """What a job keeps of a request besides an avatar. `references`, `image`, `pose`: names of files in its folder
    `photos`; `identity`: settings without pictures, None: nobody is put in without training; `image`: the picture of
    which `strength` (0..1) is painted anew; `pose`: one whose faces are followed; `box`: where the person is among
    `neighbours`; `file`: which one of the avatar's is used, "" the best."""

    references: tuple[str, ...] = ()
    identity: dict[str, Any] | None = None
    image: str = ""
    pose: str = ""
    strength: float = 0.6
    class_noun: str = "person"
    consent: Consent | None = None
    box: Box | None = None
    neighbours: tuple[KeptNeighbour, ...] = ()
    file: str = ""

    @property
    def title(self) -> str:
        """What a job without an avatar is called in lists."""
        return f"{len(self.references)} photos" if len(self.references) > 1 else "One photo"


def settings_of(values: dict[str, Any]) -> IdentitySettings:
    """Settings without pictures; raises `InvalidSettings`, also for those that are said by other means here."""
    foreign = sorted(ELSEWHERE & set(values))
    if foreign:
        names = ", ".join(foreign)
        raise stated(InvalidSettings, "failure.elsewhere_set", "remedy.references", names=names)
    return validated(IdentitySettings, values)


def shelf_of(folders: Folders) -> Shelf:
    """All places where weights may lie."""
    from personal_avatar.identity.shelf import Shelf

    return Shelf(folders.identity_folders)


def posed(request: IdentityRequest, image: np.ndarray | None) -> IdentityRequest:
    """The same people in the pose of the picture that is painted anew, unless another one was given."""
    if image is None or request.keypoints_image is not None:
        return request
    return replace(request, keypoints_image=image)


def parts_for(shelf: Shelf, settings: IdentitySettings, base: BaseModelFile) -> tuple[Path, ...]:
    """All files that a generation with `base` needs. Raises what `Shelf.parts` raises; `BaseUnsupported` in the place
    of `WeightsMissing` where those that could be got do not fit."""
    try:
        return shelf.parts(settings, base.family, face_widths(base))
    except WeightsMissing as error:
        if takes_published(base) or OF_ANY_SIZE.issuperset(error.weights):
            raise
    raise stated(
        BaseUnsupported, "failure.unusual_size", "remedy.usual_size", file=base.path.name, family=FAMILIES[base.family]
    )


def refuse_faceless(folders: Folders, request: IdentityRequest, base: BaseModelFile) -> None:
    """Raises `NoFace` when nobody is found in the photos, or in a picture whose pose must be followed, by the models
    that the network was trained with; and what `parts_for` raises."""
    parts_for(shelf_of(folders), request.settings, base)
    _seen(folders, request, base, ANY_SIZE_PX)


def remarks(folders: Folders, picture: PictureRequest, base: BaseModelFile) -> tuple[str, ...]:
    """Photos that do not count, a pose that cannot be followed, settings that are known to spoil pictures."""
    from personal_avatar.identity.unit import cautions, contradictions

    if picture.identity is None:
        return ()
    size_px = (picture.width_px, picture.height_px)
    request = posed(picture.identity, picture.image)
    kind = shelf_of(folders).choose(request.settings, base.family, face_widths(base)).kind
    return (
        *_seen(folders, request, base, size_px), *contradictions(request.settings),
        *cautions(kind, picture.guidance, *size_px),
    )


def _seen(folders: Folders, request: IdentityRequest, base: BaseModelFile, size_px: tuple[int, int]) -> list[str]:
    """What the photos and the pose are left out for."""
    from personal_avatar.identity.poses import poses_of

    unit = unit_of(folders)
    kind = unit.shelf.choose(request.settings, base.family, face_widths(base)).kind
    references = [unit.reference(person, kind) for person in request.people]
    poses = poses_of(request, references, size_px, unit.analyser(kind).detect)
    return [*(sentence for one in references for sentence in one.left_out), *filter(None, [poses.warning])]


def unit_of(folders: Folders) -> IdentityUnit:
    """A unit of these folders; nothing is loaded by making it."""
    from personal_avatar.identity.unit import IdentityUnit

    return IdentityUnit(shelf_of(folders), cache_of(folders))


def cache_of(folders: Folders) -> Path:
    """For adapters as they are kept once they were read."""
    return folders.data / "cache" / "identity"


def status(host: Host) -> IdentityStatus:
    """What is there and what is missing, with the checkpoint that is loaded."""
    shelf = shelf_of(host.folders())
    files = {file.path: file for family in METHODS_OF for file in shelf.adapters(family)}  # some are for any family
    adapters = tuple(_found(file) for file in files.values())
    try:
        base = host.checkpoint()
    except AvatarError as error:
        return IdentityStatus("", "", (), adapters, (), str(error))
    found = {method: _lacking(shelf, method, base) for method in METHODS_OF.get(base.family, ("auto",))}
    ready = tuple(method for method, error in found.items() if error is None)
    lacking = {method: error for method, error in found.items() if error is not None}
    hopeless = next((error for error in lacking.values() if isinstance(error, BaseUnsupported)), None)
    if hopeless is not None and not ready:
        return IdentityStatus(base.title, base.family.value, (), adapters, (), hopeless.message, hopeless.hint)
    missing = (
        MissingPart(method, error.message, error.hint, error.weights if isinstance(error, WeightsMissing) else ())
        for method, error in lacking.items()
    )
    return IdentityStatus(base.title, base.family.value, ready, adapters, tuple(missing))


def _lacking(shelf: Shelf, method: str, base: BaseModelFile) -> AvatarError | None:
    try:
        parts_for(shelf, IdentitySettings(method=method), base)
    except AvatarError as error:
        return error
    return None


def _found(file: AdapterFile) -> FoundAdapter:
    method = "instantid" if file.kind.value == "instantid" else "faceid"
    return FoundAdapter(file.path.name, method, file.kind.value, file.family.value, round(file.size / 2**20, 1))
