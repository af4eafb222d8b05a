"""The remarks of a run, and where nobody could judge its prompts, what that needs with its download."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from personal_avatar.errors import WrongState
from personal_avatar.studio.judges import FETCH_CLIP
from personal_avatar.ui.fetching import Fetching, fetching_html
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page
from personal_avatar.ui.possible import folder_of
from personal_avatar.ui.presses import Pressed, button, listen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.remarks import remarks
from personal_avatar.ui.scene import Scene
from personal_avatar.weights.ranking import CLIP_B
from personal_avatar.wording import text

_LACKING = text("remark.no_clip", command=FETCH_CLIP)


class ClipDownload:
    """Of one panel, whose `name` tells its buttons from others'."""

    def __init__(self, page: Page, name: str, message: Any) -> None:
        self._press, self._fetching = f"{name}_clip", Fetching()
        listen(page, self._press, self._asked, [], message)

    def _asked(self, scene: Scene, value: Pressed) -> list[Any]:
        """Pressing the button is the consent to the licence that stands beside it."""
        if value.get("stop"):
            self._fetching.stop()
        elif _is_here(scene):
            raise Refusal(WrongState, "nothingmissing")
        else:
            self._fetching.start([CLIP_B], folder_of(scene))
        return []

    def remarks(self, sentences: Sequence[str], scene: Scene) -> str:
        """What a run remarked; that it lacked CLIP with a button in the place of the command."""
        others = remarks([one for one in sentences if one != _LACKING], scene)
        return others + self._download(scene) if _LACKING in sentences else others

    def _download(self, scene: Scene) -> str:
        if _is_here(scene):
            return box("good", scene.say("clip.here"))
        stop = scene.say("one.stop")
        running = tag("div", self._button(stop, stop=True), class_="pa-buttons")
        going = fetching_html(self._fetching, scene, running)
        return going if self._fetching.state.running else tag("div", self._offer(scene), class_="pa-lacks") + going

    def _offer(self, scene: Scene) -> str:
        size = scene.say("caption.size", mb=round(CLIP_B.size_mb))
        licence = tag(
            "a", escape(CLIP_B.licence), href=CLIP_B.licence_url, target="_blank", rel="noopener noreferrer"
        )
        words = self._button(scene.say("caption.fetch"))
        told = tag("p", escape(scene.say("clip.lacking")), class_="pa-note")
        facts = tag("p", escape(size), " · ", escape(scene.say("caption.licence")), " ", licence, class_="pa-note")
        return told + facts + tag("div", words, class_="pa-buttons")

    def _button(self, words: str, **value: bool) -> str:
        return button(self._press, f"pa-{self._press}", words, f"{words}: CLIP", "pa-slim", **value)


def _is_here(scene: Scene) -> bool:
    return (folder_of(scene) / CLIP_B.file_name).is_file()
