"""The WebUI's prompt language, as far as hosts need it themselves: `<lora:name:weight>` and emphasis."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from personal_avatar.errors import InvalidSettings

NETWORK = re.compile(r"<(\w+):([^>]+)>")
LORA_KINDS = ("lora", "lyco")
TEXT, UNET, RANK = "te", "unet", "dyn"  # what weights and ranks are called that are not told by their place
_TOKEN = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|[^\\()\[\]:]+|\\|:")
ROUND, SQUARE = 1.1, 1 / 1.1


@dataclass(frozen=True)
class NetworkTag:
    """`<lora:name:weight>` of a prompt: what the file changes counts so often in the text encoders and in the UNet;
    `rank`: of its ranks so many are used, None: all. `written`: the tag itself.

    `is_read` False: it names no file, or what stands for a number is none; its weights are NaN then."""

    name: str
    text_weight: float = 1.0
    unet_weight: float = 1.0
    rank: int | None = None
    written: str = field(default="", compare=False)
    is_read: bool = True

    @property
    def weights(self) -> tuple[float, float]:
        return self.text_weight, self.unet_weight

    @property
    def is_used(self) -> bool:
        """Whether it changes anything."""
        return any(self.weights)

    @property
    def is_usable(self) -> bool:
        return all(map(math.isfinite, self.weights))


def split_networks(prompt: str) -> tuple[str, tuple[NetworkTag, ...]]:
    """(prompt without tags, the LoRAs in it), as the WebUI reads them (modules/extra_networks.py and the extension Lora
    of 1.10.1): first all of the kind that comes first, and one named several times counts each time with what stands
    last. Of a tag that cannot be read the WebUI applies none of them; it stands among the others here, to be named.
    Tags of other kinds (`<hypernet:...>`) are taken out and ignored.
    """
    kinds: dict[str, list[NetworkTag]] = {}
    for found in NETWORK.finditer(prompt):
        kinds.setdefault(found[1], []).append(_tag(found[0], found[2]))
    tags = [tag for kind, those in kinds.items() if kind in LORA_KINDS for tag in those]
    last = {tag.name: tag for tag in tags if tag.is_read}
    text = re.sub(r"\s+,", ",", " ".join(NETWORK.sub("", prompt).split())).strip()
    return text, tuple(last[tag.name] if tag.is_read else tag for tag in tags)


def _tag(written: str, inside: str) -> NetworkTag:
    """`name:text weight:UNet weight:rank`, or the latter three as `te=`, `unet=`, `dyn=`, which come first. A UNet's
    weight that is not told is that of the text encoders."""
    parts = [part.split("=", 2) for part in inside.split(":")]
    named = {part[0]: part[1] for part in parts if len(part) == 2}
    placed = ["=".join(part) for part in parts if len(part) != 2]

    def said(place: int, name: str) -> list[str]:
        return [*placed[place : place + 1], *([named[name]] if name in named else [])]

    try:
        text_weight = [1.0, *map(float, said(1, TEXT))][-1]
        unet_weight = [text_weight, *map(float, said(2, UNET))][-1]
        return NetworkTag(placed[0], text_weight, unet_weight, [None, *map(int, said(3, RANK))][-1], written)
    except (ValueError, IndexError):
        return NetworkTag("".join(placed[:1]), math.nan, math.nan, None, written, is_read=False)


def refuse_unusable(tags: Iterable[NetworkTag]) -> None:
    """Raises `InvalidSettings` that names each tag that cannot be read, or with whose weight no picture is made."""
    if wrong := [tag.written or tag.name for tag in tags if not tag.is_usable]:
        raise InvalidSettings(
            f"No number that can be used stands for the weight, or no name, in {', '.join(dict.fromkeys(wrong))}.",
            "Write it like <lora:name:0.8>, or <lora:name:0.5:1> where text encoder and UNet get other weights.",
        )


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
