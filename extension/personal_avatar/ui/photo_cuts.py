"""Part of the panel "Photos": the training pictures as they will be, under a veil where the mask makes them count less.

They are really prepared, in the draft's folder, and only small pictures of them are kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import BaseModelFile, Dataset, Sample, from_json, to_json
from personal_avatar.errors import TooFewPhotos
from personal_avatar.photos.dataset import MANIFEST
from personal_avatar.storage import write_bytes, write_json
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.markup import progress_bar, stored_error_box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.thumbs import jpeg
from personal_avatar.ui.working import CUT

USUAL_PX = 512
SIDE_PX = 320
VEIL = 0.72  # of the veil's colour, where the mask is black
VEIL_RGB = (38, 44, 56)
LIST = "cut.json"


@dataclass(frozen=True)
class Cutting:
    """One training picture. `picture`: a small copy in the folder of the draft's cuttings; `enlarged`: by how much."""

    photo: str
    picture: str
    size_px: tuple[int, int]
    enlarged: float
    padded: bool


def build(page: Page, shown: Callable[[Scene], bool], opened: Any) -> None:
    """Built inside the current block; `opened`: the choice of parts, which asks for the pictures by being changed."""
    again = gr.Button(text("cuts.again"), visible=False, elem_id=elem_id("cuts_again"))
    page.say(again, value="cuts.again")
    page.show(again, lambda scene: {"visible": shown(scene) and not _waiting(scene) and found(scene) is None})
    message = gr.HTML(elem_id=elem_id("cuts_message"))
    shelf = page.shelf("cuts")
    page.show(shelf.component, lambda scene: {"value": _in_sight(scene, shelf, shown)})
    page.on(again.click, _start, [], [], message)
    page.on(opened.input, lambda scene, part: _start(scene) if part == "cut" else [], [opened], [], message)


def _in_sight(scene: Scene, shelf: Shelf, shown: Callable[[Scene], bool]) -> str:
    return cuts_html(scene, shelf) if shown(scene) else ""


def _start(scene: Scene) -> list[Any]:
    if not _waiting(scene) and found(scene) is None:
        begin(scene.desk, scene.key, resolution_px(scene))
    return []


def _waiting(scene: Scene) -> bool:
    return scene.desk.work.now(scene.key, CUT) is not None


def resolution_px(scene: Scene) -> int:
    """At which the loaded checkpoint is trained by itself."""
    base = scene.checkpoint
    return base.native_px if isinstance(base, BaseModelFile) else USUAL_PX


# -- making


def begin(desk: Desk, key: str, side_px: int) -> None:
    """Prepare the accepted photos in the background. Raises `TooFewPhotos`, and `WrongState` while it goes on."""
    draft = desk.draft(key)
    if not draft.accepted:
        raise Refusal(TooFewPhotos, "nochecked")
    began = desk.erased(key)
    desk.work.start(key, CUT, len(draft.accepted), lambda _: _make(desk, key, draft, began, side_px))


def _make(desk: Desk, key: str, draft: Draft, began: int, side_px: int) -> None:
    """Nothing stays when the draft was erased meanwhile, or a photo taken out of it."""
    folder = desk.cuttings(key)
    try:
        _cut(desk, draft, folder, side_px)
    except Exception:
        if desk.outlived(key, began, folder):
            return
        raise
    with desk.lock:
        if not desk.outlived(key, began, folder) and desk.draft(key).photos != draft.photos:
            shutil.rmtree(folder, ignore_errors=True)


def _cut(desk: Desk, draft: Draft, folder: Path, side_px: int) -> None:
    assert draft.report is not None
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    try:
        dataset = desk.studio.prepare_photos(draft.report, work, side_px, draft.class_noun, draft.asked)
        told = json.loads((work / MANIFEST).read_text(encoding="utf-8"))["crops"]
        made = [_cutting(dataset, sample, crop, folder) for sample, crop in zip(dataset.samples, told, strict=True)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_json(folder / LIST, {"of": _fingerprint(draft, side_px), "made": to_json(made)})


def _cutting(dataset: Dataset, sample: Sample, told: dict[str, Any], folder: Path) -> Cutting:
    picture, size_px = _veiled(dataset.folder, sample)
    name = f"{sample.image.stem}.jpg"
    write_bytes(folder / name, picture)
    return Cutting(told["photo"], name, size_px, float(told["scale"]), bool(told["padded"]))


def _veiled(folder: Path, sample: Sample) -> tuple[bytes, tuple[int, int]]:
    """A small JPEG, and the size of the training picture."""
    from PIL import Image

    with Image.open(folder / sample.image) as opened:
        picture = opened.convert("RGB")
    size_px = picture.size
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    if sample.mask is not None:
        with Image.open(folder / sample.mask) as mask:
            away = mask.convert("L").resize(picture.size).point(lambda value: round((255 - value) * VEIL))
        picture.paste(Image.new("RGB", picture.size, VEIL_RGB), mask=away)
    return jpeg(picture), size_px


def _fingerprint(draft: Draft, side_px: int) -> str:
    """Of everything that the pictures depend on."""
    accepted = draft.report.accepted if draft.report else ()
    photos = [[verdict.path.name, verdict.face and verdict.face.box_px] for verdict in accepted]
    facts = json.dumps([photos, draft.asked, side_px], sort_keys=True, default=str)
    return hashlib.sha256(facts.encode()).hexdigest()


# -- showing


def found(scene: Scene) -> list[Cutting] | None:
    """The pictures as they would be made now; None when they have not been made."""
    try:
        stored = json.loads((scene.desk.cuttings(scene.key) / LIST).read_text(encoding="utf-8"))
        if stored["of"] == _fingerprint(scene.draft, resolution_px(scene)):
            return from_json(list[Cutting], stored["made"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def cuts_html(scene: Scene, shelf: Shelf) -> str:
    """The pictures, or what stands in their place: they are being made, could not be made, or were not yet."""
    if (work := scene.desk.work.now(scene.key, CUT)) is not None:
        words = scene.say("cuts.working", n=work.total)
        return tag("div", tag("p", escape(words)), progress_bar(0, words, known=False), class_="pa-wait")
    error = scene.desk.work.error(scene.key, CUT)
    made = found(scene)
    if made is None:
        return stored_error_box(error, scene.language) if error else _before(scene)
    figures = [_figure(cutting, scene, shelf) for cutting in made]
    return tag("p", escape(scene.say("cuts.info")), class_="pa-note") + tag("ul", *figures, class_="pa-gallery pa-cuts")


def _before(scene: Scene) -> str:
    return tag("div", tag("p", escape(scene.say("cuts.none"))), class_="pa-empty")


def _figure(cutting: Cutting, scene: Scene, shelf: Shelf) -> str:
    path = scene.desk.cuttings(scene.key) / cutting.picture
    words = [f"{cutting.size_px[0]} × {cutting.size_px[1]}"]
    if cutting.enlarged > 1:
        words.append(scene.say("cuts.enlarged", times=f"{cutting.enlarged:.1f}"))
    if cutting.padded:
        words.append(scene.say("cuts.padded"))
    alt = scene.say("cuts.alt", name=cutting.photo)
    return shelf.figure(path, alt, f"{cutting.photo}: {' · '.join(words)}") if path.is_file() else ""
