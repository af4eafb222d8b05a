"""What a person is called: names, ids made of them, the class noun and the trigger."""
from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator

from personal_avatar.params import shown
from personal_avatar.problems import refused
from personal_avatar.storage import slug, writable

TRIGGER_TOKEN = "sks"
NOUN = "class_type"  # what the class noun is called in requests
# Unicode's controls of direction: what stands behind one is shown in another order than it has.
DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MARKS = "PZC"  # first letters of Unicode's categories: punctuation, spaces, control characters
UNSEEN = ("Cc", "Zl", "Zp")  # Unicode's categories of control characters and of ends of lines and paragraphs
RESERVED_IDS = frozenset({"train"})  # /models/train is an address of its own in the API


def ids_for(name: str) -> Iterator[str]:
    """Ids for a name, in the order in which they are tried."""
    word = slug(name)
    if word not in RESERVED_IDS:
        yield word
    yield from (f"{word[:44].rstrip('-')}-{number}" for number in itertools.count(2))


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same letters, however their accents are written: macOS takes them apart."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def nearly_same(one: str, other: str) -> bool:
    """Whether two names differ, and in nothing but the case of their letters."""
    return not same_name(one, other) and same_name(one.casefold(), other.casefold())


def checked_name(name: str) -> str:
    """The same name without spaces around it and with its accents on their letters (NFC); raises `InvalidSettings` for
    what is none, holds bytes that are no text, does not fit on one line, or is shown in another order than it is
    written in."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > 80:
        raise refused("problem.name.length")
    if not writable(name):
        raise refused("problem.name.bytes", "remedy.name.bytes")
    if any(unicodedata.category(sign) in UNSEEN for sign in name):
        raise refused("problem.name.control", "remedy.name.control")
    if DIRECTIONS & set(name):
        raise refused("problem.name.direction", "remedy.name.direction")
    if all(unicodedata.category(sign)[0] in MARKS for sign in name):
        raise refused("problem.name.none", "remedy.name.none", got=shown(name))
    return name


def checked_noun(class_noun: str) -> str:
    """The same noun with single spaces; raises `InvalidSettings` for what is no English noun, or the trigger itself."""
    words = [word for word in class_noun.split(" ") if word]
    noun = " ".join(words)
    if not noun.isascii() or not "".join(words).isalpha() or len(noun) > 30:
        raise refused("problem.noun.english", name=NOUN, got=shown(class_noun))
    if TRIGGER_TOKEN in (word.lower() for word in words):
        raise refused("problem.noun.trigger", "remedy.noun.trigger", name=NOUN, word=TRIGGER_TOKEN)
    return noun


def trigger_of(class_noun: str) -> str:
    return f"{TRIGGER_TOKEN} {class_noun}"
