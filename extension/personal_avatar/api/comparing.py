"""Routes of comparisons: the same photos through several methods, and the table and sheet of what came of it."""
from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, Field, conlist, validator
from starlette.responses import Response

from personal_avatar.api import answers
from personal_avatar.api.bodies import DOOR, PhotosBody, decided
from personal_avatar.api.checking import one_check
from personal_avatar.api.schemas import Accepted, Document, ErrorDocument
from personal_avatar.api.settings import mark_nullable, refuse_all, schema_of
from personal_avatar.api.table import MODEL_ID, Row, plain
from personal_avatar.api.uploads import received_photos
from personal_avatar.domain import Method
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.store import Job
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.reports.comparison import notes, to_document
from personal_avatar.studio import Studio, TrainRequest, meant
from personal_avatar.studio.comparing import way_of
from personal_avatar.studio.plans import WAYS, Share, plan_of, taken_by, unknown_to
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.planning.plan import PLANS

Way = Enum("Way", {way: way for way in WAYS}, type=str)  # type: ignore[misc]


class CompareBody(PhotosBody):
    """Photos of one person, and the methods that they shall go through one after the other."""

    methods: conlist(Way, min_items=1, max_items=len(WAYS)) = Field(  # type: ignore[valid-type]
        [Way(way) for way in WAYS], description="one-photo: the photos alone, without training; left out, with the "
        "reason, where something is missing for it"
    )
    plan: dict[str, Any] = Field(
        {}, description="Settings for all; a method takes those that it has and that suit it: no optimiser that it "
        "cannot use, no learning rate of ten times or a tenth of its own. lora.rank and the like are for LoRA alone"
    )

    @validator("plan")
    def _typed(cls, plan: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        ways = [way.value for way in values.get("methods", ())]
        given = [(plan_of(way), taken_by(way, plan)) for way in ways]
        if given:
            refuse_all(given, unknown_to(ways, plan), lambda: meant(values.get("class_type", ""), plan))
        return plan

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)
            schema["properties"]["photo_settings"] |= schema_of(PhotoSettings)
            settings = {name: part for kind in PLANS.values() for name, part in schema_of(kind)["properties"].items()}
            alone = {
                f"{way.value}.{name}": part
                for way, kind in PLANS.items() for name, part in schema_of(kind)["properties"].items()
            }
            schema["properties"]["plan"] |= {"additionalProperties": False, "properties": settings | alone}


class ComparedDocument(Document):
    method: str
    job_id: str
    takes: dict[str, Any] = Field({}, description="The settings of the request that it takes")
    leaves: dict[str, Any] = Field({}, description="Those for all that it has and that do not suit it")


class CompareAccepted(Accepted):
    """Of the first job; the others follow it one by one."""

    first_job_id: str
    model_id: str = Field("", description="Whose comparison grows: GET /models/{model_id}/comparison")
    jobs: list[ComparedDocument] = []
    left_out: dict[str, ErrorDocument] = Field({}, description="Methods not among the jobs: why, and what to do")


class RowDocument(Document):
    """One method; null for what was not measured."""

    method: str
    engine: str
    file: str = Field(..., description="Empty where none is made")
    likeness: float | None = Field(..., description="Mean cosine to photos that were held out")
    resemblance: float | None = Field(..., description="Of a style, 0..1; it stands where likeness does for a person")
    recovered: float | None = Field(..., description="Share of the way from `floor` to `ceiling`")
    prompt_following: float | None
    diversity: float | None = Field(..., description="1: pictures of one prompt differ as much as without it")
    leakage: float | None = Field(..., description="How much nearer somebody else of the class came to the person")
    merit: float | None = Field(..., description="What the rows are put in order by: `recovered`, less where prompts "
                                "are no longer followed and where others came nearer, too")
    floor: float | None = Field(..., description="The same in all rows: the best that the bare checkpoint does with "
                                "any of their words for the person, where the report of a training counts from its own")
    ceiling: float | None = Field(..., description="The same in all rows: real pictures among themselves")
    seconds: float | None
    peak_memory_gb: float | None
    file_mb: float | None
    error: ErrorDocument | None = Field(..., description="Why the method failed; null where it did not")


class ComparisonDocument(Document):
    methods: list[RowDocument] = Field(..., description="Best first, by `merit`; then those that failed")
    notes: list[str] = Field(..., description="What has to be known to read the table")


class ComparingApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def compare(self, body: CompareBody) -> CompareAccepted:
        """Put a job a method into the queue, all on the same photos, which are checked before: one check at a time.
        Whoever calls this states that the person in the photos agreed."""
        with one_check(self.studio), received_photos(body.images) as photos:
            started = self.studio.comparing.start(TrainRequest(
                name=body.instance_name, photos=tuple(photos), class_noun=body.class_type, user_id=body.user_id,
                plan=body.plan, photo_settings=body.photo_settings, choices=decided(body.choices),
                consent=body.consent, door=DOOR, language=body.language.value,
            ), [way.value for way in body.methods])
        first = started.jobs[0]
        return CompareAccepted(
            first_job_id=first.id, model_id=first.avatar_id,
            left_out={way: ErrorDocument(**error.to_json()) for way, error in started.left_out.items()},
            jobs=[_document(job, started.shares[way_of(job)]) for job in started.jobs],
            **answers.accepted(self.studio, first, self._guess(first)),
        )

    def _guess(self, job: Job) -> float | None:
        """Seconds that a training will take, for where nothing was learned yet; None of photos alone, and where that
        cannot be told now."""
        if job.kind != TRAIN:
            return None
        method, task = Method(job.payload["method"]), job.payload
        try:
            seconds: float = self.studio.estimate(len(task["photos"]), method, task["plan"])["seconds"]
        except AvatarError:  # the jobs are in the queue, whatever became of the checkpoint since
            return None
        return seconds

    def comparison(self, model_id: str = MODEL_ID) -> ComparisonDocument:
        """What each method made of the photos and the checkpoint of the avatar's last training."""
        rows = self.studio.comparing.rows(self.studio.avatars.load(model_id).id)
        return ComparisonDocument(methods=[RowDocument(**row) for row in to_document(rows)], notes=notes(rows))

    def comparison_sheet(self, model_id: str = MODEL_ID) -> Response:
        """The same as a picture: the numbers of each method beside its pictures of the same prompts and seeds."""
        sheet = self.studio.comparing.sheet(self.studio.avatars.load(model_id))
        return Response(sheet, media_type="image/png")


def _document(job: Job, share: Share) -> ComparedDocument:
    return ComparedDocument(method=way_of(job), job_id=job.id, takes=share.plan, leaves=share.left)


TABLE = (
    Row("POST", "/comparisons", ComparingApi.compare, (404, 409, 413, 429, 503, 507), 202),
    Row("GET", "/models/{model_id}/comparison", ComparingApi.comparison, (404,)),
    Row("GET", "/models/{model_id}/comparison.png", ComparingApi.comparison_sheet, (404,),
        answer=plain("image/png", "The sheet")),
)
