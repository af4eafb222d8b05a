"""The caption editor as HTML: every photo with its caption to edit, what is wrong with them, and the words they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path

from personal_avatar.captions.editing import frequencies, terms
from personal_avatar.captions.files import LONGEST
from personal_avatar.captions.lint import Finding
from personal_avatar.captions.tokens import MOST
from personal_avatar.ui.caption_book import template_of
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.photo_cards import position
from personal_avatar.ui.photo_pictures import PhotoPictures
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.presses import attributes_of, button
from personal_avatar.ui.scene import Scene

PRESS = "caption"
MOST_WORDS = 80
LINES = 3


def editors(
    scene: Scene, photos: Sequence[Path], captions: Mapping[str, str], shelf: Shelf, pictures: PhotoPictures
) -> str:
    """A list of photos with a field for the caption each."""
    hint = template_of(scene.draft, scene.say("plan.trigger_word"))
    rows = [_editor(photo, captions[photo.name], hint, scene, shelf, pictures) for photo in photos]
    return tag("ul", *rows, class_="pa-captions") if rows else ""


def _editor(photo: Path, caption: str, hint: str, scene: Scene, shelf: Shelf, pictures: PhotoPictures) -> str:
    small = pictures.small(photo)
    judged = scene.draft.report.photos if scene.draft.report else ()
    verdict = next((one for one in judged if one.path == photo), None)
    place = f' style="object-position:{position(verdict)}"' if verdict else ""
    picture = f'<img class="pa-thumb" src="{shelf.url(small)}" alt="" loading="lazy"{place}>' if small else ""
    name = _dom_id("caption", photo.name)
    label = tag("label", escape(photo.name), for_=name, class_="pa-name", title=photo.name)
    field = tag(
        "textarea", "\n" + escape(caption), id=name, rows=LINES, maxlength=LONGEST, data_pa_typing=photo.name,
        placeholder=scene.say("caption.empty", text=hint), aria_label=scene.say("caption.of", name=photo.name),
        spellcheck="false", lang="en",
    )  # fmt: skip
    return tag("li", picture, tag("div", label, field, class_="pa-words"), class_="pa-card")


# -- faults


def faults_html(scene: Scene, found: Sequence[Finding], captions: Mapping[str, str]) -> str:
    """What is wrong, with a button for each and one for all; that nothing is, once there are captions."""
    if not found:
        written = any(captions.values())
        return box("good", scene.say("caption.faultless")) if written else ""
    rows = [_fault(finding, scene) for finding in found]
    heading = tag("strong", escape(scene.say("caption.faults", n=len(found))))
    words = scene.say("caption.mendall")
    every = button(PRESS, "pa-mend-all", words, words, "pa-main pa-slim", do="mend_all")
    kinds = dict.fromkeys(finding.code for finding in found)
    why = [tag("p", escape(scene.say(f"lint.{code.value}.why", most=MOST)), class_="pa-note") for code in kinds]
    return tag(
        "details", tag("summary", heading), tag("div", every, class_="pa-buttons"), *why, tag("ul", *rows),
        id="pa-faults", class_="pa-faults", open=True,
    )  # fmt: skip


def _fault(finding: Finding, scene: Scene) -> str:
    what = scene.say(f"lint.{finding.code.value}", words=", ".join(finding.words))
    words = scene.say("caption.mend")
    mend = button(
        PRESS, _dom_id("mend", f"{finding.file}/{finding.code.value}"), words, f"{words}: {finding.file}, {what}",
        "pa-slim", do="mend", photo=finding.file, code=finding.code.value,
    )  # fmt: skip
    return tag("li", tag("span", tag("strong", escape(finding.file)), " ", escape(what)), " ", mend)


# -- words


def words_html(scene: Scene, captions: Mapping[str, str], chosen: str) -> str:
    """How often each tag and word occurs; the chosen one with what can be done about it."""
    counted = frequencies(captions)
    if not counted:
        return ""
    chips = [_chip(word, count, len(captions), word == chosen, scene) for word, count in counted[:MOST_WORDS]]
    heading = tag("summary", escape(scene.say("caption.words", n=len(counted))))
    return tag(
        "details", heading, tag("ul", *chips, class_="pa-chips"), _chosen(scene, chosen, dict(counted), len(captions)),
        id="pa-caption-words", open=True,
    )  # fmt: skip


def _chip(word: str, count: int, total: int, pressed: bool, scene: Scene) -> str:
    label = scene.say("caption.word", word=word, count=count, total=total)
    asked = attributes_of(PRESS, do="word", word="" if pressed else word)
    inner = tag(
        "button", tag("span", escape(word)), " ", tag("strong", str(count)), type="button", class_="pa-chip",
        id=_dom_id("word", word), title=label, aria_pressed="true" if pressed else "false",
        style=f"--pa-share:{count / max(1, total):.2f}", **asked,
    )  # fmt: skip
    return tag("li", inner)


def _chosen(scene: Scene, word: str, counts: Mapping[str, int], total: int) -> str:
    if word not in counts:
        return ""
    said = scene.say("caption.word", word=word, count=counts[word], total=total)
    remove, back = scene.say("caption.removeword"), scene.say("caption.showall")
    return tag(
        "div", tag("strong", escape(said)),
        button(PRESS, "pa-word-remove", remove, f"{remove}: {word}", "pa-slim", do="remove", word=word),
        button(PRESS, "pa-word-back", back, back, "pa-slim", do="word", word=""),
        class_="pa-buttons pa-wordbar",
    )  # fmt: skip


def having(captions: Mapping[str, str], word: str) -> set[str]:
    """Names of the photos whose caption has a tag or word; of all where nobody has it."""
    found = {name for name, text in captions.items() if word in terms(text)} if word else set()
    return found or set(captions)


def _dom_id(part: str, name: str) -> str:
    return f"pa-{part}-{sha256(name.encode()).hexdigest()[:16]}"
