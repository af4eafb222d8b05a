"""How faults of a caption are mended: functions from the caption to the better one, and to the words it was about."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from personal_avatar.captions import tokens
from personal_avatar.captions.english import Removal, with_article
from personal_avatar.captions.features import GLASSES, PERSON, is_tag
from personal_avatar.captions.files import with_trigger
from personal_avatar.captions.wording import joined, key, mentions, parts, tidied

Mended = tuple[str, tuple[str, ...]]

_MARK = "\ua66e"  # stands for the trigger while a sentence is taken apart
_GLASSES = re.compile(GLASSES, re.IGNORECASE)
_DOUBLE_NAMES = frozenset({"pom", "bora", "ha", "choo", "night", "bye"})
_TWICE = re.compile(r"\b((?:[\w'-]+\s+){0,4}?[\w'-]+)(?:(?P<joint>\s*,?\s+and)?\s+\1(?![\w'-]))+", re.IGNORECASE)
_PEOPLE = re.compile(rf"(?:.*\s)?{PERSON}", re.IGNORECASE)
_BEFORE_A_NOUN = re.compile(r"\b(?:a|an|the|this|that|his|her|our|my)\s+$", re.IGNORECASE)


def template(trigger: str, class_noun: str) -> str:
    """What stands where nothing is left to say."""
    return f"a photo of {trigger}" if trigger else f"a photo of {with_article(class_noun)}"


@lru_cache(maxsize=1024)  # a page asks again for every caption after each change of one
def impersonal(caption: str, trigger: str, class_noun: str) -> Mended:
    """Without what belongs to the person: tags for it, and what sentences tell of it."""
    mark = _MARK
    while mark in caption:
        mark += _MARK
    text, taken = mentions(trigger).sub(mark, caption) if trigger else caption, []
    for _ in range(3):
        kept = [part for part in parts(text) if not is_tag(key(part))]
        taken += [key(part) for part in parts(text) if is_tag(key(part))]
        removal = Removal((mark, class_noun), class_noun)
        before, text = text, removal.of_qualities(joined(kept))
        taken += removal.taken
        if text == tidied(before):
            break
    words = tuple(dict.fromkeys(word.lower() for word in taken if word))
    return (text.replace(mark, trigger), words) if words else (caption, ())


def has_glasses(caption: str) -> bool:
    return bool(_GLASSES.search(key(caption)))


def without_constant(caption: str, constant: str, class_noun: str) -> str:
    """Without a tag that is in all captions; glasses also go out of sentences."""
    text = joined(part for part in parts(caption) if key(part) != constant)
    return Removal((), class_noun).of_things(text, GLASSES) if _GLASSES.fullmatch(constant) else text


def once(caption: str, trigger: str) -> Mended:
    """Each tag once, and no words twice in a row: "bald bald", "a tie and a tie". Two women stay two."""
    seen: set[str] = set()
    kept: list[str] = []
    words: list[str] = []
    for part in parts(caption):
        name = key(part)
        if name in seen and name != key(trigger):
            words.append(name)
            continue
        seen.add(name)
        kept.append(_said_once(part, words))
    return (joined(kept), tuple(dict.fromkeys(words))) if words else (caption, ())


def _said_once(part: str, words: list[str]) -> str:
    def shorter(found: re.Match[str]) -> str:
        said = found[1]
        if said.lower() in _DOUBLE_NAMES or said.isdigit() or (found["joint"] and _PEOPLE.fullmatch(said)):
            return found[0]
        words.append(said.lower())
        return said

    before = ""
    while part != before:
        before, part = part, _TWICE.sub(shorter, part)
    return part


def said_once(caption: str, trigger: str, class_noun: str) -> str:
    """The trigger at its first place only; later the class stands for it, or nothing where it stands alone."""
    kept: list[str] = []
    for part in parts(caption):
        known = any(mentions(trigger).search(earlier) for earlier in kept)
        if known and key(part) == key(trigger):
            continue
        kept.append(_with_class(part, trigger, class_noun, known))
    return joined(kept)


def _with_class(part: str, trigger: str, class_noun: str, known: bool) -> str:
    def instead(found: re.Match[str]) -> str:
        nonlocal known
        if not known:
            known = True
            return found[0]
        return class_noun if _BEFORE_A_NOUN.search(part[: found.start()]) else with_article(class_noun)

    return mentions(trigger).sub(instead, part)


def with_the_trigger(caption: str, trigger: str, class_noun: str) -> str:
    """The trigger first: in the place of "a woman" where the caption begins so, else before all."""
    begins = re.match(rf"(?:(?:an?|the)\s+)?{re.escape(class_noun)}(?![\w'-])", caption.strip(), re.IGNORECASE)
    if begins and mentions(class_noun).search(trigger):
        return trigger + caption.strip()[begins.end() :]
    return with_trigger(caption, trigger)


def shortened(caption: str) -> Mended:
    """As many parts from the front as are trained on; of a first part that is too long, as many words."""
    pieces = parts(caption)
    fitting = _fitting(pieces, joined)
    kept, cut = pieces[:fitting], pieces[fitting:]
    if len(kept) != 1:
        return joined(kept), tuple(cut)
    words = kept[0].split(" ")
    fitting = _fitting(words, " ".join)
    return " ".join(words[:fitting]), (*words[fitting:], *cut)


def _fitting(pieces: Sequence[str], together: Callable[[Sequence[str]], str]) -> int:
    """How many from the front are trained on, at least one where there is any."""
    low, high = min(1, len(pieces)), len(pieces)
    while low < high:
        middle = (low + high + 1) // 2
        if tokens.count(together(pieces[:middle])) <= tokens.MOST:
            low = middle
        else:
            high = middle - 1
    return low
