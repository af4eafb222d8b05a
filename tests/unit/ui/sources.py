"""What the errors and the log of a job are made of, found in the sources of the package."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from personal_avatar import errors, worker
from personal_avatar.errors import AvatarError
from personal_avatar.wording import table

PACKAGE = Path(errors.__file__).parent
KINDS = {kind.__name__: kind for kind in errors._all_errors(AvatarError)}
# Beside the process of a job: who follows it, here and in a cluster, and who tries the file that it has trained.
AROUND = ("worker/**/*.py", "jobs/endings.py", "jobs/mending.py", "jobs/process.py", "jobs/working.py", "jobs/files.py",
          "jobs/running.py", "jobs/control.py", "webui/published.py", "webui/trial.py", "webui/selftest_checkpoint.py",
          "webui/selftest_embedding.py", "webui/selftest_lora.py")  # fmt: skip
# Jobs that paint, restore and rank, in the process of the host, and what they do that with.
PAINTING = (
    *(f"studio/{name}.py" for name in (
        "portraits", "retouching", "repairs", "restored", "restoring", "sortings", "rankings", "characters", "casting",
        "judges", "best_of", "sitters", "second_pass", "oneshot", "trained", "datasets", "creating",
    )),
    *(f"standalone/{name}.py" for name in (
        "pipelines", "denoise", "networks", "embeddings", "deltas", "samplers", "upscalers", "restorers",
    )),
    *(f"webui/{name}.py" for name in ("generation", "posing", "upscalers", "restorers", "sharing", "identity/session")),
    "restoration/*.py", "ranking/*.py", "styles/wildcards.py", "networks.py",
)  # fmt: skip
# What a job imports of these only says to who asks before there is one, or installs, what it cannot be.
BEFORE = {
    "avatars.py", "ranking/order.py",
    "environment/kohya.py", "environment/pip_errors.py", "environment/trainer.py", "jobs/executors.py",
    "jobs/states.py", "params.py", "prompts.py", "problems.py", "styles/filling.py",
    "styles/library.py", "weights/registry.py",
}
# Families of keys of what rooms beside the page say, by the key.
NAMED = (
    "problem", "remedy", "base", "content", "trainer", "stage", "large", "error", "report", "failure", "ending", "log",
    "idle", "fault", "unrestored", "replaced",
)
TELLERS = {"Log", "note", "say", "waiting", "_tell", "Again"}
TITLED = {"naming.py"}  # which may say no more than the title of an error


def imported(source: Path) -> Iterator[Path]:
    """Modules of the package that a module of it imports, wherever it does."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            place = PACKAGE.parent / str(node.module).replace(".", "/")
            for found in (place, *(place / name.name for name in node.names)):
                yield from (path for path in (found.with_suffix(".py"), found / "__init__.py") if path.is_file())


def running() -> list[Path]:
    """Modules that may run in a job's process, found by what its door imports, and those around it."""
    found: set[Path] = set()
    waiting = [Path(worker.__file__).parent / "kinds.py"]
    while waiting:
        if (source := waiting.pop()) not in found:
            found.add(source)
            waiting += imported(source)
    around = [path for name in (*AROUND, *PAINTING) for path in PACKAGE.glob(name)]
    return sorted(found | set(around))


def keys_like(said: str) -> list[str]:
    """Keys of the table that it names; "7" in it stands for whatever is filled in there."""
    pattern = re.compile(re.escape(said).replace("7", r"[\w.]+"))
    return [said] if said in table() else [key for key in table() if "7" in said and pattern.fullmatch(key)]


class Module:
    """What the errors and sentences that a module makes are made of: keys of the table, or else words of its own, with
    "7" for what is filled in there."""

    def __init__(self, source: Path) -> None:
        self.name = source.as_posix().rpartition(f"{PACKAGE.name}/")[2]
        self._source = source

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self._source.read_text(encoding="utf-8"))

    @cached_property
    def _functions(self) -> dict[str, ast.FunctionDef]:
        return {one.name: one for one in ast.walk(self._tree) if isinstance(one, ast.FunctionDef)}

    def told(self) -> Iterator[tuple[str, int, str, str]]:
        """(class, line, "message" or "hint", key or words)."""
        for scope, call in self._calls():
            name = getattr(call.func, "id", "")
            kind, *arguments = call.args if name == "stated" else [call.func, *call.args]
            name = getattr(kind, "id", "")
            if name in KINDS:
                for part, node in zip(("message", "hint"), arguments, strict=False):
                    yield from ((name, call.lineno, part, said) for said in self._said(node, scope, part))

    def logged(self) -> Iterator[tuple[int, str]]:
        """(line, key or words) of what the module tells while it works."""
        for scope, call in self._calls():
            if call.args and getattr(call.func, "id", getattr(call.func, "attr", "")) in TELLERS:
                yield from ((call.lineno, said) for said in self._said(call.args[0], scope, "message"))

    def _calls(self) -> Iterator[tuple[ast.AST, ast.Call]]:
        """Each once, with the outermost function that it stands in."""
        seen: set[ast.AST] = set()
        for scope in (*self._functions.values(), self._tree):
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and node not in seen:
                    seen.add(node)
                    yield scope, node

    def _said(self, node: ast.AST, scope: ast.AST, part: str) -> Iterator[str]:
        """Nothing where other code decides."""
        inner: list[ast.AST] = []
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            said = "".join(str(getattr(one, "value", "")) if isinstance(one, ast.Constant) else "7"
                           for one in getattr(node, "values", [node]))
            yield from keys_like(said) or [said] * (said not in ("", "None"))
        elif isinstance(node, ast.IfExp):
            inner = [node.body, node.orelse]
        elif isinstance(node, ast.Tuple):
            inner = [node.elts[part == "hint"]]
        elif isinstance(node, ast.Starred):
            inner = [node.value]
        elif isinstance(node, ast.Name):
            inner = self._assigned(node.id, scope)
        elif isinstance(node, ast.Call):
            if getattr(node.func, "id", "") == "text":
                inner = node.args[:1]
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "format":
                inner = [node.func.value]
            elif called := self._functions.get(getattr(node.func, "id", "")):
                scope = called
                inner = [one.value for one in ast.walk(called) if isinstance(one, ast.Return) and one.value]
        for one in inner:
            yield from self._said(one, scope, part)

    def _assigned(self, name: str, scope: ast.AST) -> list[ast.AST]:
        for place in (scope, self._tree):
            found = [one for one in ast.walk(place) if isinstance(one, ast.Assign)]
            if values := [one.value for one in found if getattr(one.targets[0], "id", "") == name]:
                return list(values)
        return []


MODULES = [one for one in map(Module, running()) if one.name not in {*BEFORE, *TITLED}]
