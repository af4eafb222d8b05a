"""What a request for portraits looks like, and how the studio is asked for them."""
from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConstrainedFloat, Field, StrictBool, conint, conlist, constr, root_validator, validator

from personal_avatar.api.bodies import DOOR, STATED_BY_CALLER, Body, Encoded, JobBody, Line, Noun, Statement
from personal_avatar.api.settings import mark_nullable, refuse_wrong, schema_of
from personal_avatar.identities import IdentitySettings
from personal_avatar.studio import CreateRequest
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.studio.oneshot import ELSEWHERE, MAX_PEOPLE, MAX_REFERENCES, Box, Neighbour

Prompt = constr(strict=True, max_length=4000)
StyleId = constr(strict=True, min_length=1, max_length=100)
WHO = ("model_id", "references", "image")
OWN_FIELDS = {"count": "num_images", "seed": "seed", "restore": "restore"}  # settings -> fields of the request
PICTURES = 4  # where nobody says how many, at least


class Share(ConstrainedFloat):
    """0..1; a number of JSON, nothing that looks like one."""

    ge, le = 0.0, 1.0

    @classmethod
    def __get_validators__(cls) -> Generator[Callable[..., Any], None, None]:
        yield _number
        yield from super().__get_validators__()


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a number is wanted, got {value!r}")
    return value


class Region(Body):
    """Where somebody is, in shares of the picture's width and height."""

    left: Share = Field(0.0)
    top: Share = Field(0.0)
    right: Share = Field(1.0)
    bottom: Share = Field(1.0)

    def box(self) -> Box:
        return self.left, self.top, self.right, self.bottom


class Other(Body):
    """Another person of the same picture."""

    references: conlist(Encoded, min_items=1, max_items=MAX_REFERENCES)
    class_type: Noun = "person"
    region: Region | None = None


class GenerateBody(JobBody):
    """A person (an avatar, photos without training, or both), and a style or a prompt."""

    model_id: Line = Field("", description="An avatar; without one, references or image show who it is")
    file: Line = Field("", description="Which of the avatar's files is used, by its name, its method (the best of "
                       "that) or method/name, of `checkpoints` in GET /models/{id}, the best first; left out: "
                       "the one that is marked there as `used`")
    references: conlist(Encoded, min_items=1, max_items=MAX_REFERENCES) = Field(
        (), description="Photos of the person, put into the pictures without training; size limits as in /models/train"
    )
    class_type: Noun = Field("person", description="What the person is called in the prompt where nothing was trained")
    consent: Statement = Field(
        STATED_BY_CALLER, description="Who stated that the person in the photos agreed; kept with the job"
    )
    identity: dict[str, Any] | None = Field(
        None, description="Settings of the way without training; with model_id alone the avatar's own photos are used"
    )
    image: Encoded = Field("", description="A picture of which the share `strength` is painted anew in the style")
    strength: Share = Field(0.6)
    region: Region | None = Field(None, description="Where the person is among others; null: identity.layout says it")
    others: conlist(Other, max_items=MAX_PEOPLE - 1) = Field((), description="More people of the picture, in order")
    pose: Encoded = Field("", description="A picture whose faces give pose and expression (identity.keypoints: image)")
    style_template: StyleId | conlist(StyleId, min_items=1, max_items=50) | None = Field(
        None, description="One id or several; see GET /styles"
    )
    prompt: Prompt | None = Field(None, description="May hold {subject}, which becomes the avatar's trigger")
    negative_prompt: Prompt = ""
    num_images: conint(strict=True, ge=1, le=200) | None = Field(
        None, description=f"One for each style and for the prompt at least; left out: as many, but at least {PICTURES}"
    )
    seed: conint(strict=True, ge=-1, le=2**32 - 1) = Field(-1, description="-1: a random one")
    restore: StrictBool = True
    settings: dict[str, Any] = Field({}, description="More settings of the tab's Create panel")

    @validator("settings")
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if own := [name for name in OWN_FIELDS if name in values]:
            fields = ", ".join(OWN_FIELDS[name] for name in own)
            raise ValueError(f"{', '.join(own)} cannot be set here, but by fields of the request: {fields}")
        return refuse_wrong(CreateSettings, values)

    @validator("identity")
    def _typed_identity(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: N805
        return None if values is None else refuse_wrong(IdentitySettings, values)

    @root_validator(skip_on_failure=True)
    def _somebody(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if not any(values.get(name) for name in WHO):
            raise ValueError(f"one of {', '.join(WHO)} is needed")
        return values

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["settings"] |= schema_of(CreateSettings, without=OWN_FIELDS)
            schema["properties"]["identity"] |= schema_of(IdentitySettings, without=ELSEWHERE)
            schema["anyOf"] = [{"required": [name]} for name in WHO]

    def styles(self) -> tuple[str, ...]:
        """The ids that were named."""
        named = self.style_template or ()
        return (named,) if isinstance(named, str) else tuple(named)

    def pictures(self) -> dict[str, str]:
        """All pictures of the request by their places in it."""
        photos = {f"references[{number}]": text for number, text in enumerate(self.references)}
        for place, other in enumerate(self.others):
            photos |= {f"others[{place}].references[{n}]": text for n, text in enumerate(other.references)}
        return photos | {name: text for name, text in (("image", self.image), ("pose", self.pose)) if text}

    def all_settings(self) -> dict[str, Any]:
        """`settings` with the fields that have names of their own."""
        return {**self.settings, "count": self.count, "seed": self.seed, "restore": self.restore}

    @property
    def count(self) -> int:
        """Pictures to make."""
        wanted = CreateRequest(styles=self.styles(), prompt=self.prompt or "")
        return self.num_images or max(PICTURES, wanted.kinds)


def asked(body: GenerateBody, files: Mapping[str, Path]) -> CreateRequest:
    """The request with its pictures as files, by their places in it."""
    def photos(place: str) -> tuple[Path, ...]:
        return tuple(path for name, path in files.items() if name.startswith(f"{place}["))

    return CreateRequest(
        avatar_id=body.model_id, styles=body.styles(), prompt=body.prompt or "", negative_prompt=body.negative_prompt,
        user_id=body.user_id, settings=body.all_settings(), references=photos("references"), identity=body.identity,
        image=files.get("image"), strength=body.strength, pose=files.get("pose"), consent=body.consent, door=DOOR,
        class_noun=body.class_type, box=body.region.box() if body.region else None,
        file=body.file,
        neighbours=tuple(
            Neighbour(
                photos(f"others[{place}].references"), other.class_type, other.region.box() if other.region else None
            )
            for place, other in enumerate(body.others)
        ),
    )


def as_body(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `GenerateBody` for those of a `CreateRequest`, pictures and what is empty left out."""
    settings = dict(request.get("settings", {}))
    fields = {OWN_FIELDS[name]: settings.pop(name) for name in OWN_FIELDS if name in settings}
    same = ("prompt", "negative_prompt", "strength", "file")
    told = {"model_id": request.get("avatar_id"), "style_template": list(request.get("styles", ())),
            **{name: request.get(name) for name in same}, "settings": settings}
    return {name: value for name, value in told.items() if value} | fields
