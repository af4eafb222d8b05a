"""What is installed, found and missing, and what to do about it: the machine, our weights, and the host.

Beside studio.py and not in a room of its own, because it looks into several.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from personal_avatar.avatars import AVATAR_FILE, AvatarStore
from personal_avatar.commandline import fetching, of
from personal_avatar.domain import Family
from personal_avatar.environment import kohya, machine, ray_packages
from personal_avatar.environment.finding import Finding, State, missing, ok, warning
from personal_avatar.errors import AvatarError, NotReadable
from personal_avatar.host import Folders, Host
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import JobStore
from personal_avatar.weights import registry
from personal_avatar.weights.fetch import ensure, present
from personal_avatar.weights.nouns import Weight
from personal_avatar.wording import FAMILIES

IDENTITIES = (
    ("instantid", "instantid", Family.SDXL),
    ("faceid-sdxl", "faceid", Family.SDXL),
    ("faceid-sd15", "faceid", Family.SD1),
)
DRAWN = "drawn"
MARKS = {State.OK: "ok", State.WARNING: "warning", State.MISSING: "MISSING"}


def examine(host: Host | None, data: Path, insightface: Path | None = None) -> list[Finding]:
    """Every finding, in the order of the work. `insightface`: a folder of its models."""
    weights = [*face_weights(data / "weights", insightface), *offered_weights(data / "weights")]
    engines = [*kohya.findings(data), *ray_packages.findings(data)]
    hosted = (*identity_weights(host), *of_host(host)) if host is not None else ()
    return [*machine.examine(data), *engines, *weights, *hosted]


def usable(findings: list[Finding]) -> bool:
    """Whether nothing is missing; warnings do not count."""
    return all(finding.state is not State.MISSING for finding in findings)


def document(findings: list[Finding]) -> dict[str, Any]:
    return {"usable": usable(findings), "findings": [finding.to_json() for finding in findings]}


def text(findings: list[Finding]) -> str:
    """One line a finding, the remedy below it."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]:<8} {finding.name:<{width}}  {finding.found}")
        if finding.state is not State.OK and finding.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines)


def wanted_weights(names: Sequence[str]) -> tuple[Weight, ...]:
    """The entries of these names or sets, each once; without names what everybody needs. Raises `NotFound`."""
    if not names:
        return registry.ALL
    return tuple({weight.name: weight for name in names for weight in registry.find_all(name)}.values())


def fetch_weights(
    folders: Folders, weights: Sequence[Weight], on_progress: Callable[[str, int, int], None]
) -> None:
    """Have these weights; `on_progress(name, done_bytes, total_bytes)`. Raises `WeightsError`, `DiskFull`."""
    for weight in weights:
        folder = folders.identity_folders[0] if weight in registry.IDENTITY else folders.data / "weights"
        ensure(weight, folder, partial(on_progress, weight.name))


def face_weights(folder: Path, insightface: Path | None) -> Iterator[Finding]:
    """The models that find and tell faces, with their licences."""
    from personal_avatar.faces.registry import find_pack, own_models

    pack = find_pack(insightface or own_models(folder))
    if insightface is not None and pack is None:
        remedy = "It needs a detector (det_*.onnx) and a recogniser (w600k_*.onnx)."
        yield warning("insightface", f"no models in {insightface}", remedy)
    elif pack is not None:
        yield ok("insightface", f"{pack.detector.name}, {pack.recogniser.name} (non-commercial use only)")
    for weight in registry.ALL:
        told = f"{weight.purpose}; {weight.size_mb:.1f} MB; {weight.licence}"
        if present(weight, folder):
            yield ok(weight.name, f"{told}; {folder / weight.file_name}")
        else:
            yield warning(weight.name, f"{told}; not here yet", f"Fetched at first use, or now: {fetching(folder)}")


def drawn_weights(folder: Path) -> Iterator[Finding]:
    """What recognises drawn characters; nobody has to have it."""
    from personal_avatar.faces.registry import characters

    model = characters(folder)
    if model is not None:
        yield ok(DRAWN, str(model))
        return
    weights = registry.SETS[DRAWN]
    told = f"not here; {_size_mb(weights):.0f} MB; {weights[-1].licence}"
    remedy = f"Only for anime and comics, whose characters it tells apart better: {fetching(folder, DRAWN)}"
    yield warning(DRAWN, told, remedy)


def offered_weights(folder: Path) -> Iterator[Finding]:
    """What else can be fetched by name, where downloads of it go to; nobody has to have it."""
    for name, weights in registry.offers().items():
        if name == DRAWN:
            yield from drawn_weights(folder)
        elif not set(weights) & set(registry.IDENTITY):
            licences = ", ".join(dict.fromkeys(weight.licence for weight in weights))
            told = f"{weights[0].purpose}; {_size_mb(weights):.0f} MB; {licences}"
            if _is_here(name, weights, folder):
                yield ok(name, told)
            else:
                yield warning(name, f"{told}; not in {folder}", f"Only for who wants it: {fetching(folder, name)}")


def _is_here(name: str, weights: Sequence[Weight], folder: Path) -> bool:
    """Whether nothing of an offer is missing; taggers may be the user's own, in places of theirs."""
    from personal_avatar.captions.taggers import WEIGHTS, lacking

    if name in WEIGHTS:
        return not lacking(name, folder)
    return all((folder / weight.file_name).is_file() for weight in weights)


def _size_mb(weights: Sequence[Weight]) -> float:
    return sum(weight.size_mb for weight in weights)


def identity_weights(host: Host) -> Iterator[Finding]:
    """What can put a face into pictures without training; nobody has to have it."""
    from personal_avatar.identities import IdentitySettings
    from personal_avatar.identity.shelf import Shelf

    shelf = Shelf(host.folders().identity_folders)
    for name, method, family in IDENTITIES:
        try:
            files = shelf.parts(IdentitySettings(method=method), family)
            yield ok(name, ", ".join(path.name for path in files))
        except AvatarError as error:
            weights = registry.SETS[name]
            told = f"not here; {_size_mb(weights) / 1e3:.1f} GB; {weights[-1].licence}"
            yield warning(name, told, f"Only for pictures without training. {error.message} {error.hint}")


def of_jobs(jobs: JobStore) -> Iterator[Finding]:
    """How many jobs there are, and whether their index can be relied upon."""
    total, active = jobs.count(), jobs.count(states=ACTIVE)
    told = f"{total} jobs, {active} of them not ended"
    if total and jobs.index_in_memory:
        why = f"{told}; the index is kept in memory: {jobs.index_trouble}"
        yield warning("jobs", why, "Lists are right all the same. Look at the space on the disk, and at who uses it.")
    elif jobs.index_trouble:
        remedy = "Nothing has to be done; when it happens again, check the disk."
        yield warning("jobs", f"{told}; the index was made anew: {jobs.index_trouble}", remedy)
    else:
        yield ok("jobs", told)


def of_avatars(avatars: AvatarStore, data: Path) -> Iterator[Finding]:
    """Those that nobody sees, because the file that tells of them is damaged."""
    try:
        damaged = avatars.damaged()
    except NotReadable as error:
        yield warning("avatars", error.message, error.hint)
        return
    for one in damaged:
        erase = of("avatars", "erase", one, data=data)
        remedy = f"Mend {avatars.folder(one) / AVATAR_FILE}, or erase all of it: {erase}"
        yield warning("avatars", f"{one} cannot be read", remedy)


def of_host(host: Host) -> Iterator[Finding]:
    """Where pictures are made: the checkpoint and the face restorers."""
    try:
        base = host.checkpoint()
        yield ok("checkpoint", f"{base.title} ({FAMILIES[base.family]}, {base.native_px} px)")
    except AvatarError as error:
        yield missing("checkpoint", error.message, error.hint)
    restorers = host.restorers()
    if restorers:
        yield ok("restorers", ", ".join(restorers))
    else:
        remedy = "Portraits are not restored; in the WebUI install the weights of CodeFormer or GFPGAN."
        yield warning("restorers", "none", remedy)
