"""Who sits for portraits: an avatar, whoever is in some photos, or both; with which checkpoint, measured by what."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar import oneshot
from personal_avatar.avatars import subject_prompt
from personal_avatar.domain import Avatar, BaseModelFile, Checkpoint, Method
from personal_avatar.errors import BaseUnsupported, WrongState
from personal_avatar.oneshot import OneShot
from personal_avatar.photos.captions import without_captions
from personal_avatar.pictures import load_picture
from personal_avatar.portraits import Sitter
from personal_avatar.ranking.likeness import Scorer, reference_from

if TYPE_CHECKING:
    from personal_avatar.studio import Studio


@dataclass(frozen=True, eq=False)
class Seated:
    """A sitter, the checkpoint that paints, and what measures likeness."""

    sitter: Sitter
    base: BaseModelFile
    scorer: Scorer


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
        identity=oneshot.request_of(one_shot, photos, files, avatar.name if avatar else ""),
        image=load_picture(files[one_shot.image]) if one_shot.image else None, strength=one_shot.strength,
    )
    if sitter.identity is not None:
        oneshot.refuse_faceless(studio.host.folders(), sitter.identity, base.family)
    return Seated(sitter, base, _scorer(studio, avatar, photos))


def usable_with(avatar: Avatar, base: BaseModelFile) -> Checkpoint:
    """The avatar's best file for the loaded checkpoint. Raises `WrongState`, `BaseUnsupported` when it has none."""
    if avatar.best is None:
        raise WrongState(f"{avatar.name} has not been trained yet.", "Train it, or wait until that has ended.")
    point = avatar.best_for(base.family)
    if point is None:
        families = ", ".join(sorted({one.family.value for one in avatar.checkpoints}))
        raise BaseUnsupported(
            f"{avatar.name} was trained for {families}; {base.title} is of the family {base.family.value}.",
            "Load a checkpoint of that family, or train the avatar for this one.",
        )
    return point


def _painted_with(
    studio: Studio, avatar: Avatar | None, one_shot: OneShot
) -> tuple[Checkpoint | None, BaseModelFile]:
    """What was trained of the person and fits, and the checkpoint; photos serve where nothing was trained."""
    base = studio.host.checkpoint()
    if avatar is None:
        return None, base
    point = usable_with(avatar, base) if one_shot.identity is None else avatar.best_for(base.family)
    if point is not None and point.method is Method.DREAMBOOTH:
        base = studio.host.find_checkpoint(str(point.path))
    return point, base


def _photos(studio: Studio, avatar: Avatar | None, one_shot: OneShot, files: Mapping[str, Path]) -> list[Path]:
    """Photos that show the person: those of the request, else the avatar's own."""
    if one_shot.references or avatar is None:
        return [files[name] for name in one_shot.references]
    folder = studio.avatars.folder(avatar.id) / "photos"
    return sorted(without_captions(folder.iterdir())) if folder.is_dir() else []


def _scorer(studio: Studio, avatar: Avatar | None, photos: Sequence[Path]) -> Scorer:
    """Measures likeness to the avatar's own reference, else to the photos."""
    analyser = studio.analyser()
    if avatar is not None and (not photos or (avatar.reference and avatar.recogniser == analyser.name)):
        return studio.scorer(avatar)
    return Scorer(analyser, reference_from(photos, analyser))
