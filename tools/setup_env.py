"""Build or update the project's virtual environment: `python tools/setup_env.py [.venv]`.

Standard library only. What is installed is what requirements/*.txt say; a stamp in the environment holds their
fingerprint, so that a repeated run ends at once and needs no network. torch comes first and by its own rule:

* one that is already in the environment is kept;
* one that the base interpreter sees (torch 2.1 or newer) is made visible instead of downloaded again;
* on Linux without an NVIDIA card the CPU build is preferred: pip's default there carries several GB of CUDA.

TORCH_SPEC (such as "torch==2.4.1") and TORCH_INDEX (an index URL) override the choice.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = tuple(ROOT / "requirements" / f"{name}.txt" for name in ("trainer", "standalone", "dev"))
FINGERPRINTED = (*REQUIREMENTS, ROOT / "pyproject.toml", Path(__file__).resolve())
STAMP_NAME = "personal-avatar-ready.json"
TORCH_SPEC = "torch==2.13.0"
TORCH_OLDEST = (2, 1)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_TIMEOUT_S = 3.0
QUOTED_LINES = 30

ASK_FOR_TORCH = """
import importlib.metadata, importlib.util, json
spec = importlib.util.find_spec("torch")
if spec is None or spec.origin is None:
    print("null")
else:
    print(json.dumps([importlib.metadata.version("torch"), spec.origin]))
"""


class SetupFailed(Exception):
    """The environment could not be built; the text says why and what to do."""


def say(message: str) -> None:
    sys.stderr.write(f"[setup] {message}\n")
    sys.stderr.flush()


def fingerprint() -> str:
    """sha256 over everything that decides what is installed; settings of ruff, mypy, pytest at the end do not."""
    digest = hashlib.sha256()
    for file in FINGERPRINTED:
        content = file.read_bytes()
        if file.name == "pyproject.toml":
            content = content.partition(b"[tool.ruff]")[0]
        digest.update(file.name.encode() + b"\0" + content)
    digest.update(os.environ.get("TORCH_SPEC", "").encode())
    return digest.hexdigest()


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python" if os.name != "nt" else venv / "Scripts" / "python.exe"


def is_ready(venv: Path) -> bool:
    try:
        stamp = json.loads((venv / STAMP_NAME).read_text(encoding="utf-8"))
        version = subprocess.check_output([str(python_of(venv)), "--version"], text=True).strip()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return False
    return bool(stamp == {"fingerprint": fingerprint(), "python": version, "venv": str(venv)})


def write_stamp(venv: Path) -> None:
    version = subprocess.check_output([str(python_of(venv)), "--version"], text=True).strip()
    stamp = {"fingerprint": fingerprint(), "python": version, "venv": str(venv)}
    temporary = venv / (STAMP_NAME + ".new")
    temporary.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(temporary, venv / STAMP_NAME)


def create(venv: Path) -> None:
    """Make the environment, or keep one that works and is in its place."""
    ask = [str(python_of(venv)), "-m", "pip", "--version"]
    if python_of(venv).exists() and subprocess.run(ask, capture_output=True).returncode == 0:
        return
    if venv.exists():
        say(f"{venv} does not work any more, building it again")
        shutil.rmtree(venv)
    say(f"creating {venv} with Python {sys.version.split()[0]}")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)


def pip_install(venv: Path, arguments: list[str]) -> None:
    """Run pip, showing one short line for each thing it does; raises `SetupFailed` with the end of its output."""
    quiet = ["--progress-bar", "off", "--disable-pip-version-check"]
    command = [str(python_of(venv)), "-m", "pip", "install", *quiet, *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.lstrip().startswith(("Downloading", "Installing collected", "Building", "Successfully")):
            say("  " + line.strip()[:100])
    if process.wait() != 0:
        said = "\n".join(lines[-QUOTED_LINES:])
        advice = "Check the network connection and run the same command again."
        raise SetupFailed(f"{said}\npip failed: {' '.join(arguments)}\n{advice}")


def torch_seen_by(python: Path) -> tuple[str, Path] | None:
    """(version, folder that holds the package) of the torch that an interpreter would import."""
    answer = subprocess.run([str(python), "-c", ASK_FOR_TORCH], capture_output=True, text=True)
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        return None
    return (found[0], Path(found[1]).parent.parent) if found else None


def recent_enough(version: str) -> bool:
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())
    return numbers >= TORCH_OLDEST


def reachable(url: str) -> bool:
    """Whether an index answers within a few seconds."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pip"})
    try:
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S) as answer:
            return bool(answer.status < 400)
    except (OSError, ValueError):
        return False


def has_nvidia_card() -> bool:
    driver = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia/version"))
    return any(file.exists() for file in driver) or shutil.which("nvidia-smi") is not None


def torch_index() -> list[str]:
    """pip options that say where torch comes from; empty for pip's own index."""
    chosen = os.environ.get("TORCH_INDEX")
    if chosen:
        return ["--index-url", chosen, "--extra-index-url", "https://pypi.org/simple"]
    if not sys.platform.startswith("linux") or has_nvidia_card():
        return []
    if reachable(f"{CPU_INDEX}/torch/"):
        return ["--extra-index-url", CPU_INDEX]
    say(f"{CPU_INDEX} cannot be reached; pip's default torch may be large (TORCH_INDEX and TORCH_SPEC choose another)")
    return []


def ensure_torch(venv: Path) -> None:
    wanted = os.environ.get("TORCH_SPEC", "")
    present = torch_seen_by(python_of(venv))
    if present and recent_enough(present[0]) and not wanted:
        say(f"torch {present[0]} is there and kept")
        return
    borrowed = torch_seen_by(Path(sys.executable))
    if borrowed and recent_enough(borrowed[0]) and not wanted:
        say(f"torch {borrowed[0]} of {sys.executable} is used")
        borrow(venv, borrowed[1])
        return
    say(f"installing {wanted or TORCH_SPEC}")
    pip_install(venv, [wanted or TORCH_SPEC, *torch_index()])


def borrow(venv: Path, packages: Path) -> None:
    """Let the environment see a folder of packages behind its own: what both have comes from the environment."""
    where = subprocess.check_output(
        [str(python_of(venv)), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    Path(where, "borrowed-torch.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n", encoding="utf-8")


def ensure_packages(venv: Path) -> None:
    say("installing the packages of " + ", ".join(str(file.relative_to(ROOT)) for file in REQUIREMENTS))
    listed = [word for file in REQUIREMENTS for word in ("-r", str(file))]
    pip_install(venv, listed)
    pip_install(venv, ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def set_up(venv: Path) -> None:
    if is_ready(venv):
        return
    started = time.monotonic()
    (venv / STAMP_NAME).unlink(missing_ok=True)
    create(venv)
    ensure_torch(venv)
    ensure_packages(venv)
    write_stamp(venv)
    say(f"ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build or update the project's virtual environment.")
    parser.add_argument("venv", nargs="?", default=ROOT / ".venv", type=Path)
    try:
        set_up(parser.parse_args().venv.absolute())
    except (SetupFailed, OSError, subprocess.CalledProcessError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
