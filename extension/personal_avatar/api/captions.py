"""Routes of captions: photos described by a tagger, and captions with what is wrong in them mended."""
from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field, conlist, constr, validator

from personal_avatar.api import answers
from personal_avatar.api.bodies import Body, Encoded, JobBody, Line, Noun
from personal_avatar.api.schemas import Document
from personal_avatar.api.settings import mark_nullable, refuse_wrong, schema_of
from personal_avatar.api.table import Row
from personal_avatar.api.uploads import received
from personal_avatar.captions.files import LONGEST
from personal_avatar.captions.lint import Code
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.domain import to_json
from personal_avatar.errors import QueueFull
from personal_avatar.studio import MAX_PHOTOS, Studio
from personal_avatar.studio.captioning import to_document

MOST_CAPTIONS = 1000
MOST_CHARACTERS = 100_000  # of all captions of a request together
Trigger = constr(strict=True, max_length=100, regex=r"^[^\x00-\x1f]*$")
Caption = constr(strict=True, max_length=LONGEST)


class CaptionBody(JobBody):
    """Pictures, and what shall describe them."""

    images: conlist(Encoded, min_items=1, max_items=MAX_PHOTOS)  # type: ignore[valid-type]
    tagger: Line = Field(  # type: ignore[valid-type]
        "wd14", description="template, wd14, wd14-vit, wd14-swinv2, wd14-eva02; as a job blip; in the WebUI also "
        "webui-blip, deepdanbooru"
    )
    trigger: Trigger = Field("", description="What stands for the person, first in each caption")  # type: ignore[valid-type]
    class_type: Noun = "person"  # type: ignore[valid-type]
    settings: dict[str, Any] = Field({}, description="What differs from the defaults")

    @validator("settings")
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return refuse_wrong(CaptionSettings, values)

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["settings"] |= schema_of(CaptionSettings)


class CaptionDocument(Document):
    image: str = Field(..., description="images[n], n as in the request")
    caption: str


class SkippedDocument(Document):
    image: str
    reason: str


class CaptionsDocument(Document):
    """With status 202 the captions are in the job's result, by the same names."""

    captions: list[CaptionDocument] = Field([])
    skipped: list[SkippedDocument] = Field([], description="Pictures that cannot be read")
    caption_job_id: str | None = Field(None, description="Of a tagger that needs a process of its own")


class TaggerDocument(Document):
    name: str = Field(..., description="For `tagger` of POST /photos/caption")
    ready: bool
    missing: str = Field(..., description="What it lacks, with size and licence; empty when it is ready")
    hint: str
    weights: list[str] = Field(..., description="What `personal-avatar doctor --fetch` can download for it")
    here: bool = Field(..., description="Answers at once; otherwise a job does")


class TaggerList(Document):
    taggers: list[TaggerDocument]


class LintBody(Body):
    """Captions by the names of their photos, of at most 100,000 characters together."""

    captions: dict[str, Caption]  # type: ignore[valid-type]
    trigger: Trigger = Field("", description="Without one nothing is asked about it")  # type: ignore[valid-type]
    class_type: Noun = "person"  # type: ignore[valid-type]

    @validator("captions")
    def _not_too_many(cls, values: dict[str, str]) -> dict[str, str]:  # noqa: N805
        if len(values) > MOST_CAPTIONS:
            raise ValueError(f"{len(values)} captions are more than {MOST_CAPTIONS}")
        if (length := sum(map(len, values.values()))) > MOST_CHARACTERS:
            raise ValueError(f"{length} characters are more than {MOST_CHARACTERS}")
        return values

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            schema["properties"]["captions"]["maxProperties"] = MOST_CAPTIONS


class FindingDocument(Document):
    file: str
    code: str = Field(..., description=", ".join(code.value for code in Code))
    words: list[str]
    what: str
    why: str
    mended: str = Field(..., description="The caption with this fault mended and no other")


class LintDocument(Document):
    findings: list[FindingDocument]
    mended: dict[str, str] = Field(..., description="All captions, with all that was found mended")


class CaptionsApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._describing = threading.Lock()
        self._linting = threading.Lock()

    def caption(self, body: CaptionBody, response: Response) -> CaptionsDocument:
        """Captions of pictures, at once; by BLIP as a job (202). Nothing is downloaded: what is missing is named."""
        asked = {"trigger": body.trigger, "class_noun": body.class_type, "settings": body.settings}
        with received(body.images) as photos:
            if body.tagger in self._jobs():
                response.status_code = 202
                job = self.studio.captions.start(photos, body.tagger, user_id=body.user_id, **asked)
                return CaptionsDocument(captions=[], skipped=[], caption_job_id=job.id)
            with _alone(self._describing, "Pictures of another request are being described."):
                found = self.studio.captions.describe(photos, body.tagger, **asked)
        return CaptionsDocument(
            captions=_rows(photos, found.captions, "caption"), skipped=_rows(photos, found.skipped, "reason"),
            caption_job_id=None,
        )

    def _jobs(self) -> list[str]:
        return [status.name for status in self.studio.captions.taggers() if not status.here]

    def taggers(self) -> TaggerList:
        """What can describe pictures here, and what the others lack."""
        found = [to_json(status) for status in self.studio.captions.taggers()]
        for status in found:
            del status["as_job"]
        return TaggerList(taggers=answers.public(found))

    def lint(self, body: LintBody) -> LintDocument:
        """What in captions would spoil a training, and the captions with all of it mended."""
        with _alone(self._linting, "Captions of another request are being looked at."):
            found, mended = self.studio.captions.lint(body.captions, body.trigger, body.class_type)
        return LintDocument(findings=answers.public(to_document(found)), mended=mended)


@contextmanager
def _alone(lock: threading.Lock, otherwise: str) -> Iterator[None]:
    """One request at a time. Raises `QueueFull`."""
    if not lock.acquire(blocking=False):
        raise QueueFull(otherwise, "Try again in a few seconds.")
    try:
        yield
    finally:
        lock.release()


def _rows(photos: Sequence[Path], told: dict[Path, str], name: str) -> list[Any]:
    return [{"image": photo.name, name: told[photo]} for photo in photos if photo in told]


_JOB: dict[int | str, dict[str, Any]] = {202: {"description": "A job describes them", "model": CaptionsDocument}}
TABLE = (
    Row("GET", "/photos/taggers", CaptionsApi.taggers),
    Row("POST", "/photos/caption", CaptionsApi.caption, (404, 409, 413, 429, 502, 503, 507), more=_JOB),
    Row("POST", "/photos/lint", CaptionsApi.lint, (429,)),
)
