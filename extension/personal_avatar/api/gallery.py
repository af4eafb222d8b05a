"""Routes of finished pictures: lists, favourites, sizes, deletion, archives."""
from __future__ import annotations

import uuid
from enum import Enum
from typing import Any

from fastapi import Query
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from personal_avatar import documents
from personal_avatar.albums.entries import FILTER, PARTS, RANK, SORTS, Entry, arranged, wanted
from personal_avatar.albums.sizes import ORIGINAL, SIZES
from personal_avatar.api import answers, schemas
from personal_avatar.api.problems import PREFIX
from personal_avatar.api.table import JOB_ID, NUMBER, Row
from personal_avatar.pictures import FORMATS
from personal_avatar.studio import Studio

Sort = Enum("Sort", {name: name for name in SORTS}, type=str)  # type: ignore[misc]
SizeName = Enum("SizeName", {name: name for name in SIZES}, type=str)  # type: ignore[misc]
Format = Enum("Format", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
SORT = Query(Sort(RANK), description="A part of the score, best first; or rank, as the job ended")
WHICH = Query("", alias="filter", regex=FILTER, description="Such as likeness>=0.4,quality>=0.5,favourite,restored")
SIZE = Query(SizeName(ORIGINAL), description="Cut sizes are around the face")
KIND = Query(Format("png"), alias="format")
ANY_KIND = Query(None, alias="format", description="Without it each file's own")
ONLY = Query([], description="Only these numbers")
HOST_FILES = Query(False, description="Also the file that the host saved among its own pictures")
ANY_PICTURE: dict[str, Any] = {
    "description": "The picture", "content": {media_type: {} for media_type in FORMATS.values()},
}
ZIP: dict[str, Any] = {"description": "The pictures", "content": {"application/zip": {}}}


class GalleryApi:
    """One method a route."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def images(self, job_id: str = JOB_ID, sort: Sort = SORT, which: str = WHICH) -> schemas.ImageList:
        """Pictures of a job with their scores and marks, in an order, within limits."""
        found = arranged(self.studio.gallery.of(job_id), sort.value, wanted(which))
        return schemas.ImageList(images=[_image(entry) for entry in found])

    def image(
        self, job_id: str = JOB_ID, n: int = NUMBER, size: SizeName = SIZE, kind: Format = KIND
    ) -> Response:
        """A finished picture; 0 is the best. Cut sizes are around the face. Its file says whether a model made it."""
        taken = self.studio.gallery.taken(self.studio.gallery.entry(job_id, n), size.value, kind.value)
        return Response(taken.data, media_type=taken.media_type, headers=_named(taken.name, "inline"))

    def like(self, job_id: str = JOB_ID, n: int = NUMBER) -> schemas.ImageDocument:
        """Mark a picture as a favourite."""
        return _image(self.studio.gallery.favourite(job_id, n))

    def unlike(self, job_id: str = JOB_ID, n: int = NUMBER) -> schemas.ImageDocument:
        """Take the mark away."""
        return _image(self.studio.gallery.favourite(job_id, n, liked=False))

    def delete_image(
        self, job_id: str = JOB_ID, n: int = NUMBER, host_files: bool = HOST_FILES
    ) -> schemas.ImageErased:
        """Delete a picture: its file, its restored twin, its record. The others keep their numbers."""
        return schemas.ImageErased(**answers.public(self.studio.gallery.delete(job_id, n, host_files)))

    def archive(
        self, job_id: str = JOB_ID, sort: Sort = SORT, which: str = WHICH, size: SizeName = SIZE,
        kind: Format | None = ANY_KIND, n: list[int] = ONLY,
    ) -> Response:
        """Pictures as a zip, with a contact sheet and their scores as CSV and JSON."""
        gallery = self.studio.gallery
        chosen = [e for e in arranged(gallery.of(job_id), sort.value, wanted(which)) if not n or e.number in n]
        target = gallery.archives / f"{uuid.uuid4().hex}.zip"
        packed = gallery.pack(chosen, target, size.value, kind.value if kind else "")
        sent = BackgroundTask(packed.unlink, missing_ok=True)
        return FileResponse(packed, 200, _named(f"portraits-{job_id[:8]}.zip", "attachment"), "application/zip", sent)


def _named(name: str, how: str) -> dict[str, str]:
    return {"Content-Disposition": f'{how}; filename="{name}"'}


def _image(entry: Entry) -> schemas.ImageDocument:
    portrait = entry.portrait
    return schemas.ImageDocument(
        n=entry.number, url=f"{PREFIX}/jobs/{entry.job_id}/images/{entry.number}", favourite=entry.favourite,
        restored=portrait.restored is not None, likeness=entry.likeness, faces=portrait.faces, seed=portrait.seed,
        style=portrait.style, prompt=portrait.prompt,
        scores=documents.plain({part: entry.score(part) for part in PARTS}),
    )


TABLE = (
    Row("GET", "/jobs/{job_id}/images", GalleryApi.images, (404,)),
    Row("GET", "/jobs/{job_id}/images/{n}", GalleryApi.image, (404,), answer=ANY_PICTURE),
    Row("DELETE", "/jobs/{job_id}/images/{n}", GalleryApi.delete_image, (404, 409)),
    Row("PUT", "/jobs/{job_id}/images/{n}/favourite", GalleryApi.like, (404,)),
    Row("DELETE", "/jobs/{job_id}/images/{n}/favourite", GalleryApi.unlike, (404,)),
    Row("GET", "/jobs/{job_id}/archive", GalleryApi.archive, (404,), answer=ZIP),
)
