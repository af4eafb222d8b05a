"""How many tokens a caption has for CLIP: the byte pair encoding of its tokenizer, without transformers.

Source: Sennrich et al. 2016 (arXiv 1508.07909) on bytes, as CLIP uses it (openai/CLIP, simple_tokenizer.py); what is
mended and taken apart before it, as transformers' CLIPTokenizer does with ftfy (tokenization_clip.py, 4.55).
"""
from __future__ import annotations

import re
from functools import lru_cache

from personal_avatar.shipped import TOKENIZER

MOST = 225  # of a caption that are trained on, here and by sd-scripts; CLIP reads 75 at once
_MERGES = TOKENIZER / "merges.txt"
_MARK = re.compile(r"<\|startoftext\|>|<\|endoftext\|>")  # one token each
_PIECE = rf"(?i){_MARK.pattern}|'s|'t|'re|'ve|'m|'ll|'d|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+"  # such as ² by itself
_ENDS_A_WORD = "</w>"


def count(caption: str) -> int:
    """Tokens of a caption, without the marks of beginning and end."""
    import regex
    from ftfy import fix_text

    parts = _MARK.split(caption)
    pieces = (piece for part in parts for piece in regex.findall(_PIECE, fix_text(part).lower()))
    return len(parts) - 1 + sum(_tokens_of(piece) for piece in pieces)


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
