"""Every face of a picture by itself: those that need it are restored, as freely as their likeness allows."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.identities import IdentityRestoreSettings
from personal_avatar.restoration.judge import FaceWatch, Judge, Person, Watched
from personal_avatar.restoration.trial import Restorer, RestoreSettings, Trial, strongest
from personal_avatar.wording import text

SHARPER = 1.05  # what a change to a face must bring of which nobody knows how it ought to look


@dataclass(frozen=True)
class FaceReport:
    """What became of a face. `known`: False when it was measured by itself; `person`: who it is; `before`, `after`:
    likeness, a cosine for each recogniser; `closest`: the first one's cosine to whom it is most like of the people that
    were looked for; no `reason` when it was restored."""

    face: Face
    known: bool
    person: str
    restored: bool
    fidelity: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    reason: str = ""
    closest: float | None = None

    @property
    def told(self) -> bool:
        """Whether any recogniser could tell who it is, or was."""
        return bool(self.before and self.after)


@dataclass(frozen=True)
class RestoredPicture:
    """`image`: the original array when nothing was restored. `faces`: all, largest first."""

    image: np.ndarray
    faces: tuple[FaceReport, ...]

    @property
    def count(self) -> int:
        """How many faces were restored."""
        return sum(face.restored for face in self.faces)

    @property
    def reason(self) -> str:
        """Why the picture stays as it is; empty when it does not."""
        if self.count:
            return ""
        return self.faces[0].reason if self.faces else text("unrestored.no_face")


def restore_everybody(
    image: np.ndarray, people: Sequence[Person], judge: Judge, restorer: Restorer, settings: IdentityRestoreSettings,
    is_ours: Callable[[Face], bool] = lambda face: True, on_face: Callable[[], None] = lambda: None,
    limits: RestoreSettings | None = None,
) -> RestoredPicture:
    """Restore the faces of a uint8 RGB (height, width, 3) picture that are small or not sharp, one after the other.

    A face that shows one of `people` never becomes less like them; others (and all, without people) stay like
    themselves. `is_ours`: whether a face may be touched; `on_face`: called before each, may raise to stop; `limits`:
    how each is cut out and how often it is tried. What `restorer` raises passes through. All pixels outside the
    ellipses of restored faces keep their bytes.
    """
    before = judge.look(image, people)
    picture, reports = image, []
    for number, watched in enumerate(before):
        reason = _left_alone(watched, bool(people), settings, is_ours)
        if reason:
            reports.append(_kept(watched, reason))
            continue
        on_face()
        picture, report = _restored(
            picture, before, number, judge, restorer, settings, limits or RestoreSettings(fidelity=settings.fidelity)
        )
        reports.append(report)
    return RestoredPicture(picture, tuple(reports))


def _left_alone(
    watched: Watched, somebody: bool, settings: IdentityRestoreSettings, is_ours: Callable[[Face], bool]
) -> str:
    """Why a face is not touched; empty when it shall be."""
    if somebody and not watched.known and not settings.others:
        return text("unrestored.other")
    if not is_ours(watched.face):
        return text("unrestored.not_ours")
    return "" if needs_it(watched.face, watched.sharpness, settings) else text("unrestored.good")


def needs_it(face: Face, sharpness: float, settings: IdentityRestoreSettings) -> bool:
    """Whether a face is small or not sharp; every one when neither limit is set."""
    if not settings.below_px and not settings.below_sharpness:
        return True
    return max(face.width_px, face.height_px) < settings.below_px or sharpness < settings.below_sharpness


def _restored(
    picture: np.ndarray, before: Sequence[Watched], number: int, judge: Judge, restorer: Restorer,
    settings: IdentityRestoreSettings, limits: RestoreSettings,
) -> tuple[np.ndarray, FaceReport]:
    watched = before[number]
    drop = settings.min_similarity_drop if watched.known else settings.self_drop
    limits = limits if watched.known else limits.copy(update={"min_sharpness": max(limits.min_sharpness, SHARPER)})
    others = [one.face for one in before if one is not watched]
    watch = FaceWatch(judge, picture, before, number, drop, limits)
    best = strongest(Trial(picture, watched.face, restorer, limits, watch, others), limits.fidelity, limits.trials)
    if best.problem:
        return picture, _kept(watched, best.problem)
    return best.image, FaceReport(
        watched.face, watched.known, watched.person, True, best.fidelity, watched.told, best.seen.likeness,
        closest=watched.closest,
    )


def _kept(watched: Watched, reason: str) -> FaceReport:
    return FaceReport(
        watched.face, watched.known, watched.person, False, 1.0, watched.told, watched.told, reason, watched.closest
    )
