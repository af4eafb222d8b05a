"""What answers look like."""
from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from personal_avatar.api.settings import mark_nullable
from personal_avatar.jobs.states import State


class Document(BaseModel):
    """Base of everything that goes in and out; what may be null says so in the schema."""

    class Config:
        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[BaseModel]) -> None:
            mark_nullable(schema, model)


class Accepted(Document):
    status: str = Field(..., description="queued, or processing when the job has begun already")
    estimated_time: float | None = Field(
        None, description="Seconds until it has ended, as earlier ones took; null when nothing is known yet"
    )
    starts_in_s: float | None = Field(None, description="Seconds until it begins; null when nothing is known yet")
    position: int = Field(..., description="1: the next; 0: it runs")


class TrainAccepted(Accepted):
    training_job_id: str
    differences: list[str] = Field([], description="What the engine does otherwise than preset and defaults say")


class GenerateAccepted(Accepted):
    generation_job_id: str


class ErrorDocument(Document):
    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] | None = Field(None, description="For programs, such as a plan that needs less memory")


class JobDocument(Document):
    id: str
    kind: str
    title: str
    method: str | None = Field(
        None, description="Of a training, by which it trains; one-photo: the photos alone are measured beside "
        "trainings; null of other kinds"
    )
    user_id: str
    model_id: str
    state: State
    stage: str = Field("", description="check, prepare, cache, class, compile, train, score, selftest of a training; "
                       "caption, generate, rank, gather, restore of others")
    within: str | None = Field(None, description="What is done in the stage while its steps rest: judge, as the "
                               "weights of a step are saved and judged by pictures; null while steps are made")
    parked: bool = Field(False, description="A training that waits while a picture is made, and goes on by itself")
    stalled: Literal["silent", "halted"] | None = Field(
        None, description="Why a running one makes no steps: nothing was heard of it for 15 minutes, or another "
        "program has halted its process; null while it works"
    )
    silent_s: float | None = Field(None, description="Seconds since a running one was last heard of")
    progress: float = Field(
        ..., ge=0, le=1, description="Of the last stage that has steps, such as train or generate: stages without "
        "(check, score, selftest) leave it as it is, a later one that has some (restore after generate) begins at 0 "
        "again; 1 when the job succeeded"
    )
    step: int = Field(..., description="Of the same stage, like total_steps; both stay when the job has ended")
    total_steps: int = Field(..., description="0: no stage with steps has begun yet")
    loss: float | None
    likeness: float | None
    eta_s: float | None = Field(..., description="Seconds until it has ended")
    starts_in_s: float | None = Field(None, description="Seconds until a waiting one begins")
    position: int = Field(..., description="1: the next to run; 0: it does not wait")
    priority: int = Field(0, description="Higher ones are taken first")
    restarts: int = Field(0, description="How often it was taken up again after its process had died")
    error: ErrorDocument | None
    result: dict[str, Any] | None = Field(None, description="Of portraits: images, best first, with scores and url")
    created_at: float = Field(..., description="Unix seconds, like the other times")
    started_at: float | None
    ended_at: float | None


class JobList(Document):
    jobs: list[JobDocument]


class LikenessDocument(Document):
    """Mean cosine similarities; see the README for the words."""

    floor: float
    after: float
    ceiling: float
    leakage: float | None
    recovered: float


class CheckpointDocument(Document):
    file: str
    sha256: str
    step: int
    method: str
    family: str
    engine: str
    likeness: LikenessDocument | None
    used: bool = Field(..., description="Whether pictures with a checkpoint of its family are made with it, unless "
                       "another is named: of those that are here the best of those measured as the newest was, or "
                       "one measured otherwise, of whose merit these have less than half")


class ConsentDocument(Document):
    statement: str
    given_by: str
    given_at: str = Field(..., description="UTC")
    photo_sha256: list[str] = Field(..., description="Of the files that it was given for")
    use: str = Field(..., description="training, or pictures: made from photos without training")
    door: str = Field(..., description="Where it was stated: page, api or command line")


class ModelDocument(Document):
    id: str
    name: str
    user_id: str
    class_type: str
    state: str = Field(..., description="training, ready, untrained; lost: its trained file is not in the "
                       "host's folders, such as after the avatar's folder alone was copied to another machine")
    trigger: str
    prompt: str = Field(..., description="What to put into any prompt to get this avatar")
    base: str
    photos: int
    created_at: str
    job_id: str | None
    likeness: LikenessDocument | None
    checkpoints: list[CheckpointDocument]
    consent: ConsentDocument | None = Field(..., description="The latest statement about this person's consent")
    consents: list[ConsentDocument] = Field(..., description="All of them, oldest first")


class ModelList(Document):
    models: list[ModelDocument]


class Erased(Document):
    id: str
    erased: list[str] = Field(
        ..., description="Files, trained ones with their folder; of an avatar how many photos and jobs"
    )
    left: list[str] = Field(..., description="What could not be erased or lies where others put it")
    checkpoint: str = Field("", description="What is chosen now, where the chosen checkpoint went, too")


class ImageDocument(Document):
    n: int = Field(..., description="Its place by rank when the job ended; it keeps it when others are deleted")
    url: str
    favourite: bool
    restored: bool
    likeness: float | None = Field(..., description="Cosine of the picture that is shown; null without a face")
    scores: dict[str, float | None] = Field(..., description="Parts of the score; null where not measured")
    faces: int
    seed: int
    style: str
    prompt: str


class ImageList(Document):
    images: list[ImageDocument]


class ImageErased(Document):
    id: str
    number: int
    erased: list[str]
    left: list[str] = Field(..., description="What the host saved among its own pictures and nobody asked to delete")


class StyleDocument(Document):
    id: str
    name: str
    prompt: str
    negative_prompt: str
    category: str
    origin: str
    shape: float
    settings: dict[str, dict[str, float]]
    slots: dict[str, str]
    preview: str


class StyleList(Document):
    styles: list[StyleDocument]


class PhotoDocument(Document):
    path: str = Field(..., description="images[n], n as in the request")
    sha256: str | None = Field(None, description="Of the file; by it choices are sent. Null for what cannot be read")
    verdict: str
    reasons: list[str]
    detail: str
    remarks: list[str] = Field([], description="Codes of what is worth telling but rejects nothing")
    values: dict[str, Any] = Field({}, description="Numbers and names that belong to reasons and remarks")
    choice: dict[str, Any] = Field({}, description="take and face, as they were sent")
    look: str = Field("photo", description="photo or drawn")
    size_px: list[int] | None
    face: dict[str, Any] | None = Field(None, description="The one that is meant")
    faces: int
    people: list[dict[str, Any]] = Field([], description="All faces, largest first")
    quality: dict[str, Any]
    similarity: float | None


class PhotoSet(Document):
    accepted: int
    photos: int
    advice: list[str]
    advice_codes: list[dict[str, Any]] = Field([], description="The same as code and values, for translations")
    coverage: dict[str, Any] | None = Field(
        None, description="How many accepted photos show which angle, distance, light, expression; what is missing"
    )


class PhotoCheck(Document):
    photos: list[PhotoDocument]
    set: PhotoSet


class Health(Document):
    status: str
    version: str
    host: str
    checkpoint: str | None
    active_jobs: int


class AdapterDocument(Document):
    file: str
    method: str = Field(..., description="instantid or faceid")
    kind: str
    family: str
    size_mb: float


class MissingDocument(Document):
    method: str
    message: str
    hint: str = Field(..., description="What to get, from where, under which licence")
    weights: list[str] = Field(..., description="What `personal-avatar doctor --fetch` can download")


class IdentityDocument(Document):
    checkpoint: str
    family: str
    methods: list[str] = Field(..., description="What works with the loaded checkpoint; `auto` takes the first")
    adapters: list[AdapterDocument]
    missing: list[MissingDocument]
    problem: str = Field(..., description="Why nothing works, whatever is downloaded; else empty")
    remedy: str = Field(..., description="What to do then")


class TinyInstalled(Document):
    title: str = Field(..., description="Choose this checkpoint in the host to use it")
