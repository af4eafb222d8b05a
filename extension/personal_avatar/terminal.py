"""What the command line writes: sentences or one JSON document to stdout, progress and errors to stderr."""
from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

BAR_CHARACTERS = 24
REDRAW_S = 0.1


def spelling_stdout() -> TextIO:
    """stdout, which from now on spells out what its encoding has no letters for, as stderr does by itself: names of
    files may be anything, and a pipe on Windows holds 256 letters."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout


@dataclass
class Terminal:
    """`as_json`: sentences are held back, so that stdout holds one document and nothing else."""

    as_json: bool = False
    out: TextIO = field(default_factory=spelling_stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    answered: bool = False  # whether the document was written

    def say(self, text: str = "") -> None:
        """A sentence for people."""
        if not self.as_json:
            self.out.write(text + "\n")
            self.out.flush()

    def document(self, data: Any) -> None:
        """The one JSON document; only with `--json`."""
        if self.as_json:
            self.answered = True
            self.out.write(json.dumps(data, indent=1) + "\n")
            self.out.flush()

    def complain(self, text: str) -> None:
        """One line on stderr."""
        self.err.write(" ".join(text.split()) + "\n")

    def refuse(self, error: dict[str, Any]) -> None:
        """An error that ended the command, with code, message and hint: one line, and the document unless there is one
        already."""
        self.complain(f"{error['message']} {error['hint']}")
        if not self.answered:
            self.document({"error": error})

    def agrees(self, question: str) -> bool:
        """Whether somebody at a keyboard answers yes; asked on stderr. Without a keyboard nobody agrees."""
        if not sys.stdin.isatty():
            return False
        self.err.write(f"{question} [y/N] ")
        self.err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def bar(self, label: str) -> Bar:
        return Bar(label, self.err)


@dataclass
class Bar:
    """A progress bar on one line, only on a terminal. Call it with (done, total); close it before others write."""

    label: str
    stream: TextIO
    drawn_at: float = 0.0
    began_at: float = field(default_factory=time.monotonic)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if self.stream.isatty() and total and (now - self.drawn_at > REDRAW_S or done >= total):
            self.drawn_at = now
            filled = BAR_CHARACTERS * done // total
            left = f", {_span((now - self.began_at) / done * (total - done))} left" if 0 < done < total else ""
            bar = "█" * filled + "░" * (BAR_CHARACTERS - filled)
            self.stream.write(f"\r\x1b[K{self.label:<10} {bar} {done}/{total}{left}{note}")
            self.stream.flush()

    def close(self) -> None:
        """Leave an empty line behind."""
        if self.drawn_at:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __enter__(self) -> Callable[..., None]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _span(seconds: float) -> str:
    from personal_avatar.wording import span  # it knows the nouns, which take their time

    return span(seconds)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns of equal width, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
