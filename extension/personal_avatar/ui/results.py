"""Panel "Results": pictures ranked by likeness, each with its scores, a large view, and ways to take them along."""

from __future__ import annotations

import json
import zipfile
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import Portrait, from_json
from personal_avatar.errors import NotFound
from personal_avatar.jobs.store import JobView
from personal_avatar.studio import Studio
from personal_avatar.styles import library
from personal_avatar.ui import erase
from personal_avatar.ui.jobs import clock
from personal_avatar.ui.making import likeness_words
from personal_avatar.ui.markup import badge, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.styles import style_name
from personal_avatar.ui.texts import text

PANELS = ("photos", "train", "create", "one_photo", "results", "jobs")
WORDS = ("original", "restored", "prompt", "seed", "close", "download", "txt2img", "previous", "next")


def build(page: Page) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-top", equal_height=False):
        run = page.say(
            gr.Dropdown(
                [text("results.newest")],
                value=text("results.newest"),
                label=text("results.run"),
                min_width=240,
                elem_id=elem_id("run"),
            ),
            label="results.run",
        )
        page.show(page.read("run", run), _runs, watched=("choices",))
        pack = page.say(
            gr.Button(text("results.zip"), scale=0, min_width=200, visible=False, elem_id=elem_id("zip")),
            value="results.zip",
        )
    message = gr.HTML(elem_id=elem_id("results_message"))
    archive = page.say(
        gr.File(label=text("results.file"), interactive=False, visible=False, elem_id=elem_id("zip_file")),
        label="results.file",
    )
    shelf = Shelf(elem_id("gallery"))
    page.show(shelf.component, lambda scene: {"value": gallery_html(scene, shelf, page.send_to_txt2img)})
    page.show(gr.HTML(elem_id=elem_id("words"), visible=False), _words)
    page.show(pack, lambda scene: {"visible": chosen_run(scene) is not None})
    page.on(pack.click, lambda scene, wanted: [_archive(scene, wanted)], [run], [archive], message)
    erase.build_run(page, run, chosen_run)


# -- which run


def run_label(view: JobView, scene: Scene) -> str:
    count = len((view.result or {}).get("images", []))
    return f"{scene.title(view)} · {count} · {clock(view.job.created_at)} · {view.job.id[:4]}"


def _runs(scene: Scene) -> dict[str, Any]:
    newest = scene.say("results.newest")
    labels = [newest] + [run_label(view, scene) for view in scene.results]
    wanted = scene.values.get("run")
    return {"choices": labels, "value": wanted if wanted in labels else newest}


def chosen_run(scene: Scene) -> JobView | None:
    """The run that is named, else the newest; None when there is none."""
    wanted = scene.values.get("run")
    return next((view for view in scene.results if run_label(view, scene) == wanted), next(iter(scene.results), None))


# -- the gallery


def gallery_html(scene: Scene, shelf: Shelf, send_to_txt2img: bool) -> str:
    """Pictures of the chosen run, best first."""
    view = chosen_run(scene)
    if view is None:
        return tag(
            "div",
            tag("h3", escape(scene.say("results.none"))),
            tag("p", escape(scene.say("results.none.info"))),
            class_="pa-empty",
        )
    portraits = [from_json(Portrait, data) for data in (view.result or {})["images"]]
    cards = [_card(place, portrait, scene, shelf, send_to_txt2img) for place, portrait in enumerate(portraits, start=1)]
    note = scene.say("results.order", n=len(portraits))
    return tag("p", escape(note), class_="pa-note") + tag("ul", *cards, class_="pa-gallery")


def _card(place: int, portrait: Portrait, scene: Scene, shelf: Shelf, send_to_txt2img: bool) -> str:
    best = portrait.restored or portrait.path
    if not best.is_file():
        return tag(
            "li",
            tag("div", "?", class_="pa-thumb pa-none", aria_hidden="true"),
            escape(scene.say("results.gone")),
            class_="pa-figure",
        )
    style = _style(portrait.style, scene)
    likeness = _likeness(portrait, scene)
    mark = tag("span", str(place), class_="pa-place") + (
        badge("good", scene.say("results.restored")) if portrait.restored else ""
    )
    large = _large(place, portrait, f"{style} · {likeness}", scene, shelf)
    large["txt2img"] = send_to_txt2img
    alt = scene.say("results.alt", place=place, style=style, likeness=likeness)
    return shelf.figure(best, alt, f"{likeness} · {style} · {scene.say('results.seed')} {portrait.seed}", large, mark)


def _likeness(portrait: Portrait, scene: Scene) -> str:
    """Of the picture that is shown; of a restored one before and after."""
    after = portrait.scores.get("restored")
    if portrait.restored is None or after is None or portrait.likeness is None:
        return likeness_words(portrait.likeness, scene)
    return scene.say("results.likeness", value=f"{portrait.likeness:.2f} → {after:.2f}")


def _large(place: int, portrait: Portrait, title: str, scene: Scene, shelf: Shelf) -> dict[str, Any]:
    """What the large view shows and hands to txt2img."""
    restored = portrait.restored if portrait.restored and portrait.restored.is_file() else None
    original = portrait.path if portrait.path.is_file() else None
    after = portrait.scores.get("restored")
    return {
        "title": f"{place}. {title}",
        "prompt": portrait.prompt,
        "seed": portrait.seed,
        "original": shelf.url(original) if original else "",
        "restored": shelf.url(restored) if restored else "",
        "original_likeness": likeness_words(portrait.likeness, scene),
        "restored_likeness": likeness_words(after, scene) if after is not None else "",
        "infotext": infotext(original) or portrait.prompt if original else portrait.prompt,
    }


def _style(style_id: str, scene: Scene) -> str:
    if style_id == "prompt":
        return scene.say("create.prompt")
    found = next((style for style in library.shipped() if style.id == style_id), None)
    return style_name(found, scene.language) if found else style_id


def infotext(path: Path) -> str:
    """The generation parameters that a picture carries, empty when it has none."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return str(picture.info.get("parameters", ""))
    except (OSError, ValueError):
        return ""


def _words(scene: Scene) -> dict[str, Any]:
    """Texts for the large view, which our script builds."""
    words = {word: scene.say(f"large.{word}") for word in WORDS}
    tabs = [scene.say(f"tab.{name}") for name in PANELS]
    data = json.dumps(
        {
            "large": words,
            "tabs": tabs,
            "drop": scene.say("photos.drop"),
            "away": scene.say("page.away"),
            "language": scene.language,
        },
        ensure_ascii=False,
    )
    return {"value": tag("div", "", data_pa_words=data)}


# -- taking along


def _archive(scene: Scene, wanted: str) -> dict[str, Any]:
    scene.values["run"] = wanted
    view = chosen_run(scene)
    if view is None:
        raise Refusal(NotFound, "nopictures")
    return gr.update(value=str(archive_of(scene.studio, view)), visible=True)


def archive_of(studio: Studio, view: JobView) -> Path:
    """All pictures of a run as one zip, best first by their names; stored, as pictures do not get smaller."""
    target = studio.host.folders().data / "cache" / "archives" / f"{view.job.avatar_id}-{view.job.id[:8]}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for place, data in enumerate((view.result or {})["images"], start=1):
            portrait = from_json(Portrait, data)
            for word, path in (("", portrait.path), ("-restored", portrait.restored)):
                if path is not None and path.is_file():
                    archive.write(path, f"{place:03d}{word}{path.suffix}")
    part.replace(target)
    return target
