"""What the machine offers: Python, torch and its device, memory, disk, and the packages that the work needs."""
from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from personal_avatar import credentials
from personal_avatar.environment import free, record, trainer
from personal_avatar.environment.finding import Finding, missing, ok, warning
from personal_avatar.environment.free import GB
from personal_avatar.errors import AvatarError

SEALS = "credentials"
LITTLE_MEMORY_GB = 4.0
LITTLE_VRAM_GB = 6.0
LITTLE_DISK_GB = 5.0
# Formats that Pillow reads through another package: what, package, module.
PICTURE_PLUGINS = (("HEIC photos", "pillow-heif", "pillow_heif"), ("AVIF photos", "pillow-avif-plugin", "pillow_avif"))


def examine(data: Path) -> list[Finding]:
    """Everything that can be seen without asking the host."""
    return [python(), *torch(), memory(), disk(data), *training(data), *faces_runtime(), *picture_plugins(),
            room(), content_credentials()]


def python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    if (3, 10) <= sys.version_info[:2] <= (3, 12):
        return ok("Python", found)
    return warning("Python", found, "Use Python 3.10 or 3.11; others are not tried.")


def torch() -> Iterator[Finding]:
    """Its version, then its device, as compute.choose takes it for trainings."""
    if find_spec("torch") is None:
        yield missing("torch", "not installed", "Start the WebUI once, or run `make env`.")
        return
    import torch

    yield ok("torch", torch.__version__)
    if torch.cuda.is_available():
        yield _card(torch.cuda.get_device_name(0), *torch.cuda.mem_get_info(0))
        return
    found = f"processor with {os.cpu_count()} cores"
    if torch.backends.mps.is_available():
        found += "; trainings cannot use the Apple GPU (MPS)"
    yield warning("device", found, "Training a full-size checkpoint takes hours without a GPU.")


def _card(name: str, free_bytes: int, total_bytes: int) -> Finding:
    found = f"{name}, {free_bytes / GB:.1f} of {total_bytes / GB:.1f} GB free"
    if free_bytes >= LITTLE_VRAM_GB * GB:
        return ok("device", found)
    return warning("device", found, f"Training needs about {LITTLE_VRAM_GB:.0f} GB: close what else uses the card.")


def memory() -> Finding:
    if find_spec("psutil") is None:
        return warning("memory", "unknown", "Install psutil to have it measured before a training.")
    import psutil

    seen = psutil.virtual_memory()
    found = f"{seen.available / GB:.1f} of {seen.total / GB:.1f} GB free"
    if seen.available >= LITTLE_MEMORY_GB * GB:
        return ok("memory", found)
    return warning("memory", found, "Close other programs before a training.")


def disk(data: Path) -> Finding:
    existing = next(folder for folder in (data.absolute(), *data.absolute().parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / GB
    found = f"{free_gb:.1f} GB free for {data}"
    if not os.access(existing, os.W_OK):
        return missing("disk", f"{existing} may not be written to", "Choose another folder: --avatar-data-dir.")
    if free_gb >= LITTLE_DISK_GB:
        return ok("disk", found)
    return warning("disk", found, "Free some space: a checkpoint of a training can take several GB.")


def training(data: Path) -> Iterator[Finding]:
    """The trainer environment of a WebUI, or the packages around us; then what the last installation complained of."""
    complaints = record.read(data).sentences()
    if trainer.state(data) or complaints:
        yield _trainer_environment(data)
    else:
        yield _own_packages()
    for sentence in complaints:
        yield warning("installation", sentence, "Restart the WebUI to try again.")


def _trainer_environment(data: Path) -> Finding:
    try:
        packages = Path(dict(trainer.find(data).environment)["PYTHONPATH"])
        answer = trainer.probe(packages, Path(sys.executable), with_imports=True)
    except AvatarError as error:
        return missing("training", error.message, error.hint)
    if answer["problems"]:
        remedy = f"Delete {packages.parent} and restart the WebUI to build it anew."
        return missing("training", "; ".join(answer["problems"]), remedy)
    return ok("training", f"{_told(answer['versions'])}, torch {answer.get('torch', '')}, in {packages}")


def _own_packages() -> Finding:
    versions = {}
    for name in trainer.locked_names(trainer.LOCK) if trainer.LOCK.exists() else ["diffusers", "transformers", "peft"]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            remedy = "Run `make env`, or start the WebUI to have it installed."
            return missing("training", f"{name} is not installed", remedy)
    return ok("training", _told(versions))


def _told(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in ("diffusers", "transformers", "peft") if name in versions)


def faces_runtime() -> Iterator[Finding]:
    """onnxruntime, of whichever build."""
    if find_spec("onnxruntime") is None:
        remedy = "pip install onnxruntime (in the WebUI: restart it with a network connection)."
        yield missing("onnxruntime", "not installed", remedy)
        return
    try:
        import onnxruntime
    except Exception as error:  # noqa: BLE001 (libraries that it needs may be missing or broken in any way)
        remedy = "Install it again: pip install --force-reinstall --no-deps onnxruntime."
        yield missing("onnxruntime", f"cannot be loaded ({error})", remedy)
        return

    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    yield ok("onnxruntime", f"{onnxruntime.__version__} ({providers})")


def picture_plugins() -> Iterator[Finding]:
    for what, package, module in PICTURE_PLUGINS:
        if find_spec(module) is not None:
            yield ok(what, f"{package} {metadata.version(package)}")
        else:
            yield warning(what, "cannot be read", f"pip install {package}")


def content_credentials() -> Finding:
    """Whether pictures are sealed, and by whom; nobody has to have it."""
    signing = credentials.configured()
    if signing is None:
        off = "switched off" if credentials.installed() else "not written"
        return ok(SEALS, f"{off}: pip install c2pa-python" if not credentials.installed() else off)
    if not signing.is_own:
        return ok(SEALS, f"signed by a certificate of this machine, which readers call untrusted ({signing.folder})")
    try:
        signing.files()
    except (OSError, ValueError) as error:
        return warning(SEALS, f"the certificate cannot be used: {error}", "See docs/privacy.md about its variables.")
    return ok(SEALS, f"signed by {signing.certificate}")


def room() -> Finding:
    """What a training could have now; it is compared with what the training needs."""
    found = free.measured()
    where = f"of the graphics card ({found.name})" if found.kind == free.CARD else "of main memory"
    return ok("room", f"{found.free_gb:.1f} of {found.total_gb:.1f} GB {where} for a training")
