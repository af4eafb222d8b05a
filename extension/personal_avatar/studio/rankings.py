"""Use cases: how much pictures look like somebody, what else can be said of them, and the order that follows."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Avatar
from personal_avatar.errors import InvalidSettings, NotFound
from personal_avatar.problems import stated
from personal_avatar.storage import plain_suffix
from personal_avatar.studio.judges import Judges
from personal_avatar.studio.neighbours import Neighbours
from personal_avatar.studio.works import RANK

if TYPE_CHECKING:
    from personal_avatar.jobs.store import Job
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.studio.picking import Similar
    from personal_avatar.studio.studio import Studio

MAX_IMAGES, MAX_REFERENCES = 20_000, 20
NOBODY = "Photos"  # how a job is called that measures by photos


@dataclass(frozen=True)
class RankRequest:
    """What a user asks for: pictures (`images`, which are copied, or those directly in `folder`, which stay where they
    are), and who it is: an avatar, or photos of one person."""

    images: tuple[Path, ...] = ()
    folder: Path | None = None
    avatar_id: str = ""
    references: tuple[Path, ...] = ()
    user_id: str = "local"


@dataclass(frozen=True)
class RankTask:
    """Payload of a job. `images`, `references`: names of files in its folder `photos`; `called`: what the pictures were
    called; `folder`: "" when pictures were given."""

    avatar_id: str
    images: tuple[str, ...]
    called: tuple[str, ...]
    folder: str
    references: tuple[str, ...]


class Rankings:
    """What the doors may ask about likeness and order."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._neighbours = studio, Neighbours(studio)

    # -- measuring

    def scorer(self, avatar: Avatar, people: int = 1) -> Scorer:
        """Scores pictures by likeness to an avatar, and by whatever else is here; `people`: how many should be in one.

        Raises `WrongState`, `WeightsMissing` without a reference or without the recogniser that made it.
        """
        return Judges(self._studio, people).of_avatar(avatar)

    def scorer_of(self, photos: Sequence[Path], people: int = 1) -> Scorer:
        """The same by photos of one person. Raises `NoFace`, `UnreadablePhoto`, `WeightsMissing`."""
        return Judges(self._studio, people).of_photos(photos)

    def scorer_from(self, reference: Path) -> Scorer:
        """The same by the photos in a file or folder."""
        from personal_avatar.studio.studio import pictures_in

        return self.scorer_of(pictures_in([reference]))

    def rank(
        self, images: Sequence[Path], scorer: Scorer, on_progress: Callable[[int, int], None] | None = None,
        sort: str = "overall", filters: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Existing pictures in order: the document of `personal-avatar rank`. `filters`: such as `likeness>=0.4`.

        Raises `InvalidSettings` before anything is measured.
        """
        from personal_avatar.ranking.folder import rank_files, to_document
        from personal_avatar.ranking.order import Filter, filtered, known, sorted_by

        wanted = [Filter.parse(text) for text in filters]
        key = known(sort)
        found = sorted_by(rank_files(images, scorer, on_progress), key)
        kept = filtered(found, wanted)
        return {**to_document(kept), "left_out": len(found) - len(kept), "remarks": list(scorer.opinions.remarks)}

    # -- as a job

    def start(self, request: RankRequest) -> Job:
        """Put a ranking into the queue. Raises `InvalidSettings`, `BadInput`, `NotFound`, `WrongState`, `QueueFull`."""
        from personal_avatar.studio.studio import pictures_in

        avatar = self._studio.avatars.find(request.avatar_id, request.user_id) if request.avatar_id else None
        if avatar is not None:
            self.scorer(avatar)  # says why when it has no reference
        else:
            _refuse_count(len(request.references))
        if request.folder is not None and not request.folder.is_dir():
            raise stated(NotFound, "failure.no_such_folder", "remedy.path", folder=request.folder)
        images = pictures_in([request.folder]) if request.folder else request.images
        if not 1 <= len(images) <= MAX_IMAGES:
            values = {"count": len(images), "number": MAX_IMAGES}
            raise stated(NotFound, "failure.many_to_rank", "remedy.others", **values)
        return self._submit(request, avatar)

    def _submit(self, request: RankRequest, avatar: Avatar | None) -> Job:
        images = {f"{number:05d}{plain_suffix(path)}": path for number, path in enumerate(request.images)}
        photos = {f"reference-{number:02d}{plain_suffix(path)}": path
                  for number, path in enumerate(request.references)}
        task = RankTask(
            avatar.id if avatar else "", tuple(images), tuple(path.name for path in request.images),
            str(request.folder.resolve()) if request.folder else "", tuple(photos),
        )
        files = {**images, **photos}
        return self._studio.submit(RANK, task, avatar, user_id=request.user_id, title=NOBODY, files=files)

    # -- what came of it

    def best(self, job_id: str, count: int, sort: str = "overall", filters: Sequence[str] = ()) -> list[Path]:
        """Files of the first `count` pictures of a ranking that pass the filters, best first. Raises `NotFound`."""
        from personal_avatar.studio.picking import sorted_rows

        rows = sorted_rows(self._studio, job_id, sort, filters)
        return [row.path for row in rows if row.error is None][:count]

    def take(
        self, files: Sequence[Path], target: Path, move: bool = False, names: Sequence[str] = ()
    ) -> list[Path]:
        """Copy or move files into a folder, numbered in their order; nothing is overwritten. See `taking.take`."""
        from personal_avatar.studio.taking import take

        return take(files, target, move, names)

    def table(self, job_id: str, sort: str = "overall", filters: Sequence[str] = ()) -> str:
        """The pictures of a ranking as CSV, best first. Raises `NotFound`."""
        from personal_avatar.studio.picking import sorted_rows, table

        return table(sorted_rows(self._studio, job_id, sort, filters))

    def more_like(self, job_id: str, number: int, count: int = 6) -> Similar:
        """What to go on from with picture `number` of a job that made or ranked pictures, and its nearest neighbours
        there. Numbers are those of `Gallery`. Raises `NotFound`."""
        from personal_avatar.studio.picking import similar

        return similar(self._studio, job_id, number, count)

    def nearest(self, job_id: str, number: int, count: int) -> tuple[tuple[int, float], ...]:
        """(number, how alike 0..1) of the pictures of a job that are most alike to one, without that one; read once
        and kept. Raises `NotFound` without the job."""
        return self._neighbours.of(job_id, number, count)


def _refuse_count(photos: int) -> None:
    """Raise `InvalidSettings` for no photo of the person, and for too many."""
    if not photos:
        raise stated(InvalidSettings, "failure.nobody_given", "remedy.avatar_or_photo")
    if photos > MAX_REFERENCES:
        values = {"count": photos, "number": MAX_REFERENCES}
        raise stated(InvalidSettings, "failure.many_references", "remedy.best_ones", **values)
