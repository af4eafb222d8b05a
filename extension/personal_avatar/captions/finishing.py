"""What a tagger said becomes a caption: the trigger first, nothing twice, nothing that belongs to the person."""
from __future__ import annotations

import re

from personal_avatar.captions import mending
from personal_avatar.captions.english import article
from personal_avatar.captions.lint import Subject
from personal_avatar.captions.wording import tidied

# How BLIP begins sentences that say nothing more than that there is something; "arafed" and "araffe" are no words of
# any language, and stand before the noun or in its place.
_THERE = re.compile(r"^there\s+(?:is|are)\s+", re.IGNORECASE)
_NO_WORD = re.compile(
    r"^(?P<article>an?\s+|the\s+)?araf\w*\s+(?P<alone>(?=(?:with|in|on|at|of|that|who|is|and|\w+ing)\b))?",
    re.IGNORECASE,
)


def finished(said: str, subject: Subject, mend: bool = True) -> str:
    """The caption of a picture. Where a tagger says nothing, or nothing that is left, the template stands."""
    text = tidied(said.strip().rstrip(".; "))
    if mend:
        text, _ = mending.impersonal(text, subject.trigger, subject.class_noun)
        text, _ = mending.once(text, subject.trigger)
    text = _plain(text, subject.class_noun)
    if not text:
        return mending.template(subject.trigger, subject.class_noun)
    if subject.trigger:
        text = mending.with_the_trigger(text, subject.trigger, subject.class_noun)
    return mending.shortened(text)[0]


def _plain(text: str, class_noun: str) -> str:
    """Without the words that say nothing."""
    def instead(found: re.Match[str]) -> str:
        noun = f"{class_noun} " if found["alone"] is not None else ""
        return (found["article"] or f"{article(class_noun)} ") + noun

    return tidied(_NO_WORD.sub(instead, _THERE.sub("", text)))
