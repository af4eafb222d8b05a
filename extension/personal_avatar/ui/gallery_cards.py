"""The gallery as HTML: cards with scores, hearts and choices, the bar of what is chosen, pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

from personal_avatar.albums.entries import PARTS, Entry, page_of
from personal_avatar.errors import AvatarError
from personal_avatar.studio.again import OWN_PROMPT
from personal_avatar.styles import library
from personal_avatar.ui import gallery_choice as choice
from personal_avatar.ui.gallery_large import large_view
from personal_avatar.ui.making import likeness_words
from personal_avatar.ui.markup import badge, facts, tag
from personal_avatar.ui.page import elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.styles import style_name
from personal_avatar.wording import score


def gallery_html(scene: Scene, shelf: Shelf, destinations: tuple[str, ...]) -> str:
    """A page of the pictures that are wanted. `destinations`: where the large view can send one to."""
    every = choice.all_entries(scene)
    if not every:
        key = "results.nofavourites" if choice.shows_favourites(scene) and scene.results else "results.none"
        return _empty(key, scene)
    found = choice.entries(scene)
    if not found:
        return _empty("results.nothing", scene)
    shown, page, pages = page_of(found, _page(scene), choice.PAGE)
    chosen = choice.keys_in(scene.values.get(choice.PICKED))
    first = (page - 1) * choice.PAGE + 1
    cards = [
        _card(Card(scene, shelf, entry, place, entry.key in chosen, destinations))
        for place, entry in enumerate(shown, start=first)
    ]
    note = tag("p", escape(scene.say("results.count", n=len(found), all=len(every))), class_="pa-note")
    return note + _bar(scene, shelf, shown) + tag("ul", *cards, class_="pa-gallery") + _pager(scene, page, pages)


def _page(scene: Scene) -> int:
    found = str(scene.values.get(choice.AT) or "1")
    return int(found) if found.isdecimal() else 1


def _empty(key: str, scene: Scene) -> str:
    words = tag("p", escape(scene.say(f"{key}.info")))
    return tag("div", tag("h3", escape(scene.say(key))), words, class_="pa-empty")


# -- one picture


@dataclass(frozen=True)
class Card:
    """What a card is made of. `place`: in the present order, from 1; `destinations`: where the picture can be sent."""

    scene: Scene
    shelf: Shelf
    entry: Entry
    place: int
    chosen: bool
    destinations: tuple[str, ...]

    @property
    def style(self) -> str:
        if self.entry.portrait.style == OWN_PROMPT:
            return self.scene.say("create.prompt")
        found = next((style for style in library.shipped() if style.id == self.entry.portrait.style), None)
        return style_name(found, self.scene.language) if found else self.entry.portrait.style

    @property
    def likeness(self) -> str:
        """Of the picture that is shown; of a restored one before and after."""
        portrait, after = self.entry.portrait, self.entry.likeness
        if portrait.restored is None or after is None or portrait.likeness is None:
            return likeness_words(portrait.likeness, self.scene)
        return self.scene.say("results.likeness", value=f"{score(portrait.likeness)} → {score(after)}")

    @property
    def overall(self) -> str:
        value = self.entry.score("overall")
        return self.scene.say("results.overall", value=f"{value:.2f}" if value is not None else "-")

    @property
    def scores(self) -> list[tuple[str, str]]:
        """All parts in words; "-" for what was not measured."""
        values = ((part, self.entry.score(part)) for part in PARTS)
        return [
            (self.scene.say(f"part.{part}"), f"{value:.2f}" if value is not None else "-") for part, value in values
        ]


def _card(card: Card) -> str:
    scene, entry = card.scene, card.entry
    try:
        source = card.shelf.url(scene.studio.gallery.thumbnail(entry))
    except (AvatarError, OSError):
        return _gone(card)
    mark = tag("span", str(card.place), class_="pa-place") + (
        badge("good", scene.say("results.restored")) if entry.portrait.restored else ""
    )
    alt = scene.say("results.alt", place=card.place, style=card.style, likeness=card.likeness)
    image = tag("img", src=source, alt=alt, loading="lazy")
    data = json.dumps(large_of(card), ensure_ascii=False)
    opener = tag("button", image, type="button", class_="pa-open", data_pa_large=data, aria_haspopup="dialog")
    seed = f"{scene.say('results.seed')} {entry.portrait.seed}"
    caption = tag("div", escape(f"{card.likeness} · {card.overall} · {card.style} · {seed}"), class_="pa-caption")
    inner = (mark, opener, caption, _tools(card), _parts(card))
    return tag("li", *inner, class_="pa-figure pa-picked" if card.chosen else "pa-figure", data_pa_picture=entry.key)


def _gone(card: Card) -> str:
    """Of a picture whose file somebody moved away, there is still the record to delete."""
    none = tag("div", "?", class_="pa-thumb pa-none", aria_hidden="true")
    words = tag("div", escape(card.scene.say("results.gone")), class_="pa-caption")
    return tag("li", none, words, _tools(card), class_="pa-figure", data_pa_picture=card.entry.key)


def large_of(card: Card) -> dict[str, Any]:
    title = f"{card.place}. {card.style} · {card.likeness}"
    return large_view(card.entry, title, card.scores, card.scene, card.shelf) | {"send": list(card.destinations)}


def _tools(card: Card) -> str:
    """A heart and a choice; both say by `aria-pressed` how they stand."""
    say, key, place = card.scene.say, card.entry.key, card.place
    liked = card.entry.favourite
    heart = pressing("like", f"{key}:{int(not liked)}", "♥" if liked else "♡", f"pa-like-{key}", "pa-heart", liked,
                     say("results.like", place=place))
    pick = pressing("pick", key, escape(say("results.pick")), f"pa-pick-{key}", "pa-button pa-pick", card.chosen,
                    say("results.pick.alt", place=place))
    return tag("div", heart, pick, class_="pa-card-tools")


def pressing(
    action: str, value: str, words: str, dom_id: str, class_: str = "pa-button", pressed: bool | None = None,
    label: str | None = None,
) -> str:
    """A button that our script hands on to the hidden one for `action`, with `value`."""
    state = None if pressed is None else str(pressed).lower()
    return tag("button", words, type="button", id=dom_id.replace(":", "-"), class_=class_, aria_pressed=state,
               aria_label=label, data_pa_press=elem_id(f"press_{action}"), data_pa_value=value)


def _parts(card: Card) -> str:
    """The parts of the score, folded."""
    summary = tag("summary", escape(card.scene.say("results.parts")))
    return tag("details", summary, facts(card.scores), id=f"pa-parts-{card.entry.key.replace(':', '-')}",
               class_="pa-parts")


# -- what is chosen, pages


def _bar(scene: Scene, shelf: Shelf, shown: list[Entry]) -> str:
    chosen = choice.picked(scene)
    words = tag("span", escape(scene.say("results.picked", n=len(chosen))), class_="pa-count", role="status")
    keys = " ".join(entry.key for entry in shown)
    every = pressing("pick", keys, escape(scene.say("results.pick.all")), "pa-pick-all")
    parts = [words, every]
    if chosen:
        parts.append(pressing("pick", "", escape(scene.say("results.pick.none")), "pa-pick-none"))
    return tag("div", *parts, _comparison(scene, shelf, chosen), class_="pa-bar-of-choice")


def _comparison(scene: Scene, shelf: Shelf, chosen: list[Entry]) -> str:
    """A button that shows two chosen pictures against each other; a hint while there are not two."""
    there = [entry for entry in chosen if entry.shown.is_file()]
    if len(there) != 2:
        return tag("span", escape(scene.say("results.compare.hint")), class_="pa-note")
    both = [large_of(Card(scene, shelf, entry, entry.number + 1, True, ())) for entry in there]
    words = escape(scene.say("results.compare"))
    data = json.dumps(both, ensure_ascii=False)
    return tag("button", words, type="button", id="pa-compare", class_="pa-button pa-main", data_pa_ab=data,
               aria_haspopup="dialog")


def _pager(scene: Scene, page: int, pages: int) -> str:
    if pages < 2:
        return ""

    def step(word: str, target: int) -> str:
        words = escape(scene.say(f"results.page.{word}"))
        return pressing("page", str(target), words, f"pa-page-{word}") if 1 <= target <= pages else ""

    place = tag("span", escape(scene.say("results.page", page=page, pages=pages)), role="status")
    label = scene.say("results.pages")
    return tag(
        "nav", step("previous", page - 1), place, step("next", page + 1), class_="pa-buttons pa-pager", aria_label=label
    )
