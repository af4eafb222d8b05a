"""Words for attributes. The full caption has one order; training drops and shuffles phrases so that prompts need not
keep it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STYLE_WORDS = {
    "flat": ("flat cartoon", "flat cartoon portrait", "cartoon drawing"),
    "shaded": ("shaded portrait", "shaded drawing", "digital painting"),
    "soft3d": ("soft 3d portrait", "3d portrait", "soft 3d render"),
}
CUT_WORDS = {"short": "short", "long": "long", "bob": "bob", "curly": "curly"}


def hair_phrase(attributes: dict[str, Any], cut: bool = True, colour: bool = True) -> str:
    if attributes["cut"] == "bald":
        return "bald"
    words = [CUT_WORDS[attributes["cut"]] if cut else "", attributes["hair"] if colour else "", "hair"]
    return " ".join(word for word in words if word)


def expression_phrase(attributes: dict[str, Any]) -> str:
    return "neutral expression" if attributes["expression"] == "neutral" else attributes["expression"]


def full_caption(attributes: dict[str, Any], subject: str | None = None) -> str:
    """Everything that is asked for in an evaluation; `subject` replaces "a man" or "a woman" and leaves out what
    belongs to the person.
    """
    start = f"a {STYLE_WORDS[attributes['style']][0]} of {subject or 'a ' + attributes['sex']}"
    person = [] if subject else [hair_phrase(attributes)]
    person += ["glasses"] if attributes["glasses"] and not subject else []
    person += ["a beard"] if attributes["beard"] and not subject else []
    head = f"{start}, bald" if person[:1] == ["bald"] else f"{start} with {person[0]}" if person else start
    rest = [
        *person[1:],
        f"{attributes['shirt']} shirt",
        f"{attributes['background']} background",
        expression_phrase(attributes),
    ]
    return ", ".join([head, *rest])


def training_caption(attributes: dict[str, Any], rng: np.random.Generator) -> str:
    """A true caption: usually most of the phrases, often in the full caption's order, sometimes none at all."""
    roll = rng.random()
    if roll < 0.1:
        return ""
    if roll < 0.55:
        return full_caption(attributes)
    words = STYLE_WORDS[attributes["style"]]
    style = words[0] if rng.random() < 0.6 else words[rng.integers(len(words))]
    subject = attributes["sex"] if rng.random() < 0.85 else "person"
    phrases = _phrases(attributes, rng)
    rng.shuffle(phrases)
    return _join(f"a {style} of a {subject}", phrases, rng)


def _phrases(attributes: dict[str, Any], rng: np.random.Generator) -> list[str]:
    shown = [
        (0.85, hair_phrase(attributes, cut=rng.random() < 0.85, colour=rng.random() < 0.9)),
        (0.85, f"{attributes['shirt']} shirt"),
        (0.85, f"{attributes['background']} background"),
        (0.97, expression_phrase(attributes)),
        (0.35, f"{attributes['skin']} skin"),
        (0.15, f"{attributes['iris']} eyes"),
    ]
    shown += [(0.92, "glasses" if rng.random() < 0.8 else "wearing glasses")] if attributes["glasses"] else []
    shown += [(0.92, "a beard" if rng.random() < 0.8 else "bearded")] if attributes["beard"] else []
    return [phrase for share, phrase in shown if rng.random() < share]


def _join(start: str, phrases: list[str], rng: np.random.Generator) -> str:
    nouns = [
        phrase
        for phrase in phrases
        if phrase.endswith(("hair", "glasses", "beard", "skin", "eyes")) and "wearing" not in phrase
    ]
    if nouns and rng.random() < 0.5:
        with_ = nouns[: 1 + int(rng.integers(2))]
        start += " with " + " and ".join(with_)
        phrases = [phrase for phrase in phrases if phrase not in with_]
    return ", ".join([start, *phrases] if rng.random() < 0.9 else [*phrases, start])
