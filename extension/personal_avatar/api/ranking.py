"""Routes of ranking: existing pictures in order, as a job; the same kind of picture once more."""
from __future__ import annotations

from enum import Enum
from pathlib import Path as FilePath
from typing import Any

from fastapi import Query
from pydantic import BaseModel, Field, conlist, constr, root_validator
from starlette.responses import Response

from personal_avatar.api import answers, schemas
from personal_avatar.api.bodies import Encoded, JobBody, Line
from personal_avatar.api.portraits import as_body
from personal_avatar.api.schemas import Document
from personal_avatar.api.settings import mark_nullable
from personal_avatar.api.table import JOB_ID, NUMBER, Row, plain
from personal_avatar.api.uploads import received_by_name
from personal_avatar.errors import WrongState
from personal_avatar.ranking.order import FILTER, KEYS, OVERALL
from personal_avatar.studio import Studio
from personal_avatar.studio.rankings import MAX_REFERENCES, RankRequest

MAX_UPLOADS = 200
Sort = Enum("Sort", {name: name for name in KEYS}, type=str)  # type: ignore[misc]
One = constr(regex=FILTER)
SORT = Query(Sort(OVERALL), description="Best first")
FILTERS = Query([], alias="filter", description="Such as likeness>=0.4; several are all wanted")
COUNT = Query(6, ge=1, le=50)
FOLDER = constr(strict=True, max_length=1000, regex=r"^[^\x00-\x1f]*$")


class RankBody(JobBody):
    """Pictures, and who it is: an avatar, or photos of one person."""

    images: conlist(Encoded, max_items=MAX_UPLOADS) = Field(  # type: ignore[valid-type]
        (), description="base64 or data URLs; each at most 40 MB"
    )
    folder: FOLDER = Field(  # type: ignore[valid-type]
        "", description="In place of images, where callers sit at this machine, and for no account of a person: its "
        "pictures"
    )
    model_id: Line = Field("", description="An avatar")  # type: ignore[valid-type]
    references: conlist(Encoded, max_items=MAX_REFERENCES) = Field(  # type: ignore[valid-type]
        (), description="Photos of one person, in place of an avatar"
    )

    @root_validator(skip_on_failure=True)
    def _one_of_each(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if bool(values.get("images")) == bool(values.get("folder")):
            raise ValueError("either images or folder is needed")
        if bool(values.get("references")) == bool(values.get("model_id")):
            raise ValueError("either model_id or references is needed")
        return values

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["allOf"] = [
                {"oneOf": [_given(one, other), _given(other, one)]}
                for one, other in (("images", "folder"), ("references", "model_id"))
            ]

    def pictures(self) -> dict[str, str]:
        """All pictures of the request by their places in it."""
        photos = {f"references[{number}]": text for number, text in enumerate(self.references)}
        return {f"images[{number}]": text for number, text in enumerate(self.images)} | photos


def _given(name: str, without: str) -> dict[str, Any]:
    """A schema of what has one of two fields and not the other."""
    least = {"minItems": 1} if name in ("images", "references") else {"minLength": 1}
    return {"required": [name], "properties": {name: least}, "not": {"required": [without]}}


class RankAccepted(schemas.Accepted):
    """The job: `result.images` are best first, each with its scores and its `place` in the request."""

    ranking_job_id: str


class Neighbour(Document):
    """Another picture of the same job, by the number that it has in `/jobs/{job_id}/images`. `alike`: 0..1."""

    number: int
    alike: float


class SimilarDocument(Document):
    """How to make more of the kind: fields of /images/generate_avatar, to be sent with the picture as `image`, and with
    a prompt or style where the picture tells of none."""

    request: dict[str, Any]
    nearest: list[Neighbour]


class RankingApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def rank(self, body: RankBody) -> RankAccepted:
        """Put a ranking into the queue: two recognisers, prompt, quality, diversity, and all in one score."""
        if body.folder and not self.studio.host.folders().callers_name_folders:
            raise WrongState("Folders of this machine cannot be named from elsewhere.", "Send the pictures.")
        with received_by_name(body.pictures()) as files:
            named = {place: tuple(path for name, path in files.items() if name.startswith(f"{place}["))
                     for place in ("images", "references")}
            job = self.studio.rankings.start(RankRequest(
                named["images"], FilePath(body.folder) if body.folder else None, body.model_id, named["references"],
                body.user_id,
            ))
        return RankAccepted(ranking_job_id=job.id, **answers.accepted(self.studio, job, None))

    def ranked_table(self, job_id: str = JOB_ID, sort: Sort = SORT, which: list[One] = FILTERS) -> Response:  # type: ignore[valid-type]
        """The pictures of a ranking as CSV, by any score."""
        return Response(self.studio.rankings.table(job_id, sort.value, which), media_type="text/csv")

    def similar(self, job_id: str = JOB_ID, n: int = NUMBER, count: int = COUNT) -> SimilarDocument:
        """More like this: what to ask for, and the nearest pictures of the job."""
        found = self.studio.rankings.more_like(job_id, n, count)
        return SimilarDocument(
            request=answers.public(as_body(found.request)),
            nearest=[Neighbour(number=number, alike=alike) for number, alike in found.nearest],
        )


TABLE = (
    Row("POST", "/images/rank", RankingApi.rank, (404, 409, 413, 429, 502, 503, 507), 202),
    Row("GET", "/jobs/{job_id}/ranked.csv", RankingApi.ranked_table, (404,), answer=plain("text/csv", "The scores")),
    Row("GET", "/jobs/{job_id}/images/{n}/similar", RankingApi.similar, (404,)),
)
