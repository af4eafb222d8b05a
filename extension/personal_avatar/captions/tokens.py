"""How many tokens a caption has for CLIP: the byte pair encoding of its tokenizer, without transformers.

Source: Sennrich et al. 2016 (arXiv 1508.07909) on bytes, as CLIP uses it (openai/CLIP, simple_tokenizer.py); what is
taken apart before it, as transformers' CLIPTokenizer does (models/clip/tokenization_clip.py, 4.55), which lets ftfy
mend a text where that is installed.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path

MOST = 225  # of a caption that are trained on, here and by sd-scripts; CLIP reads 75 at once
_MERGES = Path(__file__).resolve().parents[1] / "assets" / "avatar-tiny" / "diffusers" / "tokenizer" / "merges.txt"
_MARK = re.compile(r"<\|startoftext\|>|<\|endoftext\|>")  # one token each
_PIECE = re.compile(
    rf"{_MARK.pattern}|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE
)  # fmt: skip
_CHINESE = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_ENDS_A_WORD = "</w>"


def count(caption: str) -> int:
    """Tokens of a caption, without the marks of beginning and end."""
    return sum(_tokens_of(piece) for piece in _pieces(_clean(_MARK.sub(r" \g<0> ", caption))))


def _clean(text: str) -> str:
    """In small letters, as the tokenizer reads it; where it has no ftfy, with every Chinese character by itself."""
    mended = _ftfy()
    if mended is not None:
        return " ".join(mended(text).split()).lower()
    seen = "".join(letter for letter in text if letter in "\t\n\r" or not _is_control(letter))
    apart = unicodedata.normalize("NFC", _CHINESE.sub(r" \1 ", seen))
    return " ".join(word.lower() for word in apart.split())


def _is_control(letter: str) -> bool:
    return letter == "\ufffd" or unicodedata.category(letter).startswith("C")


@lru_cache(maxsize=1)
def _ftfy() -> Callable[[str], str] | None:
    try:
        from ftfy import fix_text
    except ImportError:
        return None
    found: Callable[[str], str] = fix_text
    return found


def _pieces(text: str) -> Iterator[str]:
    """What is encoded by itself: marks, letters, single numbers, also such as ², and runs of other signs."""
    for piece in _PIECE.findall(text):
        if piece.isascii():
            yield piece
            continue
        for is_number, run in groupby(piece, lambda letter: unicodedata.category(letter).startswith("N")):
            letters = "".join(run)
            yield from letters if is_number else [letters]


@lru_cache(maxsize=1)
def _ranks() -> dict[tuple[str, str], int]:
    """Which two neighbours become one, the lowest number first."""
    lines = _MERGES.read_text(encoding="utf-8").splitlines()[1:]
    return {(left, right): rank for rank, (left, right) in enumerate(line.split() for line in lines if line)}


@lru_cache(maxsize=1)
def _letters() -> dict[int, str]:
    """The printable sign that stands for each byte in the table of merges."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + n) for n, byte in enumerate(others)}}


@lru_cache(maxsize=4096)
def _tokens_of(piece: str) -> int:
    if _MARK.fullmatch(piece):
        return 1
    letters, ranks = _letters(), _ranks()
    signs = [letters[byte] for byte in piece.encode("utf-8")]
    signs[-1] += _ENDS_A_WORD
    while len(signs) > 1:
        pairs = list(zip(signs[:-1], signs[1:], strict=True))
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        signs = _merged(signs, best)
    return len(signs)


def _merged(signs: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of `pair` as one sign."""
    found: list[str] = []
    place = 0
    while place < len(signs):
        if tuple(signs[place : place + 2]) == pair:
            found.append("".join(pair))
            place += 2
        else:
            found.append(signs[place])
            place += 1
    return found
