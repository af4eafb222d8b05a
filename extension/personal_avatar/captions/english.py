"""Taking a thing out of an English sentence so that good English is left.

"a woman with long brown hair and glasses wearing a hat" without the hair is "a woman with glasses wearing a hat". The
sentences are those that captioners write: one person, what is seen of them, joined by "with", "and", "wearing", "is".
"""
from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from personal_avatar.captions import features
from personal_avatar.captions.wording import tidied

_ROUNDS = 12
_AND = r"(?:\s*,\s*and\s+|\s+and\s+|\s*&\s*)"
_NEXT = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)"
_JOINT = rf"(?:{_AND}|\s*,\s*)"
_HAVING = r"(?:(?:who|that|which)\s+(?:has|have|had)|with|wearing|wears|having|has|have|had|sporting)"
_BEING = r"(?:is|are|was|were|looks|appears|seems)"
_VERB = re.compile(
    r"\s*(?:(?:is|are|was|were|has|have|looks?|stands?|sits?|smiles?|holds?|wears?|walks?|poses?|dressed|seated|posed|shown|seen|"
    r"covered|surrounded|taken)\b|"
    r"(?!evening|wedding|string|ring|earring|necklace|clothing|painting|king|bowling|building|ceiling|morning)\w{2,}ing\b)"
)
_FINITE = re.compile(r"\s*(?:is|are|was|were|has|have|looks?|stands?|sits?|smiles?|holds?|wears?|walks?|poses?)\b")
_CLAUSE = re.compile(r"\s*(?:he|she|they|it|there|who|that)\b", re.IGNORECASE)
_AN_ITEM = re.compile(r"\s*(?:a|an|his|her|their|two|no)\s+", re.IGNORECASE)
_FUNCTION_WORDS = (
    r"(?:with|of|in|on|at|a|an|the|by|for|to|from|next|near|his|her|their|is|are|was|has|and|or|behind|under|over|who|"
    r"wearing|holding)"
)
_BREAK = r"(?=\s*(?:[,.;:!?]|$|\b(?:and|with|but|in|at|on|wearing|standing|sitting|smiling|\w+ing)\b))"
_SILENT_H = ("hour", "honest", "heir", "honor", "honour")
_LIKE_YOU = ("uni", "use", "usu", "eu", "one", "ut")


def article(noun: str) -> str:
    """"a" or "an", as it stands before `noun`."""
    word = noun.lower()
    if word.startswith(_SILENT_H):
        return "an"
    return "an" if word[:1] in tuple("aeiou") and not word.startswith(_LIKE_YOU) else "a"


def with_article(noun: str) -> str:
    """"a man", "an old man"."""
    return f"{article(noun)} {noun}"


class Removal:
    """Takes things out of one caption and keeps in mind what it took. `names`: what people are called there."""

    def __init__(self, names: tuple[str, ...] = (), noun: str = "person") -> None:
        self.taken: list[str] = []
        self._noun = noun
        self._people = rf"(?:{'|'.join([*map(re.escape, names), features.PERSON])})\b"
        up_to_them = rf"(?:(?!{_HAVING}\b|on\b|in\b|of\b)[\w-]+\s+){{1,4}}"
        self._another = re.compile(rf"\s*{up_to_them}{self._people}(?!')", re.IGNORECASE)

    def of_things(self, text: str, thing: str) -> str:
        """Without any `thing` (a regular expression of a noun phrase) that somebody has or wears."""
        return self._until_nothing_changes(text, [lambda text: self._things(text, thing)])

    def of_qualities(self, text: str) -> str:
        """Without what belongs to the person: things that they have, adjectives, ages, hair that is told by itself."""
        steps: list[Callable[[str], str]] = [
            lambda text: self._plain(_of_people(), text),
            lambda text: self._things(text, features.THINGS),
            self._predicates,
            self._attributes,
            lambda text: self._plain(_decade(), text),
            self._named_by_hair,
            self._shades,
            self._stroking,
        ]
        return self._until_nothing_changes(text, steps)

    def _until_nothing_changes(self, text: str, steps: list[Callable[[str], str]]) -> str:
        for _ in range(_ROUNDS):
            before = text
            for step in steps:
                changed = step(text)
                text = smoothed(changed) if changed != text else text
            if text == before:
                break
        return text

    def _took(self, words: str) -> None:
        self.taken.append(re.sub(r"^(?:and|,|\s)+|(?:and|,|\s)+$", "", " ".join(words.split())))

    def _plain(self, pattern: re.Pattern[str], text: str) -> str:
        return pattern.sub(self._nothing, text)

    def _nothing(self, found: re.Match[str]) -> str:
        self._took(found["thing"])
        return found.groupdict().get("kept") or ""

    def _things(self, text: str, thing: str) -> str:
        had, among = _patterns(thing)
        text = had.sub(lambda found: self._with_the_rest(found, text), text)
        return among.sub(self._between, text)

    def _with_the_rest(self, found: re.Match[str], text: str) -> str:
        """What is left of "with <things> and" before what follows."""
        self._took(found["thing"])
        joint, rest = found["after"] or "", text[found.end() :]
        if not joint:
            return " "
        somebody_else = _CLAUSE.match(rest) or self._another.match(rest)
        if "and" not in joint and "&" not in joint:
            return f" {found['having']} " if _AN_ITEM.match(rest) and not somebody_else else joint
        if somebody_else:
            return " and "
        if _VERB.match(rest):
            return " " if _FINITE.match(rest) or not joint.lstrip().startswith(",") else ", "
        return f" {found['having']} "

    def _between(self, found: re.Match[str]) -> str:
        self._took(found["thing"])
        return " and " if found["joint"] else " "

    def _predicates(self, text: str) -> str:
        """"who is bald", "is young and beautiful"."""
        return _predicative().sub(self._rest_of_predicate, text)

    def _rest_of_predicate(self, found: re.Match[str]) -> str:
        self._took(found["thing"])
        return f"{found['being']} " if found["after"] else " "

    def _attributes(self, text: str) -> str:
        """"a young woman", "a bald, smiling man"."""
        return _attributive(self._people).sub(self._without_adjective, text)

    def _without_adjective(self, found: re.Match[str]) -> str:
        self._took(found["thing"])
        if not found["article"]:
            return ""
        word = article(found["next"])
        return f"{word.capitalize() if found['article'][0].isupper() else word} "

    def _named_by_hair(self, text: str) -> str:
        return _by_hair().sub(self._by_noun, text)

    def _by_noun(self, found: re.Match[str]) -> str:
        self._took(found["thing"])
        word = found["article"] if found["article"].lower() == "the" else article(self._noun)
        return f"{word.capitalize() if found['article'][0].isupper() else word} {self._noun}"

    def _shades(self, text: str) -> str:
        """Hair, eyes and skin that must stay lose what they are like: "her brown hair in a bun"."""
        for noun, adjectives in features.ADJECTIVES.items():
            text = _shaded(noun, adjectives).sub(self._nothing, text)
        return text

    def _stroking(self, text: str) -> str:
        """"stroking his beard": what is done to a beard goes with it."""
        return self._plain(_bearded(), text)


@lru_cache(maxsize=8)
def _patterns(thing: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Somebody has things, one or many; and a thing at the end or in the middle of what somebody has."""
    run = rf"(?P<thing>{thing}(?:{_JOINT}{thing})*)"
    had = rf"\s*,?\s*\b(?P<having>{_HAVING})\s+{run}(?P<after>{_JOINT})?"
    among = rf"(?:{_AND}|\s*,\s*)(?P<thing>{thing})(?P<joint>{_AND})?(?=\s|[,.;!?]|$|\w)"
    return re.compile(had, re.IGNORECASE), re.compile(among, re.IGNORECASE)


@lru_cache(maxsize=1)
def _predicative() -> re.Pattern[str]:
    being = rf"(?P<being>(?:(?:who|that)\s+)?{_BEING})"
    some = rf"(?P<thing>{features.PREDICATES}(?:{_JOINT}{features.PREDICATES})*)"
    return re.compile(rf"\b{being}\s+{some}(?:(?P<after>{_AND})|{_BREAK})", re.IGNORECASE)


@lru_cache(maxsize=8)
def _attributive(people: str) -> re.Pattern[str]:
    between = rf"(?:(?!{_FUNCTION_WORDS}\b)[\w'-]+\s*,?\s+(?:and\s+)?){{0,3}}"
    some = rf"{features.QUALITIES}(?:{_NEXT}{features.QUALITIES}){{0,3}}"
    return re.compile(
        rf"(?:\b(?P<article>an?)\s+|(?<![\w'-]))(?P<thing>{some}){_NEXT}"
        rf"(?=(?P<next>{between}{people}))",
        re.IGNORECASE,
    )


@lru_cache(maxsize=1)
def _by_hair() -> re.Pattern[str]:
    return re.compile(
        rf"\b(?P<article>an?|the)\s+(?P<thing>{features.NAMED_BY_HAIR})\b"
        r"(?!(?:\s+[\w-]+){0,2}?\s+(?:hair\w*|wig|highlights|beard|bread|ale|tea|cat|root|bob|curls|locks))(?!-)",
        re.IGNORECASE,
    )


@lru_cache(maxsize=8)
def _shaded(noun: str, adjectives: str) -> re.Pattern[str]:
    some = rf"(?P<thing>(?:{adjectives}(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)){{1,{features.MOST_ADJECTIVES}}})"
    belongs = r"(?P<kept>\b(?:his|her|their|with|through|has|of|the)\s+)"
    behind = r"(?!\s+(?:ornaments?|ties?|clips?|bands?|bows?|ribbons?|flowers?|pins?|net|accessor\w+|scrunchies?))"
    return re.compile(rf"{belongs}{some}(?=(?:[a-z]+\s+)?{noun}\b{behind})", re.IGNORECASE)


@lru_cache(maxsize=1)
def _of_people() -> re.Pattern[str]:
    return re.compile(rf"(?:{_JOINT})?\b(?P<thing>{features.OF_PEOPLE})\b{_BREAK}", re.IGNORECASE)


@lru_cache(maxsize=1)
def _decade() -> re.Pattern[str]:
    return re.compile(rf"\s*(?P<thing>{features.DECADE})", re.IGNORECASE)


@lru_cache(maxsize=1)
def _bearded() -> re.Pattern[str]:
    done = r"(?:(?:\s*,|\s+and)\s+)?\b\w+ing\s+(?:on\s+|at\s+)?(?:his|her|their)\s+"
    return re.compile(rf"{done}(?P<thing>{features.BEARD})", re.IGNORECASE)


def smoothed(text: str) -> str:
    """Without what a removal leaves behind: joints that join nothing, pronouns alone, spaces before points."""
    began_large = text.strip()[:1].isupper()
    for _ in range(_ROUNDS):
        before = text
        for pattern, instead in _LEFT_BEHIND:
            text = pattern.sub(instead, text)
        text = tidied(text)
        if text == before:
            break
    return text[:1].upper() + text[1:] if began_large and text else text


_END = r"(?=\s*(?:[,.;!?]|$))"
_LEFT_BEHIND = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        (rf"(?:\s+|^)(?:(?:and|with|has|have|is|are|who|that|wearing|but)\s*)+{_END}", " "),
        (rf"(?:(?<=[,.;!?])|^)\s*(?:he|she|they|it|a|an|the|his|her|their|and\s+(?:he|she|they))\s*{_END}", " "),
        (r"(?:(?<=[.;!?])|^)\s*,?\s*(?:and|but)\s+", " "),
        (r"\band\s+and\b", "and"),
        (r"\s+([.;!?])", r"\1"),
        (r"^[\s.;,]+", ""),
        (r"([.;])(?:\s*[,.;])+", r"\1"),
        (r",\s*([.;!?])", r"\1"),
    )
)
