"""What the options of several commands are made of."""
from __future__ import annotations

import argparse
import re
from pathlib import Path

from personal_avatar.storage import nearest_there, try_to_write

Commands = argparse._SubParsersAction
HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def command(commands: Commands, name: str, runs: str, text: str, json: bool = True) -> argparse.ArgumentParser:
    """One more. `runs`: its function in `personal_avatar.commands`, as "module:function"; `json`: whether it can answer
    with a document."""
    sentence = text[:1].upper() + text[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=sentence)
    parser.set_defaults(command=runs)
    parser.add_argument("--data", type=folder, metavar="DIR", help="data folder (default: the system's place for it)")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser


def decisions(parser: argparse.ArgumentParser) -> None:
    """What a person decides about photos, whatever the report says."""
    parser.add_argument("--take", nargs="+", action="extend", default=[], metavar="NAME",
                        help="photos to take in spite of the verdict, as their files are called")
    parser.add_argument("--leave", nargs="+", action="extend", default=[], metavar="NAME", help="photos to leave out")
    parser.add_argument("--face", nargs="+", action="extend", default=[], metavar="NAME=N",
                        help="the N-th largest face of a photo is the one that is meant")


def checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="file or title; used from "
                        "now on, once the job was accepted (default: the one that was used last, at first avatar-tiny)")


def count(text: str) -> int:
    """A whole number above zero, of at most nine digits."""
    return _whole(text, 1)


def limit(text: str) -> int:
    """How many at most; 0: all."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    digits = text.lstrip("0") or text[-1:]
    if not digits.isdecimal() or len(digits) > 9 or int(digits) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to 999999999")
    return int(digits)


def seed(text: str) -> int:
    """A seed; -1 for any."""
    number = int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else None
    if number is None or not -1 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from -1 to {2**32 - 1}")
    return number


def host_name(text: str) -> str:
    """The name of a host, as browsers send it: in small letters, and those beyond ASCII in their code."""
    try:
        name = text.lower().encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not HOST_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the name of a host; write it like avatars.example.com, without https://, port and path"
        )
    return name


def folder(text: str) -> Path:
    """A folder, whether or not it is there yet. Nothing at all, as of a variable that is not set, is none."""
    if not text:
        raise argparse.ArgumentTypeError("'' names no folder")
    place = _nearest(text)
    if not place.is_dir():
        where = "is" if place == Path(text).absolute() else f"lies below {str(place)!r}, which is"
        raise argparse.ArgumentTypeError(f"{text!r} {where} a file; name a folder")
    return Path(text)


def results(text: str) -> Path:
    """Where results go: a folder that can be written to, or be made."""
    path, place = folder(text), _nearest(text)
    try:
        try_to_write(place)
    except OSError as error:
        said = f"nothing can be written to {str(place)!r} ({error.strerror}); name another folder"
        raise argparse.ArgumentTypeError(said) from error
    return path


def _nearest(text: str) -> Path:
    """`nearest_there`. Raises `ArgumentTypeError` where nothing is."""
    place = nearest_there(Path(text))
    if place is None:
        anchor = Path(text).absolute().anchor
        raise argparse.ArgumentTypeError(f"there is no {anchor!r}, on which {text!r} lies; name another folder")
    return place
