"""Who sits for portraits: an avatar, whoever is in some photos, or both; with which checkpoint, measured by what.

From what a door asks for to what a job keeps, and from that to what the pictures are made of.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.avatars import now_iso, subject_prompt
from personal_avatar.domain import Avatar, BaseModelFile, Checkpoint, Consent, Engine, Method, Use
from personal_avatar.domain.merit import best_first, best_of
from personal_avatar.errors import (
    BaseUnsupported,
    ConsentMissing,
    InvalidSettings,
    WeightsMissing,
    WrongState,
)
from personal_avatar.host import Folders
from personal_avatar.identities import IdentityRequest, Subject
from personal_avatar.names import checked_noun
from personal_avatar.pictures import load_picture, readable
from personal_avatar.problems import refused, stated
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.storage import plain_suffix, sha256_of
from personal_avatar.studio.creating import Sitter
from personal_avatar.studio.oneshot import (
    MAX_REFERENCES,
    KeptNeighbour,
    Neighbour,
    OneShot,
    posed,
    refuse_faceless,
    settings_of,
)
from personal_avatar.studio.trained import best_here, lies_here, refuse_lost
from personal_avatar.wording import FAMILIES, text

if TYPE_CHECKING:
    from personal_avatar.studio.requests import CreateRequest
    from personal_avatar.studio.studio import Studio


def planned(wish: CreateRequest, has_avatar: bool) -> tuple[OneShot, dict[str, Path]]:
    """What the job keeps, and the files that go into its folder `photos`, by name. Without an avatar and references
    the image shows who it is.

    Raises `InvalidSettings`, `ConsentMissing`.
    """
    shown = wish.references or ((wish.image,) if wish.image and not has_avatar else ())
    _refuse(wish, shown, has_avatar)
    others, other_files = _kept(wish.neighbours)
    alone = wish.identity is None and not shown and not others
    identity = None if alone else settings_of(wish.identity or {})
    files = {f"{number:02d}{plain_suffix(path)}": path for number, path in enumerate(shown)}
    names = tuple(files)
    more = {word: path for word, path in (("image", wish.image), ("pose", wish.pose)) if path is not None}
    files |= {f"{word}{plain_suffix(path)}": path for word, path in more.items()}
    people = (*shown, *other_files.values())
    consent = _agreed(wish, people) if people else None
    return OneShot(
        names, None if identity is None else identity.dict(exclude_unset=True), strength=wish.strength,
        class_noun=checked_noun(wish.class_noun), consent=consent, box=wish.box, neighbours=others,
        file=wish.file.strip(),
        **{word: f"{word}{plain_suffix(path)}" for word, path in more.items()},
    ), files | other_files


def _agreed(wish: CreateRequest, people: Sequence[Path]) -> Consent:
    """What the job notes about the consent to these photos."""
    by, hashes = wish.stated_by or wish.user_id, tuple(map(sha256_of, people))
    return Consent(wish.consent, by, now_iso(), hashes, Use.PICTURES, wish.door)


def _refuse(wish: CreateRequest, shown: Sequence[Path], has_avatar: bool) -> None:
    """`shown`: photos of the first person."""
    if not shown and not has_avatar:
        raise stated(InvalidSettings, "failure.nobody_given", "remedy.avatar_or_photo")
    if wish.file and not has_avatar:
        raise stated(InvalidSettings, "failure.file_of_nobody", "remedy.avatar_too")
    for photos in (shown, *(one.references for one in wish.neighbours)):
        if len(photos) > MAX_REFERENCES:
            values = {"count": len(photos), "number": MAX_REFERENCES}
            raise stated(InvalidSettings, "failure.many_references", "remedy.few_good", **values)
    for box in (wish.box, *(one.box for one in wish.neighbours)):
        if box is not None and not (box[0] < box[2] and box[1] < box[3]):
            corners = {"begin": f"{box[0]:g}, {box[1]:g}", "end": f"{box[2]:g}, {box[3]:g}"}
            raise stated(InvalidSettings, "failure.empty_region", "remedy.region", **corners)
    if not 0.0 <= wish.strength <= 1.0:
        raise refused("problem.range", name="strength", low=0, high=1, got=repr(wish.strength))
    if (shown or wish.neighbours) and not wish.consent.strip():
        raise stated(ConsentMissing, "failure.no_consent")


def _kept(neighbours: Sequence[Neighbour]) -> tuple[tuple[KeptNeighbour, ...], dict[str, Path]]:
    """What the job keeps of the others, and their photos by the names in its folder."""
    kept: list[KeptNeighbour] = []
    files: dict[str, Path] = {}
    for place, other in enumerate(neighbours, start=2):
        own = {f"person{place}-{number:02d}{plain_suffix(path)}": path for number, path in enumerate(other.references)}
        kept.append(KeptNeighbour(tuple(own), checked_noun(other.class_noun), other.box))
        files |= own
    return tuple(kept), files


def _request_of(
    one: OneShot, photos: Sequence[Path], files: Mapping[str, Path], name: str
) -> IdentityRequest | None:
    """Who shall be in the pictures; None when the avatar's training alone puts the person in.

    `photos`: of the person; `files`: the job's pictures by name. Raises `UnreadablePhoto`.
    """
    if one.identity is None:
        return None
    pose = load_picture(files[one.pose]) if one.pose else None
    people = [Subject(tuple(load_picture(photo) for photo in photos), name=name, box=one.box)]
    for other in one.neighbours:
        people.append(Subject(tuple(load_picture(files[photo]) for photo in other.references), box=other.box))
    return IdentityRequest(settings_of(one.identity), tuple(people), pose)


@dataclass(frozen=True, eq=False)
class Seated:
    """A sitter, the checkpoint that paints, and what measures likeness. `photos`: of the person; `others`: of whoever
    else is in the pictures; `remarks`: sentences about what is not as it was asked for."""

    sitter: Sitter
    base: BaseModelFile
    scorer: Scorer
    photos: tuple[Path, ...] = ()
    others: tuple[tuple[Path, ...], ...] = ()
    remarks: tuple[str, ...] = ()


def seated(
    studio: Studio, avatar: Avatar | None, one_shot: OneShot, files: Mapping[str, Path], lora_weight: float
) -> Seated:
    """`files`: the job's pictures by name. Raises when this person cannot be painted with the loaded checkpoint:
    `WrongState`, `BaseUnsupported`, `WeightsMissing`, `UnreadablePhoto`, `NoFace`."""
    point, base = _painted_with(studio, avatar, one_shot)
    photos = _photos(studio, avatar, one_shot, files)
    noun = avatar.class_noun if avatar else one_shot.class_noun
    words = [subject_prompt(point, lora_weight) if point else noun]
    sitter = Sitter(
        words=" and ".join(words + [other.class_noun for other in one_shot.neighbours]),
        avatar_id=avatar.id if avatar else "",
        checkpoint=point.path if point and point.method is Method.DREAMBOOTH else None,
        identity=_request_of(one_shot, photos, files, avatar.name if avatar else ""),
        image=load_picture(files[one_shot.image]) if one_shot.image else None, strength=one_shot.strength,
        pose=_pose_of(studio, one_shot, files), clip_skip=point.clip_skip if point else 0,
    )
    if sitter.identity is not None:
        refuse_faceless(studio.host.folders(), posed(sitter.identity, sitter.image), base)
    others = tuple(tuple(files[name] for name in other.references) for other in one_shot.neighbours)
    told = in_its_place(avatar, point, studio.host.checkpoint(), one_shot.file) if avatar and point else ()
    return Seated(sitter, base, _scorer(studio, avatar, photos, 1 + len(others)), tuple(photos), others, told)


def _pose_of(studio: Studio, one_shot: OneShot, files: Mapping[str, Path]) -> np.ndarray | None:
    """The picture whose pose the host shall follow; the way without training follows one by itself.

    Raises `InvalidSettings` when the host cannot.
    """
    if not one_shot.pose or one_shot.identity is not None:
        return None
    if problem := studio.host.pose_problem():
        raise InvalidSettings(problem, text("remedy.no_pose"))
    return load_picture(files[one_shot.pose])


def usable_with(avatar: Avatar, base: BaseModelFile, folders: Folders, wanted: str = "") -> Checkpoint:
    """The avatar's file for the loaded checkpoint, see `file_for`. Raises `WrongState`, `BaseUnsupported` when it has
    none, or it is not in the host's `folders`; `InvalidSettings`."""
    if avatar.best is None:
        raise stated(WrongState, "failure.untrained", "remedy.train_it", who=avatar.name)
    point = file_for(avatar, base, folders, wanted)
    if point is None:
        families = ", ".join(sorted({FAMILIES[one.family] for one in avatar.checkpoints}))
        values = {"who": avatar.name, "families": families, "base": base.title, "family": FAMILIES[base.family]}
        raise stated(BaseUnsupported, "failure.other_families", "remedy.that_family", **values)
    refuse_lost(avatar, point, folders)
    return point


def file_for(avatar: Avatar, base: BaseModelFile, folders: Folders, wanted: str = "") -> Checkpoint | None:
    """The avatar's file for the loaded checkpoint: the best that is here of those that are `wanted`, by one of their
    `_names`, else of all; None where none fits. Raises `InvalidSettings` where another one was wanted."""
    points = avatar.fitting(base.family)
    named = _wanted(points, wanted)
    if wanted and points and not named:
        there = ", ".join(f"{one.path.name} ({_made_by(one)})" for one in best_first(points))
        values = {"who": avatar.name, "wanted": repr(wanted), "names": there}
        raise stated(InvalidSettings, "failure.no_such_file", "remedy.there_are", **values)
    return best_here(named, folders)


def _wanted(points: Sequence[Checkpoint], wanted: str) -> tuple[Checkpoint, ...]:
    return tuple(one for one in points if not wanted or wanted in _names(one))


def in_its_place(avatar: Avatar, point: Checkpoint, base: BaseModelFile, wanted: str = "") -> tuple[str, ...]:
    """Says that a better file than `point`, which is used, is gone, where that is so. `base`: the loaded checkpoint."""
    best = best_of(_wanted(avatar.fitting(base.family), wanted))
    if best is None or best == point:
        return ()
    other = f"{point.path.name} ({_made_by(point)})"
    return (text("log.file_gone", file=best.path.name, name=avatar.name, other=other),)


def _made_by(point: Checkpoint) -> str:
    """Codes of its method and, where that is not ours, its engine."""
    engine = "" if point.engine is Engine.DIFFUSERS else f", {point.engine.value}"
    return point.method.value + engine


def _names(point: Checkpoint) -> tuple[str, ...]:
    """A LoRA and an embedding may have one name, in two folders."""
    name, method = point.path.name, point.method.value
    return name, point.path.stem, method, f"{method}/{name}"


def _painted_with(
    studio: Studio, avatar: Avatar | None, one_shot: OneShot
) -> tuple[Checkpoint | None, BaseModelFile]:
    """What was trained of the person and fits, and the checkpoint; photos serve where nothing was trained."""
    base, folders = studio.host.checkpoint(), studio.host.folders()
    if avatar is None:
        return None, base
    point = file_for(avatar, base, folders, one_shot.file)
    if one_shot.identity is None:
        point = usable_with(avatar, base, folders, one_shot.file)
    if point is not None and one_shot.identity is not None and not lies_here(point, folders):
        point = None
    if point is not None and point.method is Method.DREAMBOOTH:
        base = studio.host.find_checkpoint(str(point.path))
    return point, base


def _photos(studio: Studio, avatar: Avatar | None, one_shot: OneShot, files: Mapping[str, Path]) -> list[Path]:
    """Photos that show the person: those of the request, else the first of the avatar's own."""
    if one_shot.references or avatar is None:
        return [files[name] for name in one_shot.references]
    return list(islice(readable(studio.avatars.photos(avatar.id)), MAX_REFERENCES))


def _scorer(studio: Studio, avatar: Avatar | None, photos: Sequence[Path], people: int) -> Scorer:
    """Measures likeness to the avatar's own reference, else to the photos. `people`: in a picture."""
    if avatar is not None and (avatar.reference or not photos):
        try:
            return studio.rankings.scorer(avatar, people)
        except (WeightsMissing, WrongState):  # its recogniser is gone
            if not photos:
                raise
    return studio.rankings.scorer_of(photos, people)
