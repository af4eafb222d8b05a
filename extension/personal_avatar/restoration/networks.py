"""CodeFormer, GFPGAN and RestoreFormer: which files they are, and how their networks are called.

The networks are spandrel's. What they take and give is their own, not spandrel's common contract: RGB in -1..1.
"""
from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar import commandline
from personal_avatar.errors import RestorerMissing
from personal_avatar.problems import stated
from personal_avatar.restoration.aligned import FaceNetwork
from personal_avatar.storage import files_below
from personal_avatar.wording import text

# The best first; each is known by the beginning of its file's name, in small letters.
KNOWN = ("CodeFormer", "GFPGAN", "RestoreFormer")
SUFFIXES = (".pth", ".safetensors", ".ckpt")
LIBRARIES = ("spandrel", "torchvision")
EXTRA_LIBRARIES = {"CodeFormer": ("spandrel_extra_arches",)}
SOURCES = {
    "CodeFormer": "https://github.com/sczhou/CodeFormer/releases (codeformer.pth; non-commercial)",
    "GFPGAN": "https://github.com/TencentARC/GFPGAN/releases (GFPGANv1.4.pth)",
    "RestoreFormer": "https://github.com/TencentARC/GFPGAN/releases (RestoreFormer.pth)",
}
FETCHED = {"CodeFormer": "codeformer", "GFPGAN": "gfpgan"}  # names in weights.registry
FOLDER = "face-restoration"  # of what was fetched, below the folder of weights
Loader = Callable[[Path], Any]  # a file -> spandrel's descriptor of the model in it


def files_in(folders: Iterable[Path]) -> dict[str, Path]:
    """The newest file of each restorer that is anywhere below the folders, whose libraries are installed; best first.
    Of files without a version, and of the same one, the first counts."""
    files = [file for folder in folders for file in files_below(folder)]
    found = {}
    for name in KNOWN:
        named = (one for one in files if one.suffix in SUFFIXES and one.name.lower().startswith(name.lower()))
        newest = max(named, key=_version, default=None)
        if newest is not None and all(importlib.util.find_spec(library) for library in libraries(name)):
            found[name] = newest
    return found


def _version(file: Path) -> tuple[int, ...]:
    """What stands behind a v in the name, such as "GFPGANv1.4.pth"."""
    found = re.search(r"v(\d+(?:\.\d+)*)", file.stem)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def file_of(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of one restorer: asked for at every trial of every face, so it is looked for once, and again only while
    there is none or when it is gone."""
    found = _found(name, folders)
    if found is not None and not found.is_file():
        _found.cache_clear()
        found = _found(name, folders)
    if found is None:
        _found.cache_clear()
    return found


@lru_cache(maxsize=8)
def _found(name: str, folders: tuple[Path, ...]) -> Path | None:
    return files_in(folders).get(name)


def libraries(name: str) -> tuple[str, ...]:
    """Packages that a restorer needs."""
    return (*LIBRARIES, *EXTRA_LIBRARIES.get(name, ()))


def missing(name: str, folder: Path, installed: Iterable[str]) -> RestorerMissing:
    """Why a restorer cannot be used. `folder`: where its file would belong."""
    where: dict[str, Any] = {"folder": folder, "packages": ", ".join(libraries(name))}
    error = stated(RestorerMissing, "failure.other_restorer" if name else "failure.bare_restorer", restorer=name)
    if name in FETCHED:
        command = commandline.fetching(folder, FETCHED[name])
        error.hint = text("remedy.restorer_fetch", command=command, source=SOURCES[name], **where)
    elif name in SOURCES:
        error.hint = text("remedy.restorer", source=SOURCES[name], **where)
    else:
        error.hint = text("remedy.put_weights", **where)
    if others := ", ".join(installed):
        error.hint += " " + text("remedy.or_use", names=others)
    return error


@lru_cache(maxsize=1)
def network_of(name: str, file: Path, _modified_ns: int, load: Loader) -> Any:
    """The network in a file, in evaluation mode. Raises `RestorerMissing`."""
    try:
        found = load(file)
    except Exception as error:  # a file can be wrong in any way
        values = {"file": file.name, "cause": error}
        raise stated(RestorerMissing, "failure.not_loadable", "remedy.again", **values) from error
    if found.architecture.id != name:
        values = {"file": file.name, "found": found.architecture.id, "wanted": name}
        raise stated(RestorerMissing, "failure.other_network", "remedy.own_name", **values)
    return found.model.eval()


@lru_cache(maxsize=1)
def calling(name: str, network: Any, device: Any) -> FaceNetwork:
    """A network as `aligned` calls it; it is on `device` by then."""
    if name == "CodeFormer":
        return lambda pixels, fidelity: network(pixels.to(device), weight=fidelity, adain=True)[0]
    return _Mixed(lambda pixels: CALLS[name](network, pixels.to(device)))


def forget() -> None:
    """Keep no face in memory."""
    calling.cache_clear()


def installed_loader(file: Path) -> Any:
    """spandrel's descriptor, with the architectures of spandrel_extra_arches (CodeFormer) when that is installed."""
    import spandrel

    known = {support.architecture.id: support for support in spandrel.MAIN_REGISTRY}
    if importlib.util.find_spec("spandrel_extra_arches") is not None:
        from spandrel_extra_arches import EXTRA_REGISTRY

        known = {**{support.architecture.id: support for support in EXTRA_REGISTRY}, **known}
    registry = spandrel.ArchRegistry()
    registry.add(*known.values())
    return spandrel.ModelLoader(device="cpu", registry=registry).load_from_file(file)


class _Mixed:
    """A network without a fidelity of its own: that much of the original is mixed in. What it answered is kept, because
    the same face comes again with another fidelity."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._kept: tuple[Any, Any] | None = None

    def __call__(self, pixels: Any, fidelity: float) -> Any:
        kept = self._kept
        if kept is None or kept[0].shape != pixels.shape or not bool((kept[0] == pixels).all()):
            kept = self._kept = (pixels, self._answer(pixels).float().cpu())
        return kept[1] + fidelity * (pixels - kept[1])


# GFPGAN would add noise that is another one each time; with its own, which the file holds, a picture can be made again.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "GFPGAN": lambda network, pixels: network(pixels, return_rgb=False, randomize_noise=False)[0],
    "RestoreFormer": lambda network, pixels: network(pixels)[0],
}
