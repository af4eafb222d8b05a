"""The HTTP API: every route translates a request into a call of the studio, and its answer into a document.

The functions are plain `def`, so that FastAPI runs them in worker threads and nothing blocks the host's event loop.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from personal_avatar.api import answers, bodies, captions, characters, comparing, gallery, ranking, restoring, schemas
from personal_avatar.api.bodies import DOOR
from personal_avatar.api.captions import CaptionsApi
from personal_avatar.api.characters import CharactersApi
from personal_avatar.api.checking import one_check
from personal_avatar.api.comparing import ComparingApi
from personal_avatar.api.gallery import GalleryApi
from personal_avatar.api.guard import Credentials, Guard
from personal_avatar.api.intake import Intake
from personal_avatar.api.openapi import document
from personal_avatar.api.origins import Allowed, Origins, nobody
from personal_avatar.api.portraits import GenerateBody, asked
from personal_avatar.api.problems import PREFIX, Elsewhere, ProblemRoute, nothing_here
from personal_avatar.api.ranking import RankingApi
from personal_avatar.api.restoring import RestoringApi
from personal_avatar.api.stream import Streams
from personal_avatar.api.table import JOB_ID, MODEL_ID, Row, plain
from personal_avatar.api.uploads import received, received_by_name, received_photos
from personal_avatar.domain import to_json
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.studio import Studio, TrainRequest, meant

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
LIMIT = Query(100, ge=1, le=1000, description="So many at most")
BEFORE = Query(
    None, regex="^[0-9a-z]{1,64}$", description="The last job of the page before: those that come after it in the list"
)
LAST_EVENT_ID = Header("", regex="^[0-9]{0,18}$", description="A number; empty: from the beginning")
BEFORE_MODEL = Query(
    "", alias="before", regex="^[0-9a-z-]{0,48}$",
    description="The last avatar of the page before: those that come after it in the list",
)


class Api:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._streams = Streams(studio)

    # -- models

    def train(self, body: bodies.TrainBody) -> schemas.TrainAccepted:
        """Put a training into the queue. Whoever calls this states that the person in the photos agreed."""
        estimate = self.studio.estimate(len(body.images), body.method, meant(body.class_type, body.plan))
        with received_photos(body.images) as photos:
            job = self.studio.trainings.start(TrainRequest(
                name=body.instance_name, photos=tuple(photos), class_noun=body.class_type, user_id=body.user_id,
                method=body.method, engine=body.engine, plan=body.plan, consent=body.consent, door=DOOR,
                photo_settings=body.photo_settings, choices=bodies.decided(body.choices),
                even_if_too_large=body.even_if_too_large, language=body.language.value,
            ))
        told = answers.accepted(self.studio, job, estimate["seconds"])
        return schemas.TrainAccepted(training_job_id=job.id, differences=job.payload["otherwise"], **told)

    def models(
        self, user_id: str | None = None, limit: int = LIMIT, before_model: str = BEFORE_MODEL
    ) -> schemas.ModelList:
        """Avatars, of one user or of all, in the order of their ids."""
        found = self.studio.avatars.all(user_id, before_model, limit)
        return schemas.ModelList(models=answers.models(self.studio, found))

    def model(self, model_id: str = MODEL_ID) -> schemas.ModelDocument:
        """One avatar: what it was trained on and how well."""
        return answers.models(self.studio, [self.studio.avatars.load(model_id)])[0]

    def erase(self, model_id: str = MODEL_ID) -> schemas.Erased:
        """Erase the photos, embeddings, checkpoints, portraits and jobs of a person."""
        self.studio.avatars.folder(model_id)
        return schemas.Erased(**answers.erased(self.studio, self.studio.delete_avatar(model_id)))

    # -- images

    def generate(self, body: GenerateBody) -> schemas.GenerateAccepted:
        """Put the making of portraits into the queue: ranked by likeness, the best restored.

        Whoever sends references or an image states that the person in them agreed.
        """
        with received_by_name(body.pictures()) as files:
            job = self.studio.create(asked(body, files))
        seconds = self.studio.gallery.estimate(body.count)
        return schemas.GenerateAccepted(generation_job_id=job.id, **answers.accepted(self.studio, job, seconds))

    def identity(self) -> schemas.IdentityDocument:
        """What can be done without training: methods that work with the loaded checkpoint, files found and missing."""
        return schemas.IdentityDocument(**to_json(self.studio.identity_status()))

    def styles(self) -> schemas.StyleList:
        """Style templates: the shipped ones and the host's own."""
        return schemas.StyleList(styles=[to_json(style) for style in self.studio.styles()])

    def check_photos(self, body: bodies.CheckBody) -> schemas.PhotoCheck:
        """What a training would say of these pictures: a verdict for each, advice for all. One check at a time."""
        with one_check(self.studio), received(body.images) as photos:
            found = self.studio.check_photos(
                photos, body.photo_settings, choices=bodies.decided(body.choices), class_noun=body.class_type
            )
            return answers.photo_check(found)

    # -- jobs

    def jobs(
        self, user_id: str | None = None, state: State | None = None, limit: int = LIMIT, before: str | None = BEFORE
    ) -> schemas.JobList:
        """Jobs, newest first."""
        views = self.studio.jobs.views(
            user_id=user_id, states=[state] if state else None, limit=limit, before=before
        )
        return schemas.JobList(jobs=[answers.job(view) for view in views])

    def job(self, job_id: str = JOB_ID) -> schemas.JobDocument:
        """Where a job stands, and its result or its error when it has ended."""
        return answers.job(self.studio.jobs.view(job_id))

    def events(self, job_id: str = JOB_ID, last_event_id: str = LAST_EVENT_ID) -> Response:
        """Server-sent events, from the one after Last-Event-ID; 204 when the job has ended and nothing is left."""
        view, after = self.studio.jobs.view(job_id), int(last_event_id or 0)
        if view.status.state not in ACTIVE and next(self.studio.events(job_id, after), None) is None:
            return Response(status_code=204)
        # "identity": the WebUI packs answers with gzip, which would hold events back until the stream ends
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
        return StreamingResponse(self._streams.follow(job_id, after), 200, headers, "text/event-stream")

    def log(self, job_id: str = JOB_ID) -> Response:
        """The end of what the job's process printed, for people."""
        return PlainTextResponse(self.studio.jobs.log_tail(job_id))

    def cancel(self, job_id: str = JOB_ID, body: bodies.CancelBody | None = None) -> schemas.JobDocument:
        """Ask a job to end; one that waits ends at once, one that runs after its present step."""
        keep = body.keep_checkpoint if body else True
        return answers.job(self.studio.queue.cancel(job_id, keep_checkpoint=keep))

    def pause(self, job_id: str = JOB_ID) -> schemas.JobDocument:
        """Ask a training to stop between two steps and to keep all that it needs to go on; one that waits rests at
        once. 409 for other kinds of jobs, and for what rests or has ended."""
        return answers.job(self.studio.queue.pause(job_id))

    def resume(self, job_id: str = JOB_ID) -> schemas.JobDocument:
        """Let a paused training go on, or one that failed and left all that it needs; 409 for what cannot."""
        return answers.job(self.studio.queue.resume(job_id))

    def prioritise(self, job_id: str = JOB_ID, body: bodies.PriorityBody | None = None) -> schemas.JobDocument:
        """Let a waiting job be taken sooner or later; without a body as usual. 409 for one that does not wait."""
        return answers.job(self.studio.queue.prioritise(job_id, body.priority if body else 0))

    def erase_job(self, job_id: str = JOB_ID) -> schemas.Erased:
        """Erase the pictures of a portraits job and the photos that were sent with it; not possible for a training."""
        return schemas.Erased(**answers.public(self.studio.gallery.erase(job_id)))

    # -- the machine

    def health(self) -> schemas.Health:
        """Whether it works, and with which checkpoint."""
        return schemas.Health(**self.studio.health())

    def install_tiny(self) -> schemas.TinyInstalled:
        """Put the shipped tiny checkpoint where the host finds checkpoints."""
        return schemas.TinyInstalled(title=self.studio.install_tiny().title)


TABLE = (
    Row("POST", "/models/train", Api.train, (404, 409, 413, 429, 503, 507), 202),
    Row("GET", "/models", Api.models),
    Row("GET", "/models/{model_id}", Api.model, (404,)),
    Row("DELETE", "/models/{model_id}", Api.erase, (404, 409)),
    Row("POST", "/images/generate_avatar", Api.generate, (404, 409, 413, 429, 502, 503, 507), 202),
    Row("GET", "/identity", Api.identity),
    Row("POST", "/photos/check", Api.check_photos, (413, 429, 502, 503, 507)),
    Row("GET", "/styles", Api.styles),
    Row("GET", "/jobs", Api.jobs, (404,)),
    Row("GET", "/jobs/{job_id}", Api.job, (404,)),
    Row("DELETE", "/jobs/{job_id}", Api.erase_job, (404, 409)),
    Row("GET", "/jobs/{job_id}/events", Api.events, (404,), answer=plain("text/event-stream", "Events of the job")),
    Row("GET", "/jobs/{job_id}/log", Api.log, (404,), answer=plain("text/plain", "The end of the log")),
    Row("POST", "/jobs/{job_id}/cancel", Api.cancel, (404, 409)),
    Row("POST", "/jobs/{job_id}/pause", Api.pause, (404, 409)),
    Row("POST", "/jobs/{job_id}/resume", Api.resume, (404, 409)),
    Row("PUT", "/jobs/{job_id}/priority", Api.prioritise, (404, 409)),
    Row("GET", "/health", Api.health),
    Row("POST", "/checkpoints/avatar-tiny", Api.install_tiny, (503, 507)),
)

# Each a class with a method a route, made with the studio, and its lines.
TOPICS: tuple[tuple[Callable[[Studio], Any], tuple[Row, ...]], ...] = (
    (Api, TABLE), (GalleryApi, gallery.TABLE), (RestoringApi, restoring.TABLE),
    (RankingApi, ranking.TABLE),
    (CaptionsApi, captions.TABLE), (CharactersApi, characters.TABLE), (ComparingApi, comparing.TABLE),
)


def build_router(studio: Studio, credentials: Credentials | None = None, allowed: Allowed = nobody) -> APIRouter:
    """All routes, to be included into an app. `credentials()` gives the accounts; open while there are none.
    `allowed(origin)`: whether pages from elsewhere may change something, too."""
    guards = [Depends(Guard(credentials))] if credentials else []
    wanted = [Depends(Intake(studio.host.rules)), Depends(Origins(allowed)), *guards]
    router = APIRouter(prefix=PREFIX, route_class=ProblemRoute, tags=["Personal Avatar"], dependencies=wanted)
    for topic, rows in TOPICS:
        api = topic(studio)
        for row in rows:
            row.add_to(router, api)
            if row.path == "/models/train":  # not a model of the name "train"
                router.add_route(PREFIX + row.path, nothing_here, METHODS, include_in_schema=False)
    routes = list(router.routes)
    router.add_api_route("/openapi.json", lambda: document(routes), methods=["GET"], include_in_schema=False)
    for rest in ("", "/{rest:path}"):
        router.routes.append(Route(PREFIX + rest, Elsewhere(), include_in_schema=False))
    return router
