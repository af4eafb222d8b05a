"""Panel "Rank": existing pictures, from a folder or uploaded, in the order of how good they are of somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.errors import InvalidSettings, NotFound, TooFewPhotos, WrongState
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.studio.rankings import MAX_REFERENCES, RankRequest
from personal_avatar.ui import people
from personal_avatar.ui import ranking_view as view
from personal_avatar.ui.clip_download import ClipDownload
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.photos import upload
from personal_avatar.ui.pictures import drop_uploads
from personal_avatar.ui.presses import Pressed, listen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

BEST = 20  # pictures that are taken along when nobody says how many


def build(page: Page) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            _asked(page)
        with gr.Column(scale=3, min_width=300):
            _progress(page)
            steering = _order(page)
            like = _gallery(page)
            _taken(page, {**steering, view.LIKE: like})


# -- what is asked


def _asked(page: Page) -> None:
    avatar = gr.Dropdown(
        [], label=text("rank.avatar"), info=text("rank.avatar.info"), elem_id=elem_id(view.AVATAR)
    )
    page.say(page.read(view.AVATAR, avatar), label="rank.avatar", info="rank.avatar.info")
    page.show(avatar, _avatars, watched=("choices",))
    references = upload(page, "rank_references", "identity.references", height=110)
    page.show(references, lambda scene: {"visible": chosen_avatar(scene, scene.values.get(view.AVATAR)) is None})
    folder = gr.Textbox(
        label=text("rank.folder"), info=text("rank.folder.info"), max_lines=1, visible=page.ask_folder,
        elem_id=elem_id("rank_folder"),
    )
    page.say(folder, label="rank.folder", info="rank.folder.info")
    images = upload(page, "rank_images", "rank.images", height=110)
    start = gr.Button(text("rank.start"), variant="primary", elem_id=elem_id("rank_start"))
    message = gr.HTML(elem_id=elem_id("rank_message"))

    def begin(scene: Scene, who: str | None, photos: Any, named: str, files: Any) -> list[Any]:
        scene.studio.rankings.start(_request(scene, page, who, photos, named, files))
        drop_uploads([*(photos or []), *(files or [])])
        return [None, None]

    page.say(start, value="rank.start")
    page.on(start.click, begin, [avatar, references, folder, images], [references, images], message)


def _avatars(scene: Scene) -> dict[str, Any]:
    """Nobody, and whoever was trained and has a face."""
    nobody, names = scene.say("rank.noavatar"), list(_with_faces(scene))
    chosen = scene.values.get(view.AVATAR)
    return {"choices": [nobody, *names], "value": chosen if chosen in names else nobody}


def _with_faces(scene: Scene) -> dict[str, Any]:
    return {label: avatar for label, avatar in people.avatars_by_label(scene).items() if avatar.reference}


def chosen_avatar(scene: Scene, label: Any) -> Any:
    """The avatar of that label; None for nobody."""
    return _with_faces(scene).get(label or "")


def _request(
    scene: Scene, page: Page, who: str | None, photos: Any, named: str, files: Any
) -> RankRequest:
    """Raises what the page itself refuses."""
    avatar, references, images = chosen_avatar(scene, who), _paths(photos), _paths(files)
    folder = _folder(named) if page.ask_folder else None
    if avatar is None and not references:
        raise Refusal(TooFewPhotos, "ranknobody", hint="remedy.avatar_or_photo")
    if len(references) > MAX_REFERENCES:
        raise Refusal(InvalidSettings, "manyphotos", n=len(references), most=MAX_REFERENCES)
    if folder is None and not images:
        raise Refusal(TooFewPhotos, "ranknothing")
    return RankRequest(
        () if folder else images, folder, avatar.id if avatar else "", () if avatar else references,
    )


def _paths(files: Any) -> tuple[Path, ...]:
    return tuple(Path(file.name) for file in files or [])


def _folder(named: str) -> Path | None:
    """The folder that was named, if any. Raises `NotFound`."""
    if not (named or "").strip():
        return None
    folder = Path(named.strip().strip('"')).expanduser()
    if not folder.is_dir():
        raise Refusal(NotFound, "nofolder", said="failure.no_such_folder", folder=named.strip())
    return folder


# -- how it goes


def _progress(page: Page) -> None:
    message = gr.HTML(elem_id=elem_id("rank_cancel_message"), render=False)
    clip = ClipDownload(page, "rank", message)
    page.show(gr.HTML(elem_id=elem_id("rank_progress")), lambda scene: {"value": view.progress(scene, clip)})
    cancel = gr.Button(text("jobs.cancel"), visible=False, elem_id=elem_id("rank_cancel"))
    message.render()

    def end(scene: Scene) -> list[Any]:
        if scene.ranking is None:
            raise Refusal(WrongState, "nojob")
        scene.studio.queue.cancel(scene.ranking.job.id)
        return []

    page.show(page.say(cancel, value="jobs.cancel"), lambda scene: {"visible": _active(scene)})
    page.on(cancel.click, end, [], [], message)


def _active(scene: Scene) -> bool:
    return scene.ranking is not None and scene.ranking.status.state in ACTIVE


# -- what came of it


def _order(page: Page) -> dict[str, Any]:
    """By which score, and from which values on: widgets by the names under which they are read."""
    found = {}
    with gr.Row(elem_classes="pa-settings"):
        sort = gr.Dropdown([], label=text("results.sort"), min_width=200, visible=False, elem_id=elem_id(view.SORT))
        found[view.SORT] = page.say(page.read(view.SORT, sort), label="results.sort")
        page.show(sort, view.orders, watched=("choices", "visible"))
        for part in view.LIMITS:
            number = gr.Number(
                None, label=text("rank.from"), min_width=120, visible=False, elem_id=elem_id(view.limit(part))
            )
            found[view.limit(part)] = page.read(view.limit(part), number)
            page.show(number, _limit_shown(part), watched=("label", "visible"))
    return found


def _limit_shown(part: str) -> Any:
    def shown(scene: Scene) -> dict[str, Any]:
        return {"label": scene.say("rank.from", part=scene.say(f"part.{part}")), "visible": view.is_there(scene)}

    return shown


def _gallery(page: Page) -> Any:
    """The pictures; returns what holds the number of the one that more like is wanted of."""
    like = page.read(view.LIKE, gr.Textbox("", visible=False, elem_id=elem_id(view.LIKE)))
    shelf = page.shelf("rank_gallery")
    page.show(shelf.component, lambda scene: {"value": view.gallery(scene, shelf)})
    message = gr.HTML(elem_id=elem_id("rank_like_message"))

    def chosen(scene: Scene, value: Pressed) -> list[Any]:
        return [str(value.get("like", ""))]

    listen(page, view.PRESS, chosen, [like], message)
    return like


def _taken(page: Page, steering: dict[str, Any]) -> None:
    """The best ones into a folder, and a table of all."""
    with gr.Row(elem_classes="pa-settings"):
        count = gr.Number(BEST, precision=0, label=text("rank.count"), min_width=110, elem_id=elem_id("rank_count"))
        target = gr.Textbox(label=text("rank.target"), max_lines=1, min_width=240, elem_id=elem_id("rank_target"))
        move = gr.Checkbox(False, label=text("rank.move"), elem_id=elem_id("rank_move"))
    with gr.Row():
        take = gr.Button(text("rank.take"), elem_id=elem_id("rank_take"))
        table = gr.Button(text("rank.table"), elem_id=elem_id("rank_table"))
    message = gr.HTML(elem_id=elem_id("rank_take_message"))
    told = gr.HTML(elem_id=elem_id("rank_taken"))
    file = gr.File(label=text("rank.table"), interactive=False, visible=False, elem_id=elem_id("rank_file"))
    for component, words in ((count, "rank.count"), (target, "rank.target"), (move, "rank.move")):
        page.say(component, label=words)
        page.show(component, lambda scene: {"visible": view.is_there(scene) and page.ask_folder}, watched=("visible",))
    page.say(take, value="rank.take")
    page.say(table, value="rank.table")
    page.say(file, label="rank.table")
    page.show(take, lambda scene: {"visible": view.is_there(scene) and page.ask_folder})
    page.show(table, lambda scene: {"visible": view.is_there(scene)})

    def taken(scene: Scene, number: float, named: str, moved: bool, *steered: Any) -> list[Any]:
        if not page.ask_folder:  # a button that is not shown can be pressed all the same
            raise Refusal(WrongState, "nofolders")
        scene.values.update(zip(steering, steered, strict=True))
        return [view.take(scene, int(number or BEST), named or "", bool(moved))]

    def written(scene: Scene, *steered: Any) -> list[Any]:
        scene.values.update(zip(steering, steered, strict=True))
        return [gr.update(value=str(view.table(scene)), visible=True)]

    page.on(take.click, taken, [count, target, move, *steering.values()], [told], message)
    page.on(table.click, written, list(steering.values()), [file], message)

