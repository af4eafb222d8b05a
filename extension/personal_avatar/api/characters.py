"""Routes of characters that do not exist."""
from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, conint, constr, root_validator, validator

from personal_avatar.api import answers
from personal_avatar.api.bodies import WORDS, JobBody, Line, Noun
from personal_avatar.api.schemas import Accepted
from personal_avatar.api.settings import mark_nullable, refuse_wrong, schema_of
from personal_avatar.api.table import Row
from personal_avatar.studio import Studio
from personal_avatar.studio.inventing import LONGEST, InventRequest, InventSettings

WHO = ("description", "model_id")
OWN_FIELDS = ("count", "keep", "seed")
Description = constr(strict=True, min_length=1, max_length=LONGEST, regex=WORDS)


class InventBody(JobBody):
    """Somebody described in words, or an avatar whose photos shall become more."""

    description: Description = Field("", description="Who it is; with model_id it is added to every prompt")  # type: ignore[valid-type]
    model_id: Line = Field("", description="An avatar: new poses and places that are as much like it as its own photos")  # type: ignore[valid-type]
    class_type: Noun = Field("person", description="Class noun for a later training")  # type: ignore[valid-type]
    count: conint(strict=True, ge=4, le=400) = Field(40, description="Pictures that are made at most")  # type: ignore[valid-type]
    keep: conint(strict=True, ge=3, le=100) = Field(12, description="Pictures that must show the same character")  # type: ignore[valid-type]
    seed: conint(strict=True, ge=-1, le=2**32 - 1) = Field(-1, description="-1: a random one")  # type: ignore[valid-type]
    settings: dict[str, Any] = Field({}, description="More settings of the tab's panel Invent")

    @validator("settings")
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if own := [name for name in OWN_FIELDS if name in values]:
            raise ValueError(f"{', '.join(own)} have fields of their own")
        return refuse_wrong(InventSettings, values)

    @root_validator(skip_on_failure=True)
    def _somebody(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if not values["description"] and not values["model_id"]:
            raise ValueError(f"one of {', '.join(WHO)} is needed")
        if values["keep"] > values["count"]:
            raise ValueError("keep must be at most count")
        return values

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["settings"] |= schema_of(InventSettings, without=OWN_FIELDS)
            schema["anyOf"] = [{"required": [name]} for name in WHO]


class InventAccepted(Accepted):
    invention_job_id: str


class CharactersApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def invent(self, body: InventBody) -> InventAccepted:
        """Put an invention into the queue. result.images of the job are the photos to train on, the most typical first;
        no person is in them."""
        job = self.studio.invention.start(InventRequest(
            description=body.description, class_noun=body.class_type, count=body.count, keep=body.keep, seed=body.seed,
            avatar_id=body.model_id, user_id=body.user_id, settings=body.settings,
        ))
        return InventAccepted(invention_job_id=job.id, **answers.accepted(self.studio, job, None))


TABLE = (Row("POST", "/characters/invent", CharactersApi.invent, (404, 409, 413, 422, 429, 503, 507), 202),)
