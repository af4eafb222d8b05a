"""The page's bookkeeping: which component shows which text, what is refreshed, and where errors become boxes.

A panel tells `say` which of a component's texts come from the table, and `show` how a component follows the state of
things. When the page opens or its language changes everything is set; a refresh sends only what differs from the last.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from personal_avatar.storage import legible
from personal_avatar.studio import Studio
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.markup import error_box, tag
from personal_avatar.ui.passing import holds, marked
from personal_avatar.ui.pictures import Held, Shelf, drop_copies_of_the_dead
from personal_avatar.ui.refusal import failed_here
from personal_avatar.ui.scene import JobWatch, Scene
from personal_avatar.ui.texts import LANGUAGE_NAMES, choose, code_of, text

Provider = Callable[[Scene], dict[str, Any]]
# Remembers the value of a component; False where it is not remembered.
Keep = Callable[[Scene, Any], bool]
# Binds buttons, by the names of tabs of the page around, to a text with generation parameters and a picture.
SendTo = Callable[[Mapping[str, Any], Any, Any], None]
DESTINATIONS = ("txt2img", "img2img", "inpaint", "extras")
ONCE = ("",)
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_name": False}


class Page:
    """One page while it is built, and afterwards what its handlers share."""

    def __init__(self, studio: Studio, *, send_to: SendTo | None) -> None:
        self.studio = studio
        # Whoever sees the page may name folders of this machine: the same switch as for callers of the API.
        self.ask_folder = studio.host.folders().callers_name_folders
        self.desk = Desk(studio, ask_folder=self.ask_folder)
        self.send_to = send_to
        self.destinations = DESTINATIONS if send_to else ()
        self._watch = JobWatch(studio)
        self._components: list[gr.components.Component] = []
        self._says: dict[int, dict[str, str]] = {}
        self._shows: dict[int, Provider] = {}
        self._watched: dict[int, tuple[str, ...]] = {}
        self._filled: dict[int, str] = {}
        self._noted: set[int] = set()
        self._keeps: dict[int, Keep] = {}
        self._openings: list[Callable[[Scene], None]] = []
        self._reads: dict[str, gr.components.Component] = {}
        self._answered: list[Any] = []
        self._shelves: list[Shelf] = []
        self.held = Held()
        drop_copies_of_the_dead()
        self.key = self.keep(gr.Textbox("", visible=False, elem_id=elem_id("key"), render=False))
        self.touched = self.keep(gr.Textbox("", visible=False, elem_id=elem_id("touched"), render=False))
        self.heard = self.keep(gr.HTML(elem_id=elem_id("heard"), elem_classes="pa-hidden", render=False))
        self.seen = gr.State({})
        self.language = gr.Dropdown(
            list(LANGUAGE_NAMES.values()),
            value=LANGUAGE_NAMES["en"],
            label=text("page.language"),
            elem_id=elem_id("language"),
            min_width=190,
            scale=0,
            render=False,
        )
        self.say(self.language, label="page.language")

    # -- declaring

    def keep(self, component: Any) -> Any:
        """Its value belongs to us, not to the host's saved defaults."""
        component.do_not_save_to_config = True
        return component

    def _take(self, component: Any) -> Any:
        if all(component is not other for other in self._components):
            self._components.append(self.keep(component))
        return component

    def say(self, component: Any, **props: str) -> Any:
        """Texts of a component by key, e.g. `label="photos.name"`."""
        self._says.setdefault(self._take(component)._id, {}).update(props)
        return component

    def show(self, component: Any, provider: Provider, *, watched: tuple[str, ...] = ()) -> Any:
        """Let a component follow the scene; `provider` returns what `gr.update` takes, plain data.

        `watched`: only a change of these makes an update, for components whose value is the user's own choice; with
        ONCE the component is set when the page opens and never afterwards.
        """
        self._shows[self._take(component)._id] = provider
        self._watched[component._id] = watched
        return component

    def shelf(self, name: str, *, visible: bool = True) -> Shelf:
        """A place for pictures; its component is still to be declared with `show`."""
        self._shelves.append(Shelf(elem_id(name), visible=visible))
        return self._shelves[-1]

    def fill(
        self, name: str, component: Any, provider: Provider, *, noted: bool = False, keep: Keep | None = None
    ) -> Any:
        """`show` and `read` in one, for a value that is only proposed: what the user changed himself stays.

        It counts as changed while it differs from what was proposed last. A server that was started anew does not know
        what that was: what the page holds is then the user's, unless each change of it is `noted` at once.
        What the user put in goes to `keep`, where there is one, also where it is what was proposed: that he had his
        hands on it the browser tells, so that a field that was only passed through is left to the proposals. What was
        kept is the provider's to propose; what could not be kept stays the user's own, and no proposal takes its place.
        """
        self._filled[component._id] = name
        if noted:
            self._noted.add(component._id)
        if keep is not None:
            self._keeps[component._id] = keep
        return self.show(self.read(name, component), provider)

    def read(self, name: str, component: Any) -> Any:
        """Let providers see what a component holds, as `scene.values[name]`."""
        self._reads[name] = self.keep(component)
        return component

    def passing(self, message: Any) -> Any:
        """Let a refusal that `message` tells go when it is so no longer; see passing.py."""
        name = message.elem_id
        return self.show(
            self.read(name, message),
            lambda scene: {} if holds(str(scene.values.get(name) or ""), scene) else {"value": ""},
        )

    def opening(self, prepare: Callable[[Scene], None]) -> None:
        """To be called each time that the page opens, before anything is shown."""
        self._openings.append(prepare)

    # -- events

    def on(
        self,
        event: Callable[..., Any],
        handler: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        message: Any,
        *,
        script: str | None = None,
    ) -> None:
        """Let `handler(scene, *inputs)` answer an event with the new values of `outputs`, then refresh the page.

        A failure, named or not, becomes a box in `message` and changes nothing else. `script`: the function of our
        script through which the inputs go.
        """

        def answer(language: str, key: str, *values: Any) -> Any:
            scene = self.scene(language, key, {})
            try:
                told, made = "", list(handler(scene, *values))
            except Exception as error:  # noqa: BLE001  the border: the user sees a named error, never a trace
                found = failed_here(error)
                told, made = marked(error_box(found, scene.language), found), [gr.update() for _ in outputs]
            told, made = all_legible(told), all_legible(made)
            return [told, *made] if outputs else told  # gradio takes a list for one output as that output's value

        sent = [self.language, self.key, *inputs]
        through = _call(script, sent) if script else None
        self._answered.append(event(answer, sent, [message, *outputs], _js=through, **QUIET))

    def refresh_on(self, event: Callable[..., Any]) -> None:
        """Refresh the page on an event; to be called when all panels are built."""
        inputs, outputs = self._refresh_io()
        event(self._refresh, inputs, outputs, _js=_call("noted", inputs), **QUIET)

    def connect(self, blocks: gr.Blocks, refresh: gr.Button) -> None:
        """Wire opening, language and refresh, when all panels are built."""
        inputs = [self.language, self.key, self.seen, *self._reads.values()]
        outputs = [self.key, self.seen, *self._components]
        blocks.load(self._arrive, inputs, outputs, _js=_call("arrive", inputs), **QUIET)
        self.language.input(self._arrive, inputs, outputs, _js=_call("speak", inputs), **QUIET)
        self.refresh_on(refresh.click)
        for component in self._reads.values():
            if component.visible and not isinstance(component, gr.HTML):
                self.refresh_on(settled(component))
        for answered in self._answered:
            self.refresh_on(answered.then)

    def _refresh_io(self) -> tuple[list[Any], list[Any]]:
        live = [component for component in self._components if component._id in self._shows]
        return [self.touched, self.language, self.key, self.seen, *self._reads.values()], [self.seen, self.heard, *live]

    # -- answering

    def scene(self, language: str, key: str, values: dict[str, Any]) -> Scene:
        return Scene(self.studio, self.desk, self._watch, code_of(language), key or "", values)

    def _arrive(
        self, request: gr.Request, language: str, key: str, seen: dict[str, Any], *values: Any
    ) -> list[Any]:
        header = request.headers.get("accept-language", "") if request else ""
        spoken = choose(code_of(language, ""), header)
        self._tidy()
        if not seen:
            self._prepare(self.scene(spoken, key, {}))
        scene = self.scene(spoken, key, dict(zip(self._reads, values, strict=True)))
        proposed = self._proposed(scene, seen, opening=not seen)
        fresh: dict[str, Any] = {}
        updates = [gr.update(**self._full(component, scene, proposed, seen, fresh)) for component in self._components]
        return [scene.key, fresh, *updates]

    def _prepare(self, scene: Scene) -> None:
        for prepare in self._openings:
            try:
                prepare(scene)
            except Exception:  # noqa: BLE001  the border: where it matters, the panel says what is wrong
                continue

    def _full(
        self, component: Any, scene: Scene, proposed: dict[int, dict[str, Any]], seen: Mapping[str, Any],
        fresh: dict[str, Any],
    ) -> dict[str, Any]:
        """Everything that a component shows; notes in `fresh` what stands in the place of what was `seen`."""
        changes = {prop: scene.say(key) for prop, key in self._says.get(component._id, {}).items()}
        if component is self.language:
            changes["value"] = LANGUAGE_NAMES[scene.language]
        if component._id in self._shows:
            shown = self._shown(component, scene)
            fresh[str(component._id)] = self._digest(component, shown, scene, seen)
            changes.update(proposed.get(component._id, shown))
        return changes

    def _tidy(self) -> None:
        """Before anything is shown: what two shelves have in common is copied anew by the one that still shows it."""
        for shelf in self._shelves:
            shelf.tidy()

    def _refresh(self, touched: str, language: str, key: str, seen: dict[str, Any], *values: Any) -> list[Any]:
        """`touched`: DOM ids of what the user put a value into, also the one that stood there, each with a colon and
        the number of that touch: all that no answer has told the browser yet to be `heard`."""
        self._tidy()
        names = [one.partition(":")[0] for one in touched.split()]
        scene = self.scene(language, key, dict(zip(self._reads, values, strict=True)))
        put = self._kept(scene, seen, names)
        seen = {**seen, **{str(number): last for number, last in put.items()}}
        proposed = self._proposed(scene, seen)
        proposed |= {number: _valueless(proposed[number]) for number in put}  # he may be typing
        fresh, updates = dict(seen), []
        for component in self._components:
            if component._id not in self._shows:
                continue
            name, shown = str(component._id), self._shown(component, scene)
            digest = self._digest(component, shown, scene, seen)
            news = {} if fresh.get(name) == digest else proposed.get(component._id, shown)
            updates.append(gr.update(**news))
            fresh[name] = digest
        heard = gr.update(value=tag("i", data_pa_heard=touched)) if names else gr.update()
        return [fresh, heard, *updates]

    def _kept(self, scene: Scene, seen: Mapping[str, Any], touched: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Keep what the user has put in: of these components what then counts as proposed last."""
        found = {}
        for component in self._components:
            if (keep := self._keeps.get(component._id)) is None:
                continue
            last, value = seen.get(str(component._id)) or {}, scene.values[self._filled[component._id]]
            if component.elem_id in touched or ("value" in last and not same(value, last["value"])):
                found[component._id] = {**last, "value": value} if keep(scene, value) else {}
        return found

    def _proposed(self, scene: Scene, seen: dict[str, Any], opening: bool = False) -> dict[int, dict[str, Any]]:
        """What is proposed, by component, without a value where the user has put another in the place of the last one.

        From here on the scene holds what the widgets are about to hold.
        """
        found = {}
        scene.own = frozenset() if opening else self.own(seen, scene.values)
        for component in self._components:
            if (name := self._filled.get(component._id)) is None:
                continue
            shown = self._shown(component, scene)
            if name in scene.own:
                shown = _valueless(shown)
            found[component._id] = shown
            scene.values[name] = shown.get("value", scene.values.get(name))
        return found

    def own(self, seen: Mapping[str, Any], values: Mapping[str, Any]) -> frozenset[str]:
        """Names of those `values` that the user has put in the place of what was proposed last, which `seen` tells."""
        filled = [(component, self._filled.get(component._id, "")) for component in self._components]
        return frozenset(
            name for component, name in filled if name in values and self.is_changed(component, seen, values[name])
        )

    def is_changed(self, component: Any, seen: Mapping[str, Any], value: Any) -> bool:
        """Whether the user has put `value` in the place of what was proposed last, which `seen` tells."""
        last = seen.get(str(component._id)) or {}
        return not same(value, last["value"]) if "value" in last else component._id not in self._noted

    def _shown(self, component: Any, scene: Scene) -> dict[str, Any]:
        """What a provider says; one that fails shows why in its place, or leaves its component alone."""
        try:
            return dict(all_legible(self._shows[component._id](scene)))
        except Exception as error:  # noqa: BLE001  the border: one broken part must not take the page down
            told = error_box(failed_here(error), scene.language)
            return {"value": all_legible(told)} if isinstance(component, gr.HTML) else {}

    def _digest(self, component: Any, shown: dict[str, Any], scene: Scene, seen: Mapping[str, Any]) -> Any:
        """What tells news apart: of a proposal itself, as it is asked for again; of the rest a hash. Of what could
        not be kept, and is known to be the user's, no value: whatever it equals, it was not proposed."""
        if component._id in self._filled:
            lasts = component._id in self._keeps and self._filled[component._id] in scene.own
            return _valueless(shown) if lasts and str(component._id) in seen else shown
        watched = self._watched[component._id] or tuple(shown)
        relevant = {name: shown[name] for name in watched if name in shown}
        return hashlib.sha256(json.dumps(relevant, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _valueless(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {prop: value for prop, value in shown.items() if prop != "value"}


def all_legible(value: Any) -> Any:
    """The same data as gradio can send it: names of files among it may be no text."""
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {name: all_legible(part) for name, part in value.items()}
    if isinstance(value, list):
        return [all_legible(part) for part in value]
    return tuple(map(all_legible, value)) if isinstance(value, tuple) else value


def settled(component: Any) -> Any:
    """The event that tells of a value when the user is done with it: letters are not waited for one by one."""
    if isinstance(component, gr.Textbox):
        return component.blur
    return getattr(component, "release", None) or getattr(component, "input", component.change)


def same(one: Any, other: Any) -> bool:
    """Whether two values of a widget are equal; numbers may come back from a browser with another last digit, words
    with spaces around them."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    return bool(one == other)


def elem_id(name: str) -> str:
    """The DOM id of one of our components."""
    return f"personal_avatar_{name}"


def _call(function: str, inputs: Sequence[Any]) -> str:
    """JavaScript that asks our script, and goes on without it when it did not load. Gradio hands it what the outputs
    hold, too, and would send that."""
    told = f"window.personalAvatar ? window.personalAvatar.{function}(...all) : all"
    return f"(...all) => ({told}).slice(0, {len(inputs)})"
