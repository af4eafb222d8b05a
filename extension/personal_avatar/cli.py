"""The command line: `personal-avatar`, or `python -m personal_avatar`.

Exit status 0 done, 1 failed (one line on stderr: what, and what to do), 2 wrong usage, 130 interrupted (state kept).
What can be said is declared in `options`; the work is in `commands`, imported when it is wanted.
"""
from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from personal_avatar import __version__
from personal_avatar.options import bench, machine, photos, pictures, training
from personal_avatar.terminal import Terminal

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
OF_BOMBS = "Image size .* decompression bomb"  # Pillow says so on the terminal of what we refuse by its name
DECLARED = (
    machine.demo, machine.doctor, machine.serve, photos.photos, training.train, training.compare, pictures.generate,
    pictures.invent, pictures.rank, pictures.restore, machine.avatars, machine.jobs, pictures.gallery, bench.bench,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (wrong usage exits with 2)."""
    args = _parsed(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal(getattr(args, "json", False))
    warnings.filterwarnings("ignore", OF_BOMBS)
    module, _, function = args.command.partition(":")
    try:
        command = getattr(importlib.import_module(f"personal_avatar.commands.{module}"), function)
        return int(command(args, terminal))
    except KeyboardInterrupt:
        return _interrupted(terminal)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  the border: every error becomes one line
        return _failed(error, terminal, getattr(args, "data", None))


class Parser(argparse.ArgumentParser):
    """Of the program and of each of its commands: wrong usage is told and raised, as `InvalidSettings`."""

    def error(self, message: str) -> NoReturn:
        from personal_avatar.errors import InvalidSettings

        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        raise InvalidSettings(f"{message}.", f"Look at: {self.prog} --help")


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Ends the program where the words are wrong, with the document where one is wanted."""
    from personal_avatar.errors import InvalidSettings

    try:
        return build_parser().parse_args(words)
    except InvalidSettings as error:
        Terminal("--json" in words).document({"error": error.to_json()})
        sys.exit(WRONG_USAGE)


def _failed(error: Exception, terminal: Terminal, data: Path | None) -> int:
    """Tell an error: what was written so that it cannot be done is wrong usage."""
    from personal_avatar.commandline import named_here
    from personal_avatar.errors import InvalidSettings
    from personal_avatar.naming import named

    if os.environ.get("PERSONAL_AVATAR_DEBUG"):
        raise error
    found = named(error)
    message, hint = (named_here(part, data) for part in (found.message, found.hint))
    terminal.refuse({**found.to_json(), "message": message, "hint": hint})
    return WRONG_USAGE if isinstance(found, InvalidSettings) else FAILED


def _interrupted(terminal: Terminal) -> int:
    from personal_avatar.errors import Cancelled

    terminal.refuse(Cancelled("Interrupted; what was finished is kept.", "").to_json())
    return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="personal-avatar", description="Photos in, avatars out.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Data: --data, or $PERSONAL_AVATAR_HOME.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for declare in DECLARED:
        declare(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
