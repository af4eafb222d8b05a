"""The directions of imports: who may know whom. A line that breaks one of these belongs into another file."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "extension" / "personal_avatar"

# What everyone may stand on.
GROUND = {
    "__init__", "errors", "naming", "domain", "params", "identities", "host", "storage", "pictures", "provenance",
    "pickles", "sessions", "formats", "pixels", "vectors", "credentials", "texts", "wording", "commandline", "problems",
    "records", "shipped",
}  # fmt: skip
# Stages of the work, and the few that stand on another one: faces need their weights, photos are judged by their faces
# and carry captions, an identity is read from a face.
STAGES = {
    "photos", "captions", "faces", "ranking", "restoration", "styles", "weights", "reports", "environment", "identity",
    "albums",
}  # fmt: skip
STAGES_BELOW = {
    "faces": {"weights"},
    "captions": {"weights"},
    "photos": {"faces", "weights", "captions"},
    "identity": {"faces", "weights"},
    "restoration": {"faces"},
}
HEAVY = {"torch", "gradio", "diffusers", "transformers", "peft", "onnxruntime", "fastapi", "matplotlib", "pandas"}
# `training` is for the process of a job, and for the benchmarks, which measure it. Others know its plans; hosts also
# how a checkpoint of a family is read.
TRAINING = "personal_avatar.training."
DOORS = ("planning", "data.class_folders", "engines.kohya.limits", "engines.kohya.outputs", "engines.kohya.remains")
TRAINING_DOORS = tuple(TRAINING + door for door in DOORS)
TRAINING_DOORS_OF_HOSTS = (*TRAINING_DOORS, TRAINING + "families", TRAINING + "compute")


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


def room(path: Path) -> str:
    """The folder or file directly below the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Full names of every import in a file, also those inside functions; `from a import b` counts as a and as a.b."""
    return tuple(_imported(ast.parse(path.read_text(encoding="utf-8"))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_rooms(path: Path) -> set[str]:
    """Rooms of the package that a file imports, its own left out."""
    names = (name.split(".") for name in imported(path) if name.startswith("personal_avatar."))
    is_file = {source.stem for source in PACKAGE.glob("*.py")}
    is_folder = {source.name for source in PACKAGE.iterdir() if source.is_dir()}
    return {parts[1] for parts in names if parts[1] in is_file | is_folder} - {room(path)}


def users(*libraries: str) -> dict[str, str]:
    """{file: library} for every file that imports one of these top-level libraries."""
    found = {}
    for path in sources():
        for name in imported(path):
            if name.split(".")[0] in libraries:
                found[str(path.relative_to(PACKAGE))] = name
    return found


def outside(found: dict[str, str], *rooms: str) -> dict[str, str]:
    return {file: name for file, name in found.items() if Path(file).parts[0] not in rooms}


def spoken(path: Path) -> set[str]:
    """Texts of a file, whole ones, without those that only describe it; libraries that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {name.split(".")[0] for name in imported(path)}


def test_only_the_webui_room_knows_the_webui() -> None:
    assert outside(users("modules", "modules_forge", "ldm", "sgm", "launch"), "webui") == {}


def test_only_pages_and_hosts_know_gradio() -> None:
    assert outside(users("gradio"), "ui", "webui", "standalone") == {}


def test_only_the_api_and_hosts_know_fastapi() -> None:
    assert outside(users("fastapi", "starlette", "uvicorn"), "api", "webui", "standalone") == {}


def test_training_runs_in_the_worker_only() -> None:
    found = {}
    for path in sources():
        if room(path) in ("training", "worker", "benchmarks"):
            continue
        doors = TRAINING_DOORS_OF_HOSTS if room(path) in ("standalone", "webui") else TRAINING_DOORS
        strangers = [name for name in imported(path) if name.startswith(TRAINING) and not name.startswith(doors)]
        if strangers:
            found[str(path.relative_to(PACKAGE))] = strangers
    assert found == {}


def test_only_commands_know_the_benchmarks() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in sources() if "benchmarks" in own_rooms(path)}
    assert found == {"commands/bench.py"}


def test_benchmarks_know_no_door() -> None:
    doors = {"ui", "api", "webui", "standalone", "commands", "cli", "terminal"}
    known = {str(path.relative_to(PACKAGE)): own_rooms(path) for path in sources() if room(path) == "benchmarks"}
    found = {file: rooms & doors for file, rooms in known.items()}
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stages_do_not_know_each_other(stage: str) -> None:
    allowed = GROUND | STAGES_BELOW.get(stage, set())
    found = {str(path.relative_to(PACKAGE)): own_rooms(path) - allowed for path in sources() if room(path) == stage}
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


@pytest.mark.parametrize("name", sorted(GROUND - {"__init__"}))
def test_the_ground_stands_on_itself(name: str) -> None:
    assert {other for path in sources() if room(path) == name for other in own_rooms(path)} <= GROUND


@pytest.mark.parametrize("door", ["ui", "api"])
def test_doors_do_not_know_the_host(door: str) -> None:
    hosts = {"webui", "standalone", "worker"}
    found = {str(path.relative_to(PACKAGE)): own_rooms(path) & hosts for path in sources() if room(path) == door}
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


def test_jobs_know_neither_photos_nor_training() -> None:
    found = {str(path.relative_to(PACKAGE)): own_rooms(path) - GROUND for path in sources() if room(path) == "jobs"}
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


def test_only_hosts_know_what_a_picture_takes_of_the_graphics_card() -> None:
    assert {room(path) for path in sources() if "room" in own_rooms(path)} == {"webui", "standalone"}


def test_jobs_know_no_word_of_what_is_done_in_them() -> None:
    """Kinds of jobs, their stages, engines and libraries: whoever opens the store or shares the card hands them in."""
    strangers = {
        "torch", "train", "training", "kohya", "cache", "class", "engine", "method", "avatar_folder", "weights_folder",
    }
    found = {(str(path.relative_to(PACKAGE)), word) for path in sources() if room(path) == "jobs"
             for word in strangers & spoken(path)}
    assert found == set()


def loaded_by(*modules: str) -> set[str]:
    program = f"import sys, {', '.join(f'personal_avatar.{module}' for module in modules)}; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", program], text=True, cwd=PACKAGE.parent).split())


@pytest.mark.parametrize("module", ["studio", "cli", "doctor", "environment.setup"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) & HEAVY == set()


def test_planning_a_training_loads_nothing_heavy() -> None:
    modules = [f"training.planning.{path.stem}" for path in (PACKAGE / "training" / "planning").glob("[!_]*.py")]
    assert len(modules) > 10 and loaded_by(*modules) & HEAVY == set()


@pytest.mark.parametrize("module", ["jobs.control", "worker.main"])
def test_the_process_of_a_job_begins_with_little(module: str) -> None:
    """One is started for each job: what its work needs, it loads for itself."""
    assert loaded_by(module) & {"numpy", "pydantic"} == set()


def test_what_install_py_runs_is_standard_library_only() -> None:
    program = (
        "import sys; sys.path.insert(0, '.'); import personal_avatar.environment.setup; "
        "own = {name.split('.')[0] for name in sys.modules if getattr(sys.modules[name], '__file__', None)}; "
        "print(' '.join(sorted(own - set(sys.stdlib_module_names) - {'personal_avatar', '__main__'})))"
    )
    command = [sys.executable, "-S", "-c", program]
    said = subprocess.check_output(command, text=True, cwd=PACKAGE.parent)
    assert said.split() == []


@pytest.mark.parametrize("name", ["install.py", "preload.py"])
def test_files_that_the_webui_runs_first_need_nothing_installed(name: str) -> None:
    tops = {found.split(".")[0] for found in imported(ROOT / name)}
    assert tops <= {*sys.stdlib_module_names, "personal_avatar"}


def test_the_script_only_registers() -> None:
    scripts = list((ROOT / "scripts").glob("*.py"))
    assert [script.name for script in scripts] == ["personal_avatar.py"]
    text = scripts[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert "__future__" not in text


def test_nothing_prints_and_nothing_is_global() -> None:
    """Words for the user go through the terminal, the log or an event; state lives in objects."""
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Global):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} global")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} print")
    assert found == []


def test_the_requirements_never_reach_the_webui_by_accident() -> None:
    """Installers of extensions take a requirements.txt beside install.py for granted and would move torch with it."""
    assert not (ROOT / "requirements.txt").exists()
