"""What is wrong with the captions of a set, and the same captions mended."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from personal_avatar import wording
from personal_avatar.captions import mending, tokens
from personal_avatar.captions.wording import key, mentions, parts, tidied

# From so many captions on it says something that all of them have a tag.
ENOUGH = 4
_LONGEST_TAG_WORDS = 4
_WORDS_SHOWN = 6


class Code(str, Enum):
    """Kinds of faults, in the order in which they are mended."""

    EMPTY = "EMPTY"
    IDENTITY = "IDENTITY"
    NEVER_VARIES = "NEVER_VARIES"
    REPEATED = "REPEATED"
    TRIGGER_TWICE = "TRIGGER_TWICE"
    TRIGGER_MISSING = "TRIGGER_MISSING"
    TOO_LONG = "TOO_LONG"


_WHAT = {
    Code.EMPTY: "says nothing",
    Code.IDENTITY: "names what belongs to the person: {words}",
    Code.NEVER_VARIES: "has what all captions have: {words}",
    Code.REPEATED: "says twice: {words}",
    Code.TRIGGER_TWICE: "has the trigger more than once: {words}",
    Code.TRIGGER_MISSING: "lacks the trigger: {words}",
    Code.TOO_LONG: f"is longer than the {tokens.MOST} tokens that are trained on; cut off: {{words}}",
}
_WHY = {
    Code.EMPTY: "The picture would be learned as what a picture looks like without any words.",
    Code.IDENTITY: "What is named is learned as something apart from the person, and has to be written into every "
    "prompt later.",
    Code.NEVER_VARIES: "What never varies cannot be told from the person by the training; without the words it is "
    "learned with the trigger.",
    Code.REPEATED: "Words that are said twice count more than they should, and say nothing more.",
    Code.TRIGGER_TWICE: "Said twice, the trigger crowds out what varies.",
    Code.TRIGGER_MISSING: "Without the trigger nothing of the picture is learned for it.",
    Code.TOO_LONG: wording.text("lint.TOO_LONG.why", most=tokens.MOST),
}


@dataclass(frozen=True)
class Subject:
    """Whom the captions are about. `trigger` may be "": then nothing is asked about it."""

    trigger: str = ""
    class_noun: str = "person"


@dataclass(frozen=True)
class Finding:
    """One fault of one caption. `words`: what it is about; `mended`: the caption with this fault mended."""

    code: Code
    file: str
    words: tuple[str, ...]
    mended: str
    subject: Subject = Subject()

    @property
    def what(self) -> str:
        """An English sentence without its subject, which is the caption."""
        more = len(self.words) - _WORDS_SHOWN
        words = ", ".join(self.words[:_WORDS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return _WHAT[self.code].format(words=words)

    @property
    def why(self) -> str:
        return _WHY[self.code]


def findings(captions: Mapping[str, str], trigger: str = "", class_noun: str = "person") -> tuple[Finding, ...]:
    """All faults, in the order of the files and of `Code`. `captions`: {name of the photo's file: text}."""
    subject = Subject(trigger.strip(), class_noun.strip() or "person")
    constants = _constants(captions, subject)
    return tuple(
        Finding(code, file, words, _repaired(caption, code, words, subject), subject)
        for file, caption in captions.items()
        for code, words in _faults(caption, constants, subject)
    )


def mended(captions: Mapping[str, str], found: Iterable[Finding]) -> dict[str, str]:
    """The captions with these faults mended, and all others as they are."""
    result = dict(captions)
    for finding in sorted(found, key=lambda finding: list(Code).index(finding.code)):
        if finding.file in result:
            result[finding.file] = _repaired(result[finding.file], finding.code, finding.words, finding.subject)
    return result


def _faults(caption: str, constants: frozenset[str], subject: Subject) -> Iterator[tuple[Code, tuple[str, ...]]]:
    if not tidied(caption):
        yield Code.EMPTY, ()
        return
    _, personal = mending.impersonal(caption, subject.trigger, subject.class_noun)
    if personal:
        yield Code.IDENTITY, personal
    if constant := tuple(sorted(constants - set(personal))):
        yield Code.NEVER_VARIES, constant
    _, twice = mending.once(caption, subject.trigger)
    if twice:
        yield Code.REPEATED, twice
    if subject.trigger:
        times = len(mentions(subject.trigger).findall(caption))
        if times != 1:
            yield (Code.TRIGGER_TWICE if times else Code.TRIGGER_MISSING), (subject.trigger,)
    if tokens.count(caption) > tokens.MOST:
        yield Code.TOO_LONG, mending.shortened(caption)[1]


def _constants(captions: Mapping[str, str], subject: Subject) -> frozenset[str]:
    """Tags that all captions have, and glasses, however the captions name them; the person's own names left out."""
    if len(captions) < ENOUGH:
        return frozenset()
    own = {key(subject.trigger), key(subject.class_noun)}
    counted = Counter(tag for caption in captions.values() for tag in {key(part) for part in parts(caption)})
    constant = {
        tag for tag, count in counted.items()
        if count == len(captions) and tag not in own and len(tag.split()) <= _LONGEST_TAG_WORDS
        and not (subject.trigger and mentions(subject.trigger).search(tag))
    }  # fmt: skip
    if all(mending.has_glasses(caption) for caption in captions.values()):
        constant.add("glasses")
    return frozenset(constant)


def _repaired(caption: str, code: Code, words: tuple[str, ...], subject: Subject) -> str:
    text = _REPAIRS[code](caption, words, subject)
    return text if tidied(text) else mending.template(subject.trigger, subject.class_noun)


def _without_all(caption: str, words: tuple[str, ...], subject: Subject) -> str:
    for word in words:
        caption = mending.without_constant(caption, word, subject.class_noun)
    return caption


_REPAIRS: dict[Code, Callable[[str, tuple[str, ...], Subject], str]] = {
    Code.EMPTY: lambda caption, words, subject: caption,
    Code.IDENTITY: lambda caption, words, who: mending.impersonal(caption, who.trigger, who.class_noun)[0],
    Code.NEVER_VARIES: _without_all,
    Code.REPEATED: lambda caption, words, who: mending.once(caption, who.trigger)[0],
    Code.TRIGGER_TWICE: lambda caption, words, who: mending.said_once(caption, who.trigger, who.class_noun),
    Code.TRIGGER_MISSING: lambda caption, words, who: mending.with_the_trigger(caption, who.trigger, who.class_noun),
    Code.TOO_LONG: lambda caption, words, who: mending.shortened(caption)[0],
}
