"""Text on pictures with whatever fonts there are: DejaVu or a system font, for signs that it lacks another one that has
them, else the font inside Pillow."""
from __future__ import annotations

import importlib.util
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

Colour = tuple[int, int, int]

NAMES = ("DejaVuSans", "NotoSans-Regular", "LiberationSans-Regular", "Arial", "Helvetica", "segoeui")
BOLD_NAMES = ("DejaVuSans-Bold", "NotoSans-Bold", "LiberationSans-Bold", "Arial Bold", "arialbd", "segoeuib")
# With Chinese, Japanese or Korean signs, as they are called on Linux, Windows and macOS; the suffix is any.
BOLD_WIDE_NAMES = ("NotoSansCJK-Bold", "NotoSansCJKsc-Bold", "NotoSansSC-Bold", "msyhbd", "malgunbd", "meiryob")
WIDE_NAMES = (
    "NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansCJKjp-Regular", "NotoSansCJKkr-Regular",
    "NotoSansSC-Regular", "NotoSansJP-Regular", "NotoSansKR-Regular", "NotoSansCJK-VF", "NotoSansSC-VF",
    "SourceHanSansSC-Regular", "SourceHanSansCN-Regular", "wqy-microhei", "wqy-zenhei", "DroidSansFallbackFull",
    "DroidSansFallback", "uming", "TakaoPGothic", "ipagp", "NanumGothic", "unifont",
    "msyh", "simhei", "simsun", "meiryo", "YuGothM", "msgothic", "malgun", "gulim", "arialuni",
    "PingFang", "Hiragino Sans GB", "STHeiti Medium", "STHeiti Light", "ヒラギノ角ゴシック W3", "AppleSDGothicNeo",
    "AppleGothic", "Arial Unicode",
)
NO_SIGN = "\uffff"  # drawn as fonts draw what they lack
SEEN = "LNPS"  # categories of Unicode whose signs leave ink
LOOKED_AT_PX = 16
MORE = "..."
# What stays together in a line, with the space before it: a word, or a sign of a script without spaces between words.
# Brackets stay with what they hold, stops with what they end.
_WIDE = "\u2e80-\u312f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_OPENING, _CLOSING = "（《「『【“", "，。、；：！？）》」』】…”"
PIECE = re.compile(rf"\s*(?:[{_OPENING}]*(?:(?![{_CLOSING}])[{_WIDE}]|[^\s{_WIDE}]+)[{_CLOSING}]*|\S)")


def font(size_px: int, bold: bool = False, text: str = "") -> Any:
    """A Pillow font of about `size_px` that has the signs of `text`, or the most of them; without any TrueType font,
    old versions of Pillow have a small fixed one."""
    return _loaded(_file_for(_beyond_latin(text), bold), size_px)


def _beyond_latin(text: str) -> frozenset[str]:
    """Signs that not every font has."""
    composed = unicodedata.normalize("NFC", text)
    return frozenset(sign for sign in composed if sign > "~" and unicodedata.category(sign)[0] in SEEN)


@lru_cache(maxsize=256)
def _file_for(signs: frozenset[str], bold: bool) -> str:
    """The first font that has all of `signs`, else the one that has the most; "" without any font."""
    best, least = "", len(signs) + 1
    for name in _candidates(bold, wide=bool(signs)):
        if _is_there(name) and (lacking := _lacking(name, signs)) < least:
            best, least = name, lacking
        if least == 0:
            break
    return best


@lru_cache(maxsize=128)
def _is_there(name: str) -> bool:
    """Asked once of each name: looking through the system's folders takes a while."""
    try:
        return bool(_loaded(name, LOOKED_AT_PX))
    except OSError:
        return False


def _lacking(name: str, signs: frozenset[str]) -> int:
    """How many of `signs` a font has not."""
    return sum(_drawn(name, sign) == _drawn(name, NO_SIGN) for sign in signs)


@lru_cache(maxsize=4096)
def _drawn(name: str, sign: str) -> bytes:
    """Asked once of each sign: of a Chinese line, every beginning is tried."""
    return bytes(_loaded(name, LOOKED_AT_PX).getmask(sign))


@lru_cache(maxsize=128)
def _loaded(name: str, size_px: int) -> Any:
    """Raises `OSError` for a font that is not there."""
    from PIL import ImageFont

    if name:
        return ImageFont.truetype(name, size_px)
    try:
        return ImageFont.load_default(size_px)
    except TypeError:
        return ImageFont.load_default()


def _candidates(bold: bool, wide: bool) -> list[str]:
    """Files to try; matplotlib, which gradio brings along, carries DejaVu. `wide`: also with signs of other scripts."""
    names = BOLD_NAMES if bold else NAMES
    found = importlib.util.find_spec("matplotlib")
    origin = Path(found.origin).parent if found and found.origin else None
    carried = [str(origin / "mpl-data" / "fonts" / "ttf" / f"{names[0]}.ttf")] if origin else []
    others = [*(BOLD_WIDE_NAMES if bold else ()), *WIDE_NAMES] if wide else []
    return [*carried, *(f"{name}.ttf" for name in names), *others]


def can_write(text: str) -> bool:
    """Whether a font here has all signs of `text`: others are drawn as boxes."""
    signs = _beyond_latin(text)
    name = _file_for(signs, bold=False)
    return not signs or (bool(name) and not _lacking(name, signs))


def write(pen: Any, place: tuple[float, float], text: str, colour: Colour, size_px: int, bold: bool = False) -> None:
    """One line with its upper left corner at `place`; `pen`: an `ImageDraw`."""
    composed = unicodedata.normalize("NFC", text)
    pen.text(place, composed, colour, font(size_px, bold, composed))


def width_of(text: str, size_px: int, bold: bool = False) -> float:
    """Pixels that `text` takes in a line."""
    return float(font(size_px, bold, text).getlength(unicodedata.normalize("NFC", text)))


def shortened(text: str, size_px: int, room_px: float, bold: bool = False) -> str:
    """`text`, cut with an ellipsis when it is wider than `room_px`."""
    if width_of(text, size_px, bold) <= room_px:
        return text
    letters = font(size_px, bold, text)
    while text and letters.getlength(text + MORE) > room_px:
        text = text[:-1]
    return text.rstrip() + MORE


def wrapped(text: str, size_px: int, room_px: float, most: int) -> list[str]:
    """`text` in at most `most` lines, none wider than `room_px`; an ellipsis ends what does not fit."""
    lines: list[str] = []
    rest = PIECE.findall(" ".join(text.split()))
    while rest and len(lines) < most - 1:
        taken = _taken(rest, size_px, room_px)
        lines.append(_joined(rest[:taken]) if taken else shortened(rest[0].strip(), size_px, room_px))
        rest = rest[max(1, taken) :]
    return [*lines, shortened(_joined(rest), size_px, room_px)] if rest and most > 0 else lines


def _taken(pieces: list[str], size_px: int, room_px: float) -> int:
    """How many of the pieces fit into a line."""
    count = 0
    while count < len(pieces) and width_of(_joined(pieces[: count + 1]), size_px) <= room_px:
        count += 1
    return count


def _joined(pieces: list[str]) -> str:
    return "".join(pieces).strip()
