"""The few packages that we add to the WebUI's environment: planned, installed, proved harmless, else taken back."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec

from personal_avatar.environment.interpreter import Interpreter, Planned
from personal_avatar.errors import InstallError, PipFailed, WouldMove


@dataclass(frozen=True)
class Addition:
    """`requirement` is for pip; any of `modules` that can be imported makes it unnecessary."""

    requirement: str
    modules: tuple[str, ...]
    purpose: str

    @property
    def is_there(self) -> bool:
        """Whether the interpreter that runs us has it, in whichever build."""
        return any(find_spec(module) is not None for module in self.modules)


# The CPU build on purpose: finding a face takes milliseconds on a processor, and no build for graphics cards fits the
# CUDA 12.1 of torch 2.1.2. Another extension's onnxruntime-gpu offers the same module and is used when it is there.
ADDITIONS: tuple[Addition, ...] = (
    Addition("onnxruntime>=1.16,<2", ("onnxruntime",), "finds and recognises faces"),
    Addition("pillow-heif>=0.13,<2", ("pillow_heif",), "reads the photos of iPhones (HEIC)"),
    Addition("pillow-avif-plugin>=1.4,<2", ("pillow_avif",), "reads AVIF photos"),
)


def moved(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    """What was there and is now another version (or gone: None)."""
    return {name: after.get(name) for name, version in before.items() if after.get(name) != version}


def add(requirement: str, interpreter: Interpreter, on_plan: Callable[[list[Planned]], None]) -> list[Planned]:
    """Install a requirement without changing any version that is there; the answer lists what came.

    `on_plan` is called before anything changes. Raises `WouldMove` or `PipFailed`; it is then as it was.
    """
    before = interpreter.versions()
    planned = interpreter.plan(requirement, held=before)
    clashes = sorted(item.name for item in planned if item.name in before)
    if clashes:
        sentence = f"{requirement} would replace {', '.join(clashes)}, which the WebUI uses."
        raise WouldMove(sentence, "Nothing was changed.")
    on_plan(planned)
    if planned:
        _install_proved(planned, before, interpreter)
    return planned


def _install_proved(planned: list[Planned], before: dict[str, str], interpreter: Interpreter) -> None:
    try:
        interpreter.install(planned, held=before)
    except InstallError:
        _take_back(planned, before, interpreter)
        raise
    changes = moved(before, interpreter.versions())
    if changes:
        _take_back(planned, before, interpreter)
        raise WouldMove(
            f"Installing {planned[-1].name} changed {_told(changes, before)}, so it was undone.",
            "The WebUI's packages have the versions that they had.",
        )


def _take_back(planned: list[Planned], before: dict[str, str], interpreter: Interpreter) -> None:
    """Remove what came, put back what moved; raises `PipFailed` that names what could not be put back."""
    came = [item.name for item in planned if item.name in interpreter.versions()]
    if came:
        interpreter.uninstall(came)
    changes = moved(before, interpreter.versions())
    if not changes:
        return
    with suppress(InstallError):  # what is still wrong is named below
        interpreter.put_back([Planned(name, before[name]) for name in sorted(changes)])
    left = moved(before, interpreter.versions())
    if left:
        wanted = " ".join(f"{name}=={before[name]}" for name in sorted(left))
        sentence = f"These packages of the WebUI have changed: {_told(left, before)}."
        raise PipFailed(sentence, f"Put them back: pip install {wanted}")


def _told(changes: dict[str, str | None], before: dict[str, str]) -> str:
    return ", ".join(f"{name} {before[name]} -> {now or 'removed'}" for name, now in sorted(changes.items()))
