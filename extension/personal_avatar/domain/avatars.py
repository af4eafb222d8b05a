"""People who can be put into pictures, who agreed to that, and the pictures."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from personal_avatar.domain.merit import best_of
from personal_avatar.domain.trainings import Checkpoint, Family, Method

FORMAT_VERSION = 1


class Use(str, Enum):
    """What a person agreed to."""

    TRAINING = "training"
    PICTURES = "pictures"  # made from photos without training


@dataclass(frozen=True)
class Consent:
    """Who stated that the person agreed, when (ISO 8601, UTC), for which photos, to what, and where it was stated.

    `use`: one of `Use`; `door`: "page", "api" or "command line", "" where an earlier version did not note it.
    """

    statement: str
    given_by: str
    given_at: str
    photo_sha256: tuple[str, ...] = ()
    use: Use = Use.TRAINING
    door: str = ""


@dataclass(frozen=True)
class Avatar:
    """A person (or an invented character) that can be put into pictures; one folder, relocatable.

    `photos`: names of the files that are this person's; empty where an earlier version did not note them, and all are.
    """

    id: str
    name: str
    user_id: str
    class_noun: str
    trigger: str
    created_at: str
    base_title: str = ""
    reference: tuple[float, ...] = ()
    recogniser: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    dataset_fingerprint: str = ""
    consent: Consent | None = None
    job_id: str = ""
    earlier_consents: tuple[Consent, ...] = ()
    photos: tuple[str, ...] = ()
    version: int = FORMAT_VERSION

    @property
    def consents(self) -> tuple[Consent, ...]:
        """All statements about this person, oldest first; none is ever taken back but by erasing the person."""
        return (*self.earlier_consents, *((self.consent,) if self.consent else ()))

    def agreed(self, consent: Consent) -> Avatar:
        """With one more statement; what was stated before stays."""
        return replace(self, consent=consent, earlier_consents=self.consents)

    def with_consent(self, consent: Consent | None) -> Avatar:
        """With that statement among the earlier ones, where it is not known."""
        if consent is None or consent in self.consents:
            return self
        return replace(self, earlier_consents=(*self.earlier_consents, consent))

    def narrowed(self, consent: Consent, photo_sha256: tuple[str, ...]) -> Avatar:
        """With that statement as the latest, for those of its photos alone, and not twice."""
        def is_same(one: Consent) -> bool:
            return replace(one, photo_sha256=consent.photo_sha256) == consent and set(one.photo_sha256) <= given

        given = set(consent.photo_sha256)
        others = tuple(one for one in self.consents if not is_same(one))
        return replace(self, consent=replace(consent, photo_sha256=photo_sha256), earlier_consents=others)

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint to use: see `merit.best_of`."""
        return best_of(self.checkpoints)

    def fitting(self, family: Family) -> tuple[Checkpoint, ...]:
        """Those that can be used with a loaded checkpoint of `family`, the newest last; a trained checkpoint of its own
        fits always."""
        return tuple(one for one in self.checkpoints if one.family is family or one.method is Method.DREAMBOOTH)

    def best_for(self, family: Family) -> Checkpoint | None:
        """The one to use with a loaded checkpoint of `family`."""
        return best_of(self.fitting(family))

    def with_checkpoints(self, points: Sequence[Checkpoint], lost: Collection[Checkpoint] = ()) -> Avatar:
        """`points` beside the earlier ones. In the place of those of the same name, which the host cannot tell from
        them, and of those of the same method, family and engine that are `lost`: their files are gone."""
        def is_replaced(one: Checkpoint) -> bool:
            named = any((one.method, one.path.name) == (point.method, point.path.name) for point in points)
            return named or one in lost and any(is_same_kind(one, point) for point in points)

        def is_same_kind(one: Checkpoint, other: Checkpoint) -> bool:
            return (one.method, one.family, one.engine) == (other.method, other.family, other.engine)

        others = [one for one in self.checkpoints if not is_replaced(one)]
        return replace(self, checkpoints=(*others, *points))


@dataclass(frozen=True)
class Style:
    """A template for portraits: `prompt` has one `{subject}`. `origin`: shipped or the user's own.

    `shape`: width by height; `settings`: by family of checkpoints, such as {"sd1": {"guidance": 6}}; `slots`: what
    stands at places that can be changed, such as {"clothes": "a red coat"}; `preview`: a caption for avatar-tiny.
    """

    id: str
    name: str
    prompt: str
    negative_prompt: str = ""
    category: str = ""
    origin: str = "shipped"
    shape: float = 1.0
    settings: dict[str, dict[str, float]] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)
    preview: str = ""


@dataclass(frozen=True)
class Portrait:
    """A generated picture with its scores. `likeness` None: no face was found in it."""

    path: Path
    seed: int
    prompt: str
    style: str = ""
    likeness: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    faces: int = 0
    restored: Path | None = None
