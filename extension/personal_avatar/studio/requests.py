"""What a user may ask for: a training, portraits."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from personal_avatar.domain import Avatar, Engine, Goal, Look, Method, PhotoChoice, means_animal
from personal_avatar.errors import TooFewPhotos
from personal_avatar.params import shown
from personal_avatar.photos.settings import IGNORED
from personal_avatar.problems import refused
from personal_avatar.storage import sha256_of
from personal_avatar.wording import DEFAULT, LANGUAGES, text

if TYPE_CHECKING:
    from personal_avatar.studio.oneshot import Box, Neighbour

MAX_PHOTOS = 100
GIVE_SOME = "Give at least one picture; 10 to 20 of a person are best."
STYLE_NOUN = "style"
PAGE = "page"  # the door whose photos were checked before, and are laid out until they are erased


def refuse_count(photos: int) -> None:
    """Raises `TooFewPhotos` for none, `InvalidSettings` for more than `MAX_PHOTOS`."""
    if not photos:
        raise TooFewPhotos(text("refusal.nofiles"), GIVE_SOME)
    if photos > MAX_PHOTOS:
        raise refused("problem.many", "remedy.many", photos=photos, allowed=MAX_PHOTOS)


def refuse_language(language: str) -> None:
    """Raises `InvalidSettings` for one that the table of texts does not have."""
    if language not in LANGUAGES:
        raise refused("problem.choice", name="language", choices=", ".join(LANGUAGES), got=shown(language))


def means_style(class_noun: str) -> bool:
    """Whether a noun is of a style and of nobody, such as "ink style"."""
    return class_noun.lower().split()[-1:] == [STYLE_NOUN]


def meant(class_noun: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan; of a style with that goal. Raises `InvalidSettings` where noun and goal contradict each other."""
    if not means_style(class_noun):
        return dict(plan)
    goal = plan.get("goal", Goal.STYLE.value)
    if goal != Goal.STYLE.value:
        raise refused("problem.noun.style", "remedy.noun.style", got=shown(class_noun), goal=shown(goal))
    return {**plan, "goal": goal}


def photos_meant(class_noun: str, photo_settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the photos; of a style or an animal nobody's face is looked for, unless they say so, or that the
    animal is a drawn character."""
    is_character = photo_settings.get("look") == Look.DRAWN.value
    faceless = means_style(class_noun) or (means_animal(class_noun) and not is_character)
    return {"faces": IGNORED, **photo_settings} if faceless else dict(photo_settings)


@dataclass(frozen=True)
class TrainRequest:
    """What a user asks for. `plan` and `photo_settings` hold only what differs from the defaults.

    `choices`: what the user decided about photos, by the SHA-256 of their files. `consent`: what was stated about the
    person's agreement, `stated_by`: by whom ("" the user), at which `door` ("page", "api", "command line").
    `even_if_too_large`: start although the memory model says that it will not fit. `language`: in which reports
    begin and the sheet of a comparison is written.
    """

    name: str
    photos: tuple[Path, ...]
    class_noun: str = "person"
    user_id: str = "local"
    method: Method = Method.LORA
    engine: Engine = Engine.DIFFUSERS
    plan: dict[str, Any] = field(default_factory=dict)
    photo_settings: dict[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    consent: str = ""
    choices: Mapping[str, PhotoChoice] = field(default_factory=dict)
    stated_by: str = ""
    door: str = ""
    even_if_too_large: bool = False
    language: str = DEFAULT

    def taken(self) -> TrainRequest:
        """The same without the photos that the user left out, and as `meant`. Raises `TooFewPhotos` when nothing is
        left."""
        plan = meant(self.class_noun, self.plan)
        out = {sha256 for sha256, choice in self.choices.items() if choice.take is False}
        photos = tuple(photo for photo in self.photos if sha256_of(photo) not in out) if out else self.photos
        if self.photos and not photos:
            raise TooFewPhotos("All photos were left out.", "Take at least one; 10 to 20 of a person are best.")
        photo_settings = photos_meant(self.class_noun, self.photo_settings)
        return replace(self, photos=photos, plan=plan, photo_settings=photo_settings)


@dataclass(frozen=True)
class CreateRequest:
    """Portraits in styles (ids) or after a prompt of the user's own, which may hold `{subject}`; at least one of each.
    `negative_prompt`: what none shall show, beside what a style says itself.

    Of an avatar, or, with `avatar_id` empty, of whoever is in `references`, without training; with both, the avatar's
    training and these photos. `identity`: settings of one-shot identity without pictures; None without references: the
    training alone; with an avatar and no references its own photos are used. `image`: the picture of which `strength`
    (0..1) is painted anew, without an avatar and references also the one that shows who it is; `pose`: a picture whose
    faces give pose and expression. `consent`: who stated that the person in the photos agreed; `class_noun`: what the
    person is called where no training is used. `neighbours`: others in the same picture, `box`: where the person is.
    `file`: which of the avatar's files, by its name or its method; "" the best, see `Avatar.best_for`. `stated_by`,
    `door`: see `TrainRequest`.
    """

    avatar_id: str = ""
    styles: tuple[str, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    user_id: str = "local"
    settings: dict[str, Any] = field(default_factory=dict)
    references: tuple[Path, ...] = ()
    identity: dict[str, Any] | None = None
    image: Path | None = None
    strength: float = 0.6
    pose: Path | None = None
    consent: str = ""
    class_noun: str = "person"
    neighbours: tuple[Neighbour, ...] = ()
    box: Box | None = None
    file: str = ""
    stated_by: str = ""
    door: str = ""

    @property
    def kinds(self) -> int:
        """How many styles are wanted, the prompt counted as one: so many pictures are needed at least."""
        return len(set(self.styles)) + bool(self.prompt.strip())


class Labels(TypedDict):
    """What a job says of itself in lists."""

    title: str
    user_id: str
    avatar_id: str


def labels(avatar: Avatar | None, user_id: str, title: str = "") -> Labels:
    """What a job says of itself in lists; `title`: where it has no avatar."""
    named = (avatar.name, avatar.id) if avatar else (title, "")
    return {"title": named[0], "user_id": user_id, "avatar_id": named[1]}
