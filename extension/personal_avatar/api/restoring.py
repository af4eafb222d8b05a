"""Route of restoration: better faces in pictures that exist, as a job whose pictures are fetched by number."""
from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, conlist, root_validator, validator

from personal_avatar.api import answers, schemas
from personal_avatar.api.bodies import Encoded, JobBody, Line
from personal_avatar.api.settings import mark_nullable, refuse_wrong, schema_of
from personal_avatar.api.table import Row
from personal_avatar.api.uploads import received_by_name
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.studio import Studio
from personal_avatar.studio.restoring import MAX_IMAGES, MAX_PHOTOS, RestoreRequest

ELSEWHERE = frozenset({"enabled"})  # whoever asks wants it


class RestoreBody(JobBody):
    """Pictures, and who it is: an avatar, or photos; without either every face stays like itself."""

    images: conlist(Encoded, min_items=1, max_items=MAX_IMAGES) = Field(  # type: ignore[valid-type]
        ..., description="base64 or data URLs; each at most 40 MB"
    )
    model_id: Line = Field("", description="An avatar whom the faces shall look like")  # type: ignore[valid-type]
    references: conlist(Encoded, max_items=MAX_PHOTOS) = Field(  # type: ignore[valid-type]
        (), description="Photos of one person, in place of an avatar"
    )
    settings: dict[str, Any] = Field({}, description="What differs from the defaults")

    @validator("settings")
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if ELSEWHERE & set(values):
            raise ValueError(f"{', '.join(ELSEWHERE & set(values))} cannot be set here")
        return refuse_wrong(PictureRestoreSettings, values)

    @root_validator(skip_on_failure=True)
    def _one_person(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if values.get("model_id") and values.get("references"):
            raise ValueError("either model_id or references, not both")
        return values

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["settings"] |= schema_of(PictureRestoreSettings, without=ELSEWHERE)
            schema["not"] = {"required": ["model_id", "references"]}

    def pictures(self) -> dict[str, str]:
        """All pictures of the request by their places in it."""
        photos = {f"references[{number}]": text for number, text in enumerate(self.references)}
        return {f"images[{number}]": text for number, text in enumerate(self.images)} | photos


class RestoreAccepted(schemas.Accepted):
    """The job, whose `result.images` are in the order of the request, each with its `place` there; what cannot be read
    is not among them, but with its `place` in `result.unreadable`. `result.faces` tells of every face."""

    restoration_job_id: str


class RestoringApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def restore(self, body: RestoreBody) -> RestoreAccepted:
        """Put a restoration into the queue: small and blurred faces, each as freely as its likeness allows."""
        with received_by_name(body.pictures()) as files:
            named = {place: tuple(path for name, path in files.items() if name.startswith(f"{place}["))
                     for place in ("images", "references")}
            job = self.studio.restoring.start(RestoreRequest(
                named["images"], body.model_id, named["references"], body.settings, body.user_id
            ))
        return RestoreAccepted(restoration_job_id=job.id, **answers.accepted(self.studio, job, None))


TABLE = (Row("POST", "/images/restore", RestoringApi.restore, (404, 409, 413, 429, 502, 503, 507), 202),)
