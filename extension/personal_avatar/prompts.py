"""The WebUI's prompt language, as far as hosts need it themselves: `<lora:name:weight>` and emphasis."""
from __future__ import annotations

import re
from dataclasses import dataclass

NETWORK = re.compile(r"<(\w+):([^<>:]+)(?::([^<>:]*))?(?::[^<>]*)?>")
_TOKEN = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|[^\\()\[\]:]+|\\|:")
ROUND, SQUARE = 1.1, 1 / 1.1


@dataclass(frozen=True)
class NetworkTag:
    """`<lora:name:weight>` of a prompt."""

    name: str
    weight: float


def split_networks(prompt: str) -> tuple[str, tuple[NetworkTag, ...]]:
    """(prompt without tags, the LoRAs in it in order). A LoRA named twice counts with the sum of its weights.

    Tags of other kinds (`<hypernet:...>`) are taken out and ignored; a weight that is no number counts as 1.
    """
    weights: dict[str, float] = {}
    for kind, name, weight in NETWORK.findall(prompt):
        if kind.casefold() in ("lora", "lyco"):
            weights[name.strip()] = weights.get(name.strip(), 0.0) + _number(weight)
    text = re.sub(r"\s+,", ",", " ".join(NETWORK.sub(" ", prompt).split())).strip()
    return text, tuple(NetworkTag(name, weight) for name, weight in weights.items())


def _number(text: str) -> float:
    try:
        return float(text) if text.strip() else 1.0
    except ValueError:
        return 1.0


def emphasis(prompt: str) -> list[tuple[str, float]]:
    r"""Pieces of text with their weights: `(a)` 1.1, `[a]` 1/1.1, `(a:1.3)` 1.3, nested ones multiplied, `\(` plain.

    A bracket that is never closed counts to the end, one that was never opened is text, a backslash alone nothing.
    """
    pieces: list[list[str | float]] = []
    round_at: list[int] = []
    square_at: list[int] = []
    for found in _TOKEN.finditer(prompt):
        text, weight = found.group(0), found.group(1)
        if text == "(":
            round_at.append(len(pieces))
        elif text == "[":
            square_at.append(len(pieces))
        elif weight is not None and round_at:
            _multiply(pieces[round_at.pop() :], float(weight))
        elif text == ")" and round_at:
            _multiply(pieces[round_at.pop() :], ROUND)
        elif text == "]" and square_at:
            _multiply(pieces[square_at.pop() :], SQUARE)
        elif text != "\\":
            pieces.append([text.removeprefix("\\"), 1.0])
    for position in round_at:
        _multiply(pieces[position:], ROUND)
    for position in square_at:
        _multiply(pieces[position:], SQUARE)
    return _merged(pieces)


def _multiply(pieces: list[list[str | float]], factor: float) -> None:
    for piece in pieces:
        piece[1] = float(piece[1]) * factor


def _merged(pieces: list[list[str | float]]) -> list[tuple[str, float]]:
    """Neighbours of the same weight as one piece."""
    merged: list[tuple[str, float]] = []
    for text, weight in pieces:
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + str(text), float(weight))
        else:
            merged.append((str(text), float(weight)))
    return merged
