"""A visitor without a browser: runs the page's events over HTTP as gradio does, and remembers what is shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

PREFIX = "personal_avatar_"


class Visitor:
    """One browser tab. Components are named by their element ids, without the prefix."""

    def __init__(self, client: TestClient, language: str = "", key: str = "a" * 32, accept: str = "en") -> None:
        self._client, self._headers, self._session = client, {"accept-language": accept}, f"s{time.monotonic_ns()}"
        config = client.get("/config").json()
        self._dependencies = config["dependencies"]
        self.props: dict[int, dict[str, Any]] = {part["id"]: part["props"] for part in config["components"]}
        self._layout = config["layout"]
        self._ids = {props.get("elem_id", "").removeprefix(PREFIX): number for number, props in self.props.items()}
        self._set("language", language)
        self._set("key", key)
        self._run(self._dependency("load", None))

    def move(self, client: TestClient) -> None:
        """The server was started anew, and knows nothing of this tab."""
        self._client = client

    # -- looking

    def value(self, name: str) -> Any:
        return self.props[self._ids[name]].get("value")

    def prop(self, name: str, prop: str) -> Any:
        return self.props[self._ids[name]].get(prop)

    def text(self, name: str) -> str:
        """What a part that shows HTML says, without its tags."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.value(name) or "")).split())

    def settings(self, form: str) -> list[tuple[str, str]]:
        """(heading above it, name) of each setting of a form, in the order of the page."""
        found, heading = [], ""
        for number in _in_order(self._layout):
            props = self.props[number]
            name, shown = props.get("elem_id") or "", str(props.get("value"))
            if 'class="pa-group"' in shown:
                heading = re.sub("<[^>]+>", "", shown)
            elif name.startswith(f"{PREFIX}{form}_") and "label" in props and "open" not in props:
                found.append((heading, name.removeprefix(f"{PREFIX}{form}_")))
        return found

    def wait(self, seen: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Refresh until something is seen; fails with what the jobs panel shows."""
        end = time.monotonic() + timeout_s
        while not seen():
            assert time.monotonic() < end, f"not seen in time; jobs: {self.text('jobs')}"
            time.sleep(0.1)
            self.refresh()

    # -- acting

    def enter(self, **values: Any) -> None:
        """Type into components, without any event."""
        for name, value in values.items():
            self._set(name, value)

    def put(self, name: str, value: Any) -> None:
        """Enter a number or choose, and have the page notice, as a browser does."""
        self._set(name, value)
        self._set("touched", PREFIX + name)
        self._run(self._dependency("input", self._ids[name]))
        self._set("touched", "")

    def pass_through(self, name: str) -> None:
        """Leave a slider's number as it stood, of which gradio tells nevertheless."""
        self._run(self._dependency("release", self._ids[name]))

    def choose_files(self, *paths: Path, into: str = "files") -> None:
        files = [{"name": str(path), "data": None, "is_file": True, "orig_name": path.name} for path in paths]
        self._set(into, files if self.prop(into, "file_count") == "multiple" else files[0])

    def click(self, name: str) -> None:
        self._run(self._dependency("click", self._ids[name]))

    def press(self, part: str, words: str) -> None:
        """Click a button in words inside a part that shows HTML; it hands its value over as our script does."""
        for attributes, said in re.findall(r"<button([^>]*)>([^<]*)</button>", self.value(part) or ""):
            if unescape(said) == words:
                target, value = (_attribute(attributes, name) for name in ("data-pa-press", "data-pa-value"))
                name = target.removeprefix(PREFIX)
                self._set(name.replace("press_", "value_"), value)
                self.click(name)
                return
        raise LookupError(f"no button {words!r} in {part}: {self.text(part)}")

    def upload(self, into: str = "files") -> None:
        """The chosen files have arrived."""
        self._run(self._dependency("upload", self._ids[into]))

    def speak(self, language: str) -> None:
        self._set("language", language)
        self._run(self._dependency("input", self._ids["language"]))

    def refresh(self) -> int:
        """Press the hidden button; returns how many components were changed by it."""
        return self._run(self._dependency("click", self._ids["refresh"]))

    # -- how gradio does it

    def _set(self, name: str, value: Any) -> None:
        self.props[self._ids[name]]["value"] = value

    def _dependency(self, event: str, component: int | None) -> int:
        for number, dependency in enumerate(self._dependencies):
            if dependency["trigger"] == event and (component is None or component in dependency["targets"]):
                return number
        raise LookupError(f"nothing listens to {event} of {component}")

    def _run(self, number: int) -> int:
        dependency = self._dependencies[number]
        body = {
            "fn_index": number,
            "session_hash": self._session,
            "data": [self.props[part].get("value") for part in dependency["inputs"]],
        }
        answer = self._client.post("/run/predict", json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text
        changed = sum(self._take(*pair) for pair in zip(dependency["outputs"], answer.json()["data"], strict=True))
        for after, other in enumerate(self._dependencies):
            if other["trigger_after"] == number:
                changed += self._run(after)
        return changed

    def _take(self, component: int, value: Any) -> bool:
        if isinstance(value, dict) and value.get("__type__") == "update":
            # gr.Number adds its default step to every update, also to one that says nothing
            changes = {name: new for name, new in value.items() if name not in ("__type__", "step")}
            self.props[component].update(changes)
            return bool(changes)
        self.props[component]["value"] = value
        return False


def _in_order(part: dict[str, Any]) -> Iterator[int]:
    """Ids of components as they lie in the page."""
    for child in part.get("children") or ():
        yield child["id"]
        yield from _in_order(child)


def _attribute(attributes: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', attributes)
    assert found, attributes
    return unescape(found[1])
