"""Settings become people with photos; knows no WebUI."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from personal_avatar.api.uploads import received
from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import IdentityRequest, IdentitySettings, PersonSettings, Subject
from personal_avatar.oneshot import MAX_REFERENCES
from personal_avatar.pictures import load_picture

PhotosOf = Callable[[str], Sequence[Path]]  # an avatar's id -> its photos; raises `NotFound`
AVATAR_PHOTOS = 8  # more say nothing new about a face, and each has to be read
FEWER = "Choose the best ones."
HINT = "Add a photo of the person's face, or choose an avatar."


def request_of(settings: IdentitySettings, photos_of: PhotosOf) -> IdentityRequest:
    """Raises `InvalidSettings`, `UnreadablePhoto`, `FileTooLarge`, `NotFound`."""
    alone = PersonSettings(references=settings.references, avatar=settings.avatar)
    people = tuple(_subject(person, photos_of) for person in settings.people or (alone,))
    keypoints = _pictures([settings.keypoints_image] if settings.keypoints_image else [])
    return IdentityRequest(settings, people, keypoints[0] if keypoints else None)


def _subject(person: PersonSettings, photos_of: PhotosOf) -> Subject:
    if len(person.references) > MAX_REFERENCES:
        raise InvalidSettings(f"{len(person.references)} photos of one person are more than {MAX_REFERENCES}.", FEWER)
    photos = _pictures(person.references)
    if not photos and person.avatar:
        photos = tuple(load_picture(path) for path in photos_of(person.avatar)[:AVATAR_PHOTOS])
    if not photos:
        raise InvalidSettings("No photo of a person was given.", HINT)
    region, mask = person.region, _pictures([person.mask] if person.mask else [])
    box = (region.left, region.top, region.right, region.bottom) if region else None
    if box and (box[0] >= box[2] or box[1] >= box[3]):
        raise InvalidSettings("A person's box is empty: left must be below right, and top below bottom.")
    return Subject(photos, person.avatar, person.weight, box, mask[0].mean(axis=2).astype(np.uint8) if mask else None)


def _pictures(texts: Sequence[str]) -> tuple[np.ndarray, ...]:
    """uint8 RGB (height, width, 3) of base64 texts."""
    with received(texts) as paths:
        return tuple(load_picture(path) for path in paths)

