"""Use cases: how much pictures look like somebody, and the order that follows."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.avatars import subject_prompt
from personal_avatar.domain import Avatar
from personal_avatar.errors import WrongState

if TYPE_CHECKING:
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.studio import Studio


class Rankings:
    """What the doors may ask about likeness."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def scorer(self, avatar: Avatar) -> Scorer:
        """Scores pictures by likeness to an avatar; raises `WrongState` when its reference is of another recogniser."""
        import numpy as np

        from personal_avatar.ranking.likeness import Scorer

        analyser = self._studio.analyser()
        if avatar.best is not None and not avatar.reference:
            prompt = subject_prompt(avatar.best, 1.0)
            raise WrongState(f"{avatar.name} is a style: it has no face.", f"Write into any prompt: {prompt}.")
        if not avatar.reference or avatar.recogniser != analyser.name:
            raise WrongState(f"{avatar.name} has no reference for the recogniser {analyser.name}.", "Train it again.")
        return Scorer(analyser, np.asarray(avatar.reference, dtype=np.float32))

    def scorer_from(self, reference: Path) -> Scorer:
        """Scores pictures by likeness to the photos in a file or folder."""
        from personal_avatar.ranking.likeness import scorer_from

        return scorer_from(reference, self._studio.analyser())

    def rank(
        self, images: Sequence[Path], reference: Path, on_progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Existing pictures in the order of their likeness: the document of `personal-avatar rank`."""
        from personal_avatar.ranking.folder import rank_files, to_document

        return to_document(rank_files(images, self.scorer_from(reference), on_progress))
