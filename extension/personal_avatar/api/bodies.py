"""What requests look like: closed and strict, an unknown key or a wrong type is an error. Portraits: portraits.py."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from pydantic import (
    BaseModel,
    ConstrainedStr,
    Field,
    StrictBool,
    conint,
    conlist,
    constr,
    root_validator,
    validator,
)
from pydantic.errors import DictError
from pydantic.fields import MAPPING_LIKE_SHAPES, ModelField

from personal_avatar.api.schemas import Document
from personal_avatar.api.settings import mark_nullable, refuse_all, refuse_wrong, schema_of, spread, told_as
from personal_avatar.api.uploads import refuse_no_pictures
from personal_avatar.domain import Engine, Method, PhotoChoice
from personal_avatar.errors import InvalidSettings
from personal_avatar.jobs.wishes import PRIORITIES
from personal_avatar.names import checked_name, checked_noun
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.storage import writable
from personal_avatar.studio import MAX_PHOTOS, meant
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.wording import DEFAULT, LANGUAGES


def told_by(check: Callable[[str], str], **limits: Any) -> type[str]:
    """A text with these limits, of which what is wrong is told as `check` tells it everywhere."""

    class Told(ConstrainedStr):
        @classmethod
        def validate(cls, value: str) -> str:
            try:
                check(value)
            except InvalidSettings as error:
                raise told_as(error) from None
            return str(super().validate(value))

    return type("Told", (Told, constr(strict=True, **limits)), {})


WORDS = r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$"
Line = constr(strict=True, min_length=1, max_length=200, regex=WORDS)
Name = told_by(checked_name, min_length=1, max_length=80, regex=WORDS)
Noun = told_by(checked_noun, min_length=1, max_length=30, regex=r"^[A-Za-z]+( [A-Za-z]+)*$")
Sha256 = constr(strict=True, regex=r"^[0-9a-f]{64}(?!\n)$")
Statement = constr(strict=True, min_length=1, max_length=1000, regex=r"\S")
CallbackUrl = constr(strict=True, max_length=2000, regex=r"^(https?://[!-~]+)?$")
Priority = conint(strict=True, ge=PRIORITIES[0], le=PRIORITIES[-1])
Language = Enum("Language", {code: code for code in LANGUAGES}, type=str)  # type: ignore[misc]
CHOICES = "What was decided about photos; see POST /photos/check for their hashes and faces"
DOOR = "api"  # where what is stated here was stated
STATED_BY_CALLER = "The caller of the API stated that the person in the photos agreed."


class Encoded(ConstrainedStr):
    """A picture's file as base64 text or as a data URL."""

    strict = True
    min_length = 1

    @classmethod
    def __modify_schema__(cls, field_schema: dict[str, Any]) -> None:
        super().__modify_schema__(field_schema)
        field_schema["format"] = "byte"


class Body(Document):
    """Base of request bodies."""

    class Config:
        extra = "forbid"

    @classmethod
    def validate(cls, value: Any) -> Any:
        """As usual, but nothing else is made an object, such as an empty list."""
        return super().validate(_object(value))

    @validator("*", pre=True)
    def _objects(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        return _object(value) if value is not None and field.shape in MAPPING_LIKE_SHAPES else value

    @root_validator(pre=True)
    def _readable(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        _refuse_half_characters(values)
        return values


def _object(value: Any) -> Any:
    if not isinstance(value, dict | BaseModel):
        raise DictError
    return value


class JobBody(Body):
    """Base of the bodies that start a job. Callers may look after it by its id, or be told."""

    user_id: Line = Field("local", description="Whose job it is; an account of the page is its own user")
    callback_url: CallbackUrl = Field(
        "", description="http or https, on the open internet: gets the job's document by POST when the job has ended, "
        "signed; see the description at the top"
    )
    priority: Priority = Field(0, description="Higher ones are taken first; above 0 only for services")


def _refuse_half_characters(value: Any) -> None:
    """JSON can hold half of a surrogate pair, which no file can."""
    if isinstance(value, str) and not writable(value):
        raise ValueError("the text holds half of a surrogate pair")
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_half_characters(name)
            _refuse_half_characters(part)
    elif isinstance(value, list):
        for part in value:
            _refuse_half_characters(part)


class ChoiceBody(Body):
    """What somebody decided about a photo."""

    sha256: Sha256 = Field(..., description="Of the photo's file")
    take: StrictBool | None = Field(None, description="In spite of the verdict, or (false) leave it out; null: neither")
    face: conint(strict=True, ge=0, le=999) | None = Field(
        None, description="Which of its faces is meant, a place in `people` of POST /photos/check; null: the likeliest"
    )


Choices = conlist(ChoiceBody, max_items=MAX_PHOTOS)


def decided(choices: Iterable[ChoiceBody]) -> dict[str, PhotoChoice]:
    """As the studio takes them, by hash; of two about one photo the later one counts."""
    return {choice.sha256: PhotoChoice(choice.take, choice.face) for choice in choices}


class PhotosBody(JobBody):
    """Photos of one person who becomes an avatar."""

    instance_name: Name = Field(..., description="The avatar's name; a known one is trained anew")
    images: conlist(Encoded, min_items=1, max_items=MAX_PHOTOS) = Field(
        ..., description="base64 or data URLs; each at most 40 MB; the whole request has a limit, too"
    )
    class_type: Noun = Field("person", description="Class noun: man, woman, person, dog, ...")
    photo_settings: dict[str, Any] = Field({}, description="Settings of the photo report, crops and captions")
    choices: Choices = Field((), description=CHOICES)
    consent: Statement = Field(
        STATED_BY_CALLER, description="Who stated that the person agreed; kept with the avatar"
    )

    language: Language = Field(
        Language(DEFAULT), description="In which reports begin and the sheet of a comparison is written"
    )

    @validator("photo_settings")
    def _typed_photos(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return refuse_wrong(PhotoSettings, values)

    @root_validator
    def _pictures(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        """At a glance, beside all else that is wrong and while nothing else is done. They are looked at again when they
        are taken, elsewhere; one that is too large is refused then, alone, by a status of its own."""
        try:
            refuse_no_pictures(values.get("images", ()))
        except InvalidSettings as error:
            raise told_as(error) from None
        return values


class TrainBody(PhotosBody):
    """Photos of one person (or of a character) and how to train on them."""

    method: Method = Field(Method.LORA, description="What is trained; each method has settings of its own")
    engine: Engine = Field(Engine.DIFFUSERS, description="Which program trains; 409 when it is not set up")
    plan: dict[str, Any] = Field(
        {}, description="Settings that differ from the preset for checkpoint, method and plan.goal, which comes before "
        "the defaults told here"
    )
    even_if_too_large: StrictBool = Field(
        False, description="Start although less memory is free than it is expected to need (507 otherwise)"
    )

    @validator("plan")
    def _typed(cls, plan: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if "method" in values:
            refuse_all([(PLANS[values["method"]], plan)], (), lambda: meant(values.get("class_type", ""), plan))
        return plan

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["photo_settings"] |= schema_of(PhotoSettings)
            kinds = {method.value: kind for method, kind in PLANS.items()}
            spread(schema, "method", "plan", kinds)


class CheckBody(Body):
    """Pictures to look at, and what was decided about them before."""

    images: conlist(Encoded, min_items=1, max_items=MAX_PHOTOS)
    class_type: Noun = Field("person", description="Class noun: man, woman, person, dog, ...")
    photo_settings: dict[str, Any] = Field({}, description="Limits of the photo report")
    choices: Choices = Field((), description=CHOICES)

    @validator("photo_settings")
    def _typed_photos(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return refuse_wrong(PhotoSettings, values)

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["photo_settings"] |= schema_of(PhotoSettings)


class PriorityBody(Body):
    """When a waiting job is taken."""

    priority: Priority = Field(0, description="Higher ones are taken first; above 0 only for services")


class CancelBody(Body):
    """What becomes of what was trained."""

    keep_checkpoint: StrictBool = Field(True, description="Keep what was trained until now")
