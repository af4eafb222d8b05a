"""Settings become people with photos; knows no WebUI."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from personal_avatar.api.uploads import received_by_name
from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import IdentityRequest, IdentitySettings, PersonSettings, Subject
from personal_avatar.pictures import load_mask, load_picture
from personal_avatar.studio.oneshot import MAX_PEOPLE, MAX_REFERENCES

PhotosOf = Callable[[str], Sequence[Path]]  # an avatar's id -> its photos; raises `NotFound`
AVATAR_PHOTOS = 8  # more say nothing new about a face, and each has to be read
FEWER = "Choose the best ones."
SEVERAL = "Make several pictures of them."
HINT = "Add a photo of the person's face, or choose an avatar."


def request_of(settings: IdentitySettings, photos_of: PhotosOf) -> IdentityRequest:
    """Raises `InvalidSettings`, `UnreadablePhoto`, `FileTooLarge`, `NotFound`."""
    alone = PersonSettings(references=settings.references, avatar=settings.avatar)
    people = settings.people or (alone,)
    if len(people) > MAX_PEOPLE:
        raise InvalidSettings(f"{len(people)} people in one picture are more than {MAX_PEOPLE}.", SEVERAL)
    places = [f"people[{number}]." for number in range(len(people))] if settings.people else [""]
    subjects = tuple(_subject(person, place, photos_of) for person, place in zip(people, places, strict=True))
    return IdentityRequest(settings, subjects, _picture("keypoints_image", settings.keypoints_image, load_picture))


def _subject(person: PersonSettings, place: str, photos_of: PhotosOf) -> Subject:
    """`place`: where the person stands in the request, for errors."""
    if len(person.references) > MAX_REFERENCES:
        raise InvalidSettings(f"{len(person.references)} photos of one person are more than {MAX_REFERENCES}.", FEWER)
    photos = pictures_from({f"{place}references[{number}]": text for number, text in enumerate(person.references)})
    if not photos and person.avatar:
        photos = tuple(load_picture(path) for path in photos_of(person.avatar)[:AVATAR_PHOTOS])
    if not photos:
        raise InvalidSettings("No photo of a person was given.", HINT)
    region, mask = person.region, _picture(f"{place}mask", person.mask, load_mask)
    box = (region.left, region.top, region.right, region.bottom) if region else None
    if box and (box[0] >= box[2] or box[1] >= box[3]):
        raise InvalidSettings("A person's box is empty.", "Let left be below right, and top below bottom.")
    return Subject(photos, person.avatar, person.weight, box, mask)


def _picture(name: str, text: str | None, load: Callable[[Path], np.ndarray]) -> np.ndarray | None:
    return next(iter(pictures_from({name: text}, load)), None) if text else None


def pictures_from(
    texts: Mapping[str, str], load: Callable[[Path], np.ndarray] = load_picture
) -> tuple[np.ndarray, ...]:
    """uint8 RGB (height, width, 3) of base64 texts by their names, or what `load` makes of their files."""
    with received_by_name(texts) as paths:
        return tuple(load(path) for path in paths.values())
