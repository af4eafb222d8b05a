"""What the errors and the log of a job may say, found in the sources of the package."""
from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from personal_avatar import errors, worker
from personal_avatar.errors import AvatarError
from personal_avatar.wording import has, table, text

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
NAMED = ("problem", "remedy", "base", "content", "trainer", "stage", "large", "error", "report")
# Families of what they write as sentences, whose keys are looked up only for a page in another language than English.
WRITTEN = ("log", "idle", "fault", "unrestored")
TELLERS = {"Log", "note", "say", "_tell", "Again"}


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
    """Keys that the filled one stands for."""
    return [key for key in table() if re.fullmatch(re.escape(said).replace("7", r"[\w.]+"), key)]


class Module:
    """What the errors say that a module makes: each a key of the table, or English words with "7" for every value."""

    def __init__(self, source: Path) -> None:
        self.name = source.relative_to(PACKAGE).as_posix()
        self._tree = ast.parse(source.read_text(encoding="utf-8"))
        self._functions = {one.name: one for one in ast.walk(self._tree) if isinstance(one, ast.FunctionDef)}

    def told(self) -> Iterator[tuple[str, int, str, str]]:
        """(class, line, "message" or "hint", key or words)."""
        scopes = [*self._functions.values(), self._tree]
        for call in (node for node in ast.walk(self._tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", "")
            scope = next((one for one in scopes if call in ast.walk(one)), self._tree)
            kind, *arguments = call.args if name == "stated" else [call.func, *call.args]
            name = getattr(kind, "id", "")
            if name in KINDS:
                for part, node in zip(("message", "hint"), arguments, strict=False):
                    yield from ((name, call.lineno, part, said) for said in self._said(node, scope, part))

    def logged(self) -> Iterator[tuple[int, str]]:
        """(line, words) of what the module tells while it works; of a key, the words of the table."""
        for scope in self._functions.values():
            for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call) and node.args):
                if getattr(call.func, "id", getattr(call.func, "attr", "")) in TELLERS:
                    said = self._said(call.args[0], scope, "message")
                    yield from ((call.lineno, text(one) if has(one) else one) for one in said)

    def _said(self, node: ast.AST, scope: ast.AST, part: str) -> list[str]:
        def again(other: ast.AST) -> list[str]:
            return self._said(other, scope, part)

        if isinstance(node, ast.Constant):
            return [str(node.value)] if node.value else []
        if isinstance(node, ast.IfExp):
            return [*again(node.body), *again(node.orelse)]
        if isinstance(node, ast.Tuple):
            return again(node.elts[part == "hint"])
        if isinstance(node, ast.JoinedStr):
            return self._filled(node, again)
        if isinstance(node, ast.Starred):
            return again(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "text":
            return [key for said in again(node.args[0]) for key in (keys_like(said) or [said])]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format":
            return [re.sub(r"{[^}]*}", "7", said) for said in again(node.func.value)]
        if isinstance(node, ast.Call) and (called := self._functions.get(getattr(node.func, "id", ""))):
            returned = [one.value for one in ast.walk(called) if isinstance(one, ast.Return) and one.value]
            return [said for value in returned for said in self._said(value, called, part)]
        if isinstance(node, ast.Name):
            return self._assigned(node.id, scope, part)
        return []  # what another error says, or other code decides

    def _assigned(self, name: str, scope: ast.AST, part: str) -> list[str]:
        for place in (scope, self._tree):
            found = [one for one in ast.walk(place) if isinstance(one, ast.Assign)]
            values = [one.value for one in found if getattr(one.targets[0], "id", "") == name]
            if values:
                return [said for value in values for said in self._said(value, scope, part)]
        return []

    @staticmethod
    def _filled(node: ast.JoinedStr, again: Callable[[ast.AST], list[str]]) -> list[str]:
        said = [""]
        for part in node.values:
            value = part.value if isinstance(part, ast.FormattedValue) else part
            words = again(value) if isinstance(value, (ast.Constant, ast.IfExp)) else []
            said = [before + one for before in said for one in words or ["7"]]
        return said


MODULES = [one for one in map(Module, running()) if one.name not in BEFORE]
