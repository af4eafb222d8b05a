"""What the large view of a picture shows and can do; our script builds it out of these facts."""

from __future__ import annotations

from typing import Any

from personal_avatar.albums.entries import Entry
from personal_avatar.albums.sizes import SIZES
from personal_avatar.pictures import FORMATS, infotext_of
from personal_avatar.ui.making import likeness_words
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene

WORDS = (
    "original", "restored", "prompt", "seed", "close", "download", "txt2img", "previous", "next", "img2img", "inpaint",
    "extras", "favourite", "more", "delete", "delete_ask", "delete_host", "delete_yes", "delete_no", "slider", "side",
    "divider", "way", "size", "format", "version", "scores", "infotext", "ab", "better", "better_done", "working",
    "taken",
)  # fmt: skip


def large_view(
    entry: Entry, title: str, scores: list[tuple[str, str]], scene: Scene, shelf: Shelf
) -> dict[str, Any]:
    """Facts of one picture; an address is empty where the file is gone."""
    portrait = entry.portrait
    restored = portrait.restored if portrait.restored and portrait.restored.is_file() else None
    original = portrait.path if portrait.path.is_file() else None
    after = portrait.scores.get("restored")
    return {
        "id": entry.key,
        "title": title,
        "prompt": portrait.prompt,
        "seed": portrait.seed,
        "original": shelf.url(original) if original else "",
        "restored": shelf.url(restored) if restored else "",
        "original_likeness": likeness_words(portrait.likeness, scene),
        "restored_likeness": likeness_words(after, scene) if after is not None else "",
        "infotext": (infotext_of(entry.shown) if entry.shown.is_file() else "") or portrait.prompt,
        "scores": scores,
        "favourite": entry.favourite,
        "owned": entry.owned,
    }


def large_words(scene: Scene) -> dict[str, Any]:
    """Texts of the large view, with their places still open, and what can be chosen in it."""
    open_places = {name: f"{{{name}}}" for name in ("a", "b", "name")}
    words: dict[str, Any] = {word: scene.say(f"large.{word}", **open_places) for word in WORDS}
    words["sizes"] = [[size, scene.say(f"size.{size}")] for size in SIZES]
    words["formats"] = [["", scene.say("format.own")], *([kind, scene.say(f"format.{kind}")] for kind in FORMATS)]
    return words
