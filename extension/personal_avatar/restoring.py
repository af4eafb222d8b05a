"""Use cases: a better face in a picture that exists."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import RestorerMissing

if TYPE_CHECKING:
    from personal_avatar.ranking.likeness import Scorer
    from personal_avatar.restoration.restore import Restored
    from personal_avatar.studio import Studio


class Restoring:
    """What the doors may ask about restoration."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def restore(self, image: Path, scorer: Scorer, target: Path, max_drop: float = 0.0) -> Restored:
        """Restore the face in a file with the host's best restorer; `target` is written when the likeness allows it:
        it may fall by `max_drop`.

        Raises `RestorerMissing`, `UnreadablePhoto`.
        """
        from personal_avatar.pictures import EDITED, infotext_of, load_picture, prompt_of, save_picture, source_of
        from personal_avatar.restoration.restore import RestoreSettings, restore_best

        host = self._studio.host
        models = host.restorers()
        if not models:
            raise RestorerMissing("No face restorer is installed.")
        restored = restore_best(
            load_picture(image), scorer, lambda part, w: host.restore(part, models[0], w, prompt_of(image)),
            RestoreSettings(max_drop=max_drop),
        )
        if restored.accepted:
            save_picture(restored.image, target, infotext_of(image), source_of(image) or EDITED)
        return restored
