"""Use cases: better faces in pictures that exist, which stay the faces of those who they are."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Avatar
from personal_avatar.errors import (
    AvatarError,
    InvalidSettings,
    NoFace,
    NotFound,
    RestorerMissing,
    WeightsMissing,
    WrongState,
)
from personal_avatar.identities import IdentityRestoreSettings, PictureRestoreSettings
from personal_avatar.params import validated
from personal_avatar.problems import stated
from personal_avatar.storage import plain_suffix
from personal_avatar.studio.restored import merged, told, told_second

if TYPE_CHECKING:
    import numpy as np

    from personal_avatar.faces.analyser import FaceAnalyser
    from personal_avatar.jobs.store import Job
    from personal_avatar.restoration.everybody import RestoredPicture
    from personal_avatar.restoration.judge import FaceReader, Judge, Person
    from personal_avatar.restoration.trial import RestoreSettings
    from personal_avatar.studio.second_pass import Painter
    from personal_avatar.studio.studio import Studio

MAX_IMAGES = 200
MAX_PHOTOS = 20


@dataclass(frozen=True)
class RestoreRequest:
    """What a user asks for: pictures, and who it is (an avatar, or photos of one person); without either every face is
    measured by how it looks now. `settings`: of `PictureRestoreSettings`."""

    images: tuple[Path, ...]
    avatar_id: str = ""
    references: tuple[Path, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    user_id: str = "local"


@dataclass(frozen=True)
class RestoreTask:
    """Payload of a job. `images`, `references`: names of files in its folder `photos`; `called`, `references_called`:
    what they were called."""

    avatar_id: str
    images: tuple[str, ...]
    called: tuple[str, ...]
    references: tuple[str, ...]
    settings: dict[str, Any]
    references_called: tuple[str, ...] = ()


class Restoring:
    """What the doors may ask about restoration."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    # -- who it is

    def judge(self, avatar: Avatar | None = None, photos: Sequence[Path] = ()) -> Judge:
        """What measures faces: the recogniser that fits the avatar or the photos, else the studio's own, and another
        one where it is here; each with its detector. Raises `WeightsMissing`."""
        from personal_avatar.ranking.quality import sharpness
        from personal_avatar.restoration.judge import Judge

        first = self._first(avatar, photos)
        second = self._other(first.name)
        return Judge((first,) if second is None else (first, second), sharpness)

    def _first(self, avatar: Avatar | None, photos: Sequence[Path]) -> FaceAnalyser:
        from personal_avatar.faces.sface import NAME

        studio = self._studio
        try:
            if avatar is None and photos:
                return studio.analyser_of(photos)
            return studio.analyser(avatar.recogniser if avatar is not None else "")
        except WeightsMissing:
            other = self._other(NAME)
            if other is None:
                raise
            return other

    def _other(self, name: str) -> FaceAnalyser | None:
        from personal_avatar.faces.second import second_to

        return second_to(name, self._studio.weights_folder, self._studio.host.folders().identity_folders)

    def person(self, avatar: Avatar, judge: Judge) -> Person:
        """An avatar: the reference that it was trained with, and what its photos say to other recognisers.

        Raises `WrongState` when nothing tells how it looks.
        """
        import numpy as np

        from personal_avatar.pictures import readable
        from personal_avatar.restoration.judge import Person
        from personal_avatar.vectors import unit

        own = unit(np.asarray(avatar.reference)) if avatar.reference else None
        photos, vectors = list(islice(readable(self._studio.avatars.photos(avatar.id)), MAX_PHOTOS)), []
        for reader in judge.readers:
            is_own = own is not None and getattr(reader, "name", "") == avatar.recogniser
            vectors.append(own if is_own else _seen_in(photos, reader))
        if all(vector is None for vector in vectors):
            raise stated(WrongState, "failure.unlike", "remedy.photos_instead", who=avatar.name)
        return Person(avatar.name, tuple(vectors))

    def person_from(self, photos: Sequence[Path], judge: Judge, name: str = "") -> Person:
        """Whom photos show. Raises `NoFace`, `UnreadablePhoto`."""
        from personal_avatar.pictures import load_picture
        from personal_avatar.restoration.judge import person_in

        return person_in([load_picture(photo) for photo in photos[:MAX_PHOTOS]], judge.readers, name)

    def sitting(
        self, avatar: Avatar | None, photos: Sequence[Path], others: Sequence[Sequence[Path]] = ()
    ) -> tuple[Judge, list[Person]]:
        """What measures portraits, and whom they show: first the avatar by its reference, else whom `photos` show, then
        each of `others` by photos of their own, unless no face is found in them. Raises as `judge`, `person` do."""
        trained = avatar if avatar is not None and (avatar.reference or not photos) else None
        judge = self.judge(trained, () if trained else photos)
        name = avatar.name if avatar else ""
        people = [self.person(trained, judge) if trained else self.person_from(photos, judge, name)]
        for place, own in enumerate(others, start=2):
            with suppress(NoFace):
                people.append(self.person_from(own, judge, f"person{place}"))
        return judge, people

    def named_in(self, prompt: str, *, any_weight: bool = False) -> list[Avatar]:
        """Avatars that a prompt names; see `mentions.mentioned`."""
        from personal_avatar.studio.mentions import mentioned

        trained = [avatar for avatar in self._studio.avatars.all() if avatar.reference and avatar.checkpoints]
        if not trained:
            return []
        try:
            checkpoint = self._studio.host.checkpoint().path
        except AvatarError:
            checkpoint = None
        return mentioned(prompt, trained, checkpoint, any_weight=any_weight)

    # -- one picture

    def model(self, wanted: str) -> str:
        """The restorer of that name, the best one when it is empty. Raises `RestorerMissing` when there is none at all,
        `NotFound` for another name than those there are."""
        from personal_avatar.restoration import networks

        models = self._studio.host.restorers()
        if wanted in models or (models and not wanted):
            return wanted or models[0]
        if wanted in networks.KNOWN:
            lacking = networks.missing(wanted, self._studio.weights_folder / networks.FOLDER, models)
            raise NotFound(lacking.message, lacking.hint) if models else lacking
        if not models:
            raise stated(RestorerMissing, "failure.bare_restorer")
        names = ", ".join(models)
        raise stated(NotFound, "failure.other_restorer", "remedy.there_are", restorer=wanted, names=names)

    def picture(
        self, image: np.ndarray, people: Sequence[Person], judge: Judge, settings: IdentityRestoreSettings,
        prompt: str = "", on_face: Callable[[], None] = lambda: None, limits: RestoreSettings | None = None,
    ) -> RestoredPicture:
        """Restore every face of a uint8 RGB picture that needs it, with the host's restorer. `prompt`: what the picture
        was made with; `limits`: see `restore_everybody`. Raises `RestorerMissing`."""
        from personal_avatar.restoration.everybody import restore_everybody

        model, host = self.model(settings.model), self._studio.host
        return restore_everybody(
            image, people, judge, lambda crop, face, fidelity: host.restore(crop, model, fidelity, prompt, face),
            settings, on_face=on_face, limits=limits,
        )

    def file(
        self, image: Path, target: Path, people: Sequence[Person], judge: Judge, settings: PictureRestoreSettings,
        painter: Painter | None = None, on_face: Callable[[], None] = lambda: None,
        limits: RestoreSettings | None = None, prompt: str | None = None,
    ) -> RestoredPicture:
        """Restore the faces in a file; `target` is written when any was, as transparent as the file, and says with
        what. The file stays as it is.

        `painter`: paints the people's small faces anew, before all else; `prompt`: what it was made with, None: what it
        says itself. Raises `RestorerMissing`, `UnreadablePhoto`.
        """
        from personal_avatar.pictures import (
            EDITED,
            alpha_of,
            infotext_of,
            load_picture,
            prompt_in,
            save_picture,
            source_of,
            with_alpha,
            with_settings,
        )
        from personal_avatar.studio.second_pass import repainted

        model, picture, infotext = self.model(settings.model), load_picture(image), infotext_of(image)
        prompt = prompt_in(infotext) if prompt is None else prompt
        painted = repainted(picture, people, judge, settings, painter, prompt, on_face) if painter else None
        found = self.picture(
            picture if painted is None else painted.image, people, judge, settings, prompt, on_face, limits
        )
        said = ", ".join(f"{name}: {value}" for name, value in (*told_second(painted), *told(found, model)))
        if said:
            alpha = alpha_of(image)
            made = found.image if alpha is None else with_alpha(found.image, alpha)
            save_picture(made, target, with_settings(infotext, said), source_of(image) or EDITED, image)
        return merged(painted, found)

    # -- jobs

    def start(self, request: RestoreRequest) -> Job:
        """Put a restoration into the queue. Raises when the settings, the restorer or the person cannot work."""
        from personal_avatar.studio.works import RESTORE

        settings = validated(PictureRestoreSettings, request.settings)
        if not 1 <= len(request.images) <= MAX_IMAGES:
            raise stated(InvalidSettings, "failure.many_pictures", count=len(request.images), number=MAX_IMAGES)
        if len(request.references) > MAX_PHOTOS:
            values = {"count": len(request.references), "number": MAX_PHOTOS}
            raise stated(InvalidSettings, "failure.many_references", "remedy.best_ones", **values)
        self.model(settings.model)
        studio = self._studio
        avatar = studio.avatars.find(request.avatar_id, request.user_id) if request.avatar_id else None
        if avatar is not None:
            self.person(avatar, self.judge(avatar))
        images = {f"image-{number:03d}{plain_suffix(path)}": path for number, path in enumerate(request.images)}
        references = {
            f"reference-{number:02d}{plain_suffix(path)}": path for number, path in enumerate(request.references)
        }
        task = RestoreTask(
            avatar.id if avatar else "", tuple(images), tuple(path.name for path in request.images), tuple(references),
            settings.dict(), tuple(path.name for path in request.references),
        )
        title = "One picture" if len(images) == 1 else f"{len(images)} pictures"
        return studio.submit(RESTORE, task, avatar, user_id=request.user_id, title=title, files=images | references)


def _seen_in(photos: Sequence[Path], reader: FaceReader) -> np.ndarray | None:
    from personal_avatar.pictures import load_picture
    from personal_avatar.restoration.judge import person_in

    try:
        return person_in([load_picture(photo) for photo in photos], [reader]).vectors[0] if photos else None
    except AvatarError:
        return None
