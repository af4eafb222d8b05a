"""How photos are described: settings of the taggers, one declaration each."""
from __future__ import annotations

from personal_avatar.params import Settings, setting


class CaptionSettings(Settings):
    """`tag_from`, `character_from`: probabilities from which a tag of a WD tagger counts (what the model cards
    recommend). `mend`: whether what belongs to the person, and what is said twice, is left out at once.
    """

    tag_from: float = setting(0.35, "tagging.tag_from", ge=0, le=1, step=0.01)
    character_from: float = setting(0.85, "tagging.character_from", ge=0, le=1, step=0.01, advanced=True)
    mend: bool = setting(True, "tagging.mend")
