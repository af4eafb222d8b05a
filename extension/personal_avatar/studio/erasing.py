"""Erasing a person: all that is here of them, in an order in which an attempt that failed can be made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import Avatar
from personal_avatar.erasure import companions, erase_folder, erase_trained, erased, led_to
from personal_avatar.errors import WrongState
from personal_avatar.jobs.homing import original_home
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import JobView, named_in
from personal_avatar.names import same_name
from personal_avatar.publishing import begun
from personal_avatar.studio import drafts, keeping
from personal_avatar.studio.links import Links
from personal_avatar.studio.requests import TrainRequest
from personal_avatar.studio.trained import Trained, likely, trained
from personal_avatar.studio.works import RANK, TRAIN
from personal_avatar.training.data.class_folders import made_by

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio


class Erasing:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def __call__(self, avatar_id: str) -> dict[str, Any]:
        """Erase a person: photos, embeddings, trained files, portraits, jobs; says what was erased and what is left.

        Portraits that the host saved into its own folders are only listed, and so is another file in the place of a
        trained one, with what lies beside it. "checkpoint": the one that is used from now on, where the chosen one was
        the person's. Of somebody whose file is damaged, what looks like trained of them is listed, too.
        Raises `NotFound`, `NotReadable`, and `WrongState` when a job has not ended or something could not be erased;
        then the avatar stays, to be erased again.
        """
        avatar = self._whom(avatar_id)
        with self._studio.starting:
            views = self._about(avatar)
            if any(view.status.state in ACTIVE for view in views):
                raise WrongState(f"A job of {avatar.name} has not ended.", "Cancel it first.")
            half = [path for view in views for path in self._begun(view)]
            is_copy = any(original_home(self._studio.jobs.folder(view.job.id)) for view in views)
            found = trained(avatar, views, self._studio.host.folders(), half, is_copy)
            painted = self._painted(found)
            gone = _there([*found.own, *painted])
            guessed = self._likely(avatar_id)
            links = self._links(avatar, views, [*painted, *_published(found.own)])
            made = [view for view in views if view.job.kind != RANK]  # what was ranked is somebody's own
            told = {path for view in views for path in self._studio.gallery.told_by(view)}
            pictures = named_in(made, "images") | told
            photos = [led_to(path) for path in self._studio.avatars.given(avatar.id)]
            really = {path: led_to(path) for path in gone}
            jobs = [led_to(self._studio.jobs.folder(view.job.id)) for view in views]
            self._erase(avatar, found, painted, views, links)
        others = _there(found.foreign)
        left = [*self._laid_out(avatar), *others, *_there(guessed), *keeping.left_of(pictures), *links.left()]
        files = [str(path) for path in gone if not really[path].exists()]
        counts = [*_counted(photos, "photo"), *_counted(jobs, "job")]
        document = {"id": avatar.id, "erased": [*files, *counts], "left": [*dict.fromkeys(map(str, left))]}
        instead = self._studio.host.fall_back()
        return {**document, "checkpoint": instead} if instead else document

    def _whom(self, avatar_id: str) -> Avatar:
        """Of one whose file is damaged: what its jobs know."""
        if not self._studio.avatars.is_damaged(avatar_id):
            return self._studio.avatars.find(avatar_id)
        jobs = [view.job for view in self._studio.jobs.views(avatar_id=avatar_id)]
        names = [job.title for job in jobs if job.kind == TRAIN]
        user_id = jobs[0].user_id if jobs else ""
        return Avatar(avatar_id, names[0] if names else avatar_id, user_id, class_noun="", trigger="", created_at="")

    def _likely(self, avatar_id: str) -> list[Path]:
        """Of one whose file is damaged, maybe with no job left that tells of it: what looks like trained of it."""
        if not self._studio.avatars.is_damaged(avatar_id):
            return []
        others = {point.path.name for one in self._studio.avatars.all() for point in one.checkpoints}
        return [path for path in likely(avatar_id, self._studio.host.folders()) if path.name not in others]

    def _painted(self, found: Trained) -> list[Path]:
        """Folders of pictures of anybody that a checkpoint of this person made for trainings on it."""
        folders = self._studio.host.folders()
        if not any(path.is_relative_to(folders.checkpoints) for path in found.own):
            return []
        return made_by(folders.data / "cache", found.contents)

    def _links(self, avatar: Avatar, views: Sequence[JobView], files: Iterable[Path]) -> Links:
        jobs = [self._studio.jobs.folder(view.job.id) for view in views]
        places = [self._studio.avatars.folder(avatar.id), *jobs, *self._own_drafts(avatar), *files]
        return Links(places, jobs, self._studio.host.folders().data)

    def _erase(
        self, avatar: Avatar, found: Trained, painted: Sequence[Path], views: Sequence[JobView], links: Links
    ) -> None:
        """All that can be erased. What names others outlives them, so that the next attempt finds what is left: jobs
        name trained files, drafts name jobs. Raises `WrongState` with what is left."""
        left = [folder for folder in painted if not (links.is_behind(folder) or erased(folder))]
        for file in [file for file in found.own if not links.is_behind(file)]:
            left += erase_trained(file, () if links.is_shared(file) else found.contents)
        left += self._erase_jobs([view for view in views if not (left and self._names_trained(view))], links)
        left += [] if left else self._erase_copies(avatar, links)
        self._studio.forget()
        self._studio.avatars.delete(avatar.id, left, links.is_shared)

    def _names_trained(self, view: JobView) -> bool:
        return bool(named_in([view], "files") or self._begun(view))

    def _begun(self, view: JobView) -> list[Path]:
        return begun(self._studio.jobs.folder(view.job.id))

    def _erase_jobs(self, views: Iterable[JobView], links: Links) -> list[Path]:
        """Returns the folders of those that are left."""
        left = []
        for folder in [self._studio.jobs.folder(view.job.id) for view in views]:
            if links.is_shared(folder):
                left += [] if links.cut(folder) else [folder]
                continue
            try:
                self._studio.jobs.delete(folder.name)
            except OSError:
                left.append(folder)
        return left

    def _erase_copies(self, avatar: Avatar, links: Links) -> list[Path]:
        """Archives for download, and laid-out photos of this person; returns what is left of them."""
        left = self._studio.gallery.drop_archives()
        for draft in self._own_drafts(avatar):
            if links.is_shared(draft):
                left += [] if links.cut(draft) else [draft]
                continue
            left += erase_folder(draft, drafts.FILE)
        drafts.sweep(self._studio.host.folders().data / "drafts")
        return left

    def _laid_out(self, avatar: Avatar) -> list[Path]:
        """Folders of photos under the avatar's name."""
        return drafts.drafts_of(self._studio.host.folders().data / "drafts", avatar.name)

    def _own_drafts(self, avatar: Avatar) -> list[Path]:
        """Those that are of this person. Photos are laid out on the page, which acts for one user: under the name of
        another user's avatar they are somebody else's."""
        return self._laid_out(avatar) if avatar.user_id == TrainRequest.user_id else []

    def _described(self, avatar: Avatar) -> set[str]:
        """Jobs that described such photos, maybe before they had a name."""
        return {job_id for draft in self._own_drafts(avatar) for job_id in drafts.caption_jobs(draft)}

    def _about(self, avatar: Avatar) -> list[JobView]:
        """Jobs of an avatar; photos are described before there is one, under the name that it gets."""
        jobs, described = self._studio.jobs, self._described(avatar)
        captions = jobs.views(kind=CAPTION)
        own = (view for view in captions if view.job.user_id == avatar.user_id)
        named = [view for view in own if same_name(view.job.title, avatar.name)]
        found = [*jobs.views(avatar_id=avatar.id), *named, *(one for one in captions if one.job.id in described)]
        return list({view.job.id: view for view in found}.values())


def _counted(paths: Iterable[Path], what: str) -> list[str]:
    """"2 photos", "1 job", of which nothing is there; none is not told of."""
    number = sum(not path.exists() for path in paths)
    return [f"{number} {what}{'' if number == 1 else 's'}"] if number else []


def _there(files: Iterable[Path]) -> list[Path]:
    """Those of the files and their companions that exist, each once."""
    return [path for path in dict.fromkeys(_published(files)) if path.exists()]


def _published(files: Iterable[Path]) -> list[Path]:
    return [path for file in files for path in (*companions(file), file)]
