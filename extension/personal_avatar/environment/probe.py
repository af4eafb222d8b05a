"""Runs as a child in the trainer environment (`python probe.py`): what works and what is missing, as JSON.

A file to be started, not imported: it stands on the standard library and on what it looks for.
"""
from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import sys

# One name of each library that pulls in what the training uses of it.
NEEDED = (
    ("torch", "nn"),
    ("diffusers", "UNet2DConditionModel"),
    ("diffusers", "AutoencoderKL"),
    ("transformers", "CLIPTextModel"),
    ("peft", "LoraConfig"),
    ("accelerate", "init_empty_weights"),
    ("safetensors.torch", "save_file"),
    ("pydantic", "BaseModel"),
    ("numpy", "ndarray"),
    ("PIL.Image", "open"),
)
# Never laid over the WebUI's own: they are large, or other compiled packages are bound to them.
NEVER_SHADOWED = ("torch", "torchvision", "numpy", "pillow", "opencv-python")


def import_problems() -> list[str]:
    problems = []
    for module, name in NEEDED:
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:  # noqa: BLE001 - whatever an import can raise is the finding
            first_line = (str(error).strip().splitlines() or [""])[0]
            problems.append(f"{module}: {type(error).__name__}: {first_line}")
    return problems


def unsatisfied(names: list[str]) -> list[str]:
    """Requirements of these packages that nothing here satisfies, as pip would be asked for them."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # pip brings its own
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]

    wanted: set[str] = set()
    for name in names:
        for text in importlib.metadata.distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted |= _lacking(requirement.name, requirement)
    return sorted(wanted)


def _lacking(name: str, requirement) -> set[str]:  # type: ignore[no-untyped-def]  # packaging's Requirement
    if re.sub(r"[-_.]+", "-", name).lower() in NEVER_SHADOWED:
        return set()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return {f"{name}{requirement.specifier}"}
    return set() if requirement.specifier.contains(version, prereleases=True) else {f"{name}{requirement.specifier}"}


def main() -> None:
    names, with_imports = sys.argv[2:], sys.argv[1] == "import"
    found = {
        "python": sys.version.split()[0],
        "versions": {name: importlib.metadata.version(name) for name in names},
        "unsatisfied": unsatisfied(names),
        "problems": import_problems() if with_imports else [],
    }
    if with_imports and "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].__version__
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
