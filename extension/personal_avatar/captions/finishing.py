"""What a tagger said becomes a caption: the trigger first, nothing twice, nothing that belongs to the person."""
from __future__ import annotations

import re

from personal_avatar.captions import mending
from personal_avatar.captions.lint import Subject
from personal_avatar.captions.wording import tidied

# How BLIP begins sentences that say nothing more than that there is something; "arafed" is no word of any language.
_BEGINNING = re.compile(r"^(?:there\s+(?:is|are)\s+)?(?P<article>an?\s+|the\s+)?araf\w*\s+", re.IGNORECASE)
_THERE = re.compile(r"^there\s+(?:is|are)\s+", re.IGNORECASE)


def finished(said: str, subject: Subject, mend: bool = True) -> str:
    """The caption of a picture. Where a tagger says nothing, or nothing that is left, the template stands."""
    text = tidied(_THERE.sub("", _BEGINNING.sub(_with_article, said.strip())).rstrip(".; "))
    if mend:
        text, _ = mending.impersonal(text, subject.trigger, subject.class_noun)
        text, _ = mending.once(text, subject.trigger)
    if not tidied(text):
        return mending.template(subject.trigger, subject.class_noun)
    if subject.trigger:
        text = mending.with_the_trigger(text, subject.trigger, subject.class_noun)
    return mending.shortened(text)[0]


def _with_article(found: re.Match[str]) -> str:
    return found["article"] or "a "
