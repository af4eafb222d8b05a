"""What an editor of captions does, without a page: every function takes captions and returns new ones.

Captions are {name of the photo's file: text}.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from personal_avatar.captions import expressions
from personal_avatar.captions.wording import joined, key, mentions, parts, tidied, words_of
from personal_avatar.errors import InvalidSettings

Captions = Mapping[str, str]

LONGEST_TAG_WORDS = 3  # a part with more words is a sentence, of which the words are counted
KEPT_STEPS = 100
_EVERYWHERE = (
    "a an and are as at be by for from has have he her his in is it its of on or she that the their there they this to "
    "was were who with"
)
_SMALL = frozenset(_EVERYWHERE.split())


def replaced(captions: Captions, search: str, replacement: str, regex: bool = False) -> dict[str, str]:
    """Every place of `search` with `replacement` instead, in any case; what is changed is tidied.

    A plain search finds whole words only, so that "hat" is not found in "what". With `regex` the replacement may name
    groups (`\\1`). Raises `InvalidSettings` for an empty search and for an expression that cannot be read or would take
    too long.
    """
    if not search.strip():
        raise InvalidSettings("There is nothing to search for.", "Write the word that shall be replaced.")
    found = expressions.read(search, captions.values()) if regex else mentions(search.strip())
    try:
        return {name: _with(text, found, replacement, regex) for name, text in captions.items()}
    except (re.error, IndexError) as error:
        raise InvalidSettings(f"The replacement cannot be used: {error}.", "Name only groups that there are.") from None


def _with(text: str, found: re.Pattern[str], replacement: str, regex: bool) -> str:
    changed = found.sub(replacement if regex else lambda _: replacement, text)
    return text if changed == text else tidied(changed)


def with_caption(captions: Captions, name: str, text: str) -> dict[str, str]:
    """The caption of one picture written anew."""
    return {**captions, name: tidied(text)}


def with_tag(captions: Captions, tag: str, first: bool = False) -> dict[str, str]:
    """`tag` in every caption that lacks it, behind the other parts or, with `first`, before them."""
    return {name: _added(text, tag, first) for name, text in captions.items()}


def _added(text: str, tag: str, first: bool) -> str:
    pieces = parts(text)
    if key(tag) in map(key, pieces):
        return text
    return joined([tag.strip(), *pieces] if first else [*pieces, tag.strip()])


def without_tag(captions: Captions, tag: str) -> dict[str, str]:
    """No caption has the part `tag` any more."""
    wanted = key(tag)
    return {name: joined(part for part in parts(text) if key(part) != wanted) for name, text in captions.items()}


def frequencies(captions: Captions) -> list[tuple[str, int]]:
    """In how many captions each tag occurs, and each word of a sentence but the small ones; the most frequent first."""
    counted: Counter[str] = Counter()
    for text in captions.values():
        counted.update(terms(text))
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def terms(caption: str) -> set[str]:
    """Tags of a caption, and the words of its sentences."""
    found: set[str] = set()
    for part in parts(caption):
        words = key(part).split()
        found |= {" ".join(words)} if len(words) <= LONGEST_TAG_WORDS else _words(part)
    return found - {""}


def _words(sentence: str) -> set[str]:
    return words_of(sentence) - _SMALL


@dataclass(frozen=True)
class History:
    """The captions as they are `now`, and the steps back and forth. Nothing in it changes: each step is a new one."""

    now: Captions
    past: tuple[Captions, ...] = field(default=())
    future: tuple[Captions, ...] = field(default=())

    @property
    def can_undo(self) -> bool:
        return bool(self.past)

    @property
    def can_redo(self) -> bool:
        return bool(self.future)

    def changed(self, captions: Captions) -> History:
        """The next step; one that changes nothing is none. What was undone before cannot be redone any more."""
        if dict(captions) == dict(self.now):
            return self
        return History(dict(captions), (*self.past, self.now)[-KEPT_STEPS:])

    def undone(self) -> History:
        """One step back; the same when there is none."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.now, *self.future))

    def redone(self) -> History:
        """One step forth again; the same when there is none."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.now), self.future[1:])
