"""`personal-avatar demo`: the main job from photos to portraits, on what is shipped.

Ten drawings of one character, five more that the photo report refuses, and the tiny checkpoint. It leaves behind what a
user gets: a LoRA file, portraits in four styles, ranked, a contact sheet, a page about it all, and numbers.
"""
from __future__ import annotations

import json
import shutil
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from personal_avatar import documents
from personal_avatar.avatars import subject_prompt
from personal_avatar.commands.common import exit_status, follow, local_studio
from personal_avatar.commands.photos import show
from personal_avatar.commands.train import copied, show_training
from personal_avatar.domain import Checkpoint, Method, PhotoReport, Portrait, Style, from_json
from personal_avatar.errors import BadInput
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.names import same_name
from personal_avatar.reports.contact_sheet import write_contact_sheet
from personal_avatar.reports.content import Report, curves_from
from personal_avatar.reports.page import write_page
from personal_avatar.shipped import SAMPLES
from personal_avatar.storage import write_json
from personal_avatar.studio import CreateRequest, Studio, TrainRequest
from personal_avatar.studio.picking import free
from personal_avatar.terminal import Terminal
from personal_avatar.wording import method_name, score, span

NAME, CLASS_NOUN = "Ruby", "woman"
CATEGORY = "avatar-tiny"
DOCUMENT = "report.json"
STYLES, PICTURES, RESTORED = 4, 24, 4
CONSENT = "Nobody: the pictures show a character that was drawn by a program."


@dataclass
class Demo:
    """One run: where it works, and what it has found so far."""

    studio: Studio
    out: Path
    terminal: Terminal
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Announce a stage and note how long it took."""
        began = time.monotonic()
        self.terminal.say(f"\n{len(self.seconds) + 1}. {text}")
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)


def run(args: Namespace, terminal: Terminal) -> int:
    out = args.out.resolve()
    demo = Demo(local_studio(args.data or out / "data"), out, terminal)
    began = time.monotonic()
    _settle(demo)
    photos = _check(demo)
    training, interrupted = _train(demo, args)
    document = documents.training(training)
    if training.status.state is State.SUCCEEDED:
        portraits, interrupted = _paint(demo, training)
        document = {**document, **_write(demo, photos, training, portraits)}
        training = portraits if portraits.status.state is not State.SUCCEEDED else training
    document["seconds"] = round(time.monotonic() - began, 1)
    document["stages"] = demo.seconds
    write_json(free(out / DOCUMENT), document)
    terminal.document(document)
    if training.status.state is State.SUCCEEDED:
        terminal.say(f"\nAll of it took {document['seconds']:.0f} seconds. Results are in {out}")
    return exit_status(demo.studio, training, interrupted, terminal)


def _settle(demo: Demo) -> None:
    """End what an earlier run that was broken off may have left, and erase its avatar and results: every run begins
    anew. Raises `BadInput` where somebody else has its name."""
    demo.studio.open()
    everybody = demo.studio.avatars.all()
    earlier = [one for one in everybody if {consent.statement for consent in one.consents} == {CONSENT}]
    if any(same_name(one.name, NAME) for one in everybody if one not in earlier):
        raise BadInput(
            f"There is an avatar {NAME} in {demo.studio.host.folders().data}, which is not the demo's.",
            "Choose another folder with --data, or none.",
        )
    for avatar in earlier:
        for view in demo.studio.jobs.views(states=ACTIVE):
            if view.job.avatar_id == avatar.id:
                demo.studio.queue.cancel(view.job.id, keep_checkpoint=False)
                demo.studio.queue.wait(view.job.id, 90)
        demo.studio.delete_avatar(avatar.id)
    for file in _earlier(demo.out):
        if file.parent.resolve() in (demo.out, demo.out / "portraits"):
            file.unlink(missing_ok=True)


def _samples() -> tuple[Path, ...]:
    return tuple(sorted(path for path in SAMPLES.iterdir() if path.suffix == ".jpg"))


def _check(demo: Demo) -> PhotoReport:
    with demo.stage("check", f"Photos: {len(_samples())} sample pictures, some of them unsuitable on purpose"):
        with demo.terminal.bar("check") as bar:
            report = demo.studio.check_photos(_samples(), on_progress=bar)
        show(report, demo.terminal)
    return report


def _train(demo: Demo, args: Namespace) -> tuple[JobView, bool]:
    """An avatar from the accepted pictures; the job checks and prepares them itself, and tests its file."""
    base = demo.studio.host.checkpoint()
    request = TrainRequest(
        name=NAME, photos=_samples(), class_noun=CLASS_NOUN, method=Method(args.method), consent=CONSENT,
        plan={"steps": args.steps} if args.steps else {},
    )
    trained = f"{method_name(args.method)} of {NAME} on {base.title}"
    with demo.stage("train", f"Training: {trained}, then the self-test of its file"):
        view, interrupted = follow(demo.studio, demo.studio.trainings.start(request), demo.terminal)
        show_training(documents.training(view), demo.terminal)
    return view, interrupted


def _styles(studio: Studio) -> tuple[Style, ...]:
    return tuple(style for style in studio.styles() if style.category == CATEGORY)[:STYLES]


def _paint(demo: Demo, training: JobView) -> tuple[JobView, bool]:
    styles = _styles(demo.studio)
    settings = {"count": PICTURES, "seed": 1, "restore": True, "restore_count": RESTORED}
    request = CreateRequest(training.job.avatar_id, tuple(style.id for style in styles), settings=settings)
    with demo.stage("create", f"Portraits: {PICTURES} in {len(styles)} styles, ranked, the best restored"):
        view, interrupted = follow(demo.studio, demo.studio.create(request), demo.terminal)
        images = (view.result or {}).get("images", [])
        if images:
            best, last, restored = images[0], images[-1], sum(1 for image in images if image["restored"])
            demo.terminal.say(f"  likeness from {score(best['likeness'])} (the best) to {score(last['likeness'])}; "
                              f"{restored} of the best {RESTORED} restored")
    return view, interrupted


def _write(demo: Demo, photos: PhotoReport, training: JobView, portraits: JobView) -> dict[str, Any]:
    """Put everything a user wants to look at into the demo's folder; the part of the document that names it."""
    with demo.stage("report", "Report"):
        point = from_json(Checkpoint, (training.result or {})["checkpoint"])
        file = Path(shutil.copyfile(point.path, free(demo.out / point.path.name)))
        images = copied(portraits, demo.out / "portraits")
        report = _report(demo.studio, photos, training, images, replace(point, path=file))
        sheet = write_contact_sheet(report, free(demo.out / "contact-sheet.png"))
        page = write_page(report, free(demo.out / "report.html"))
        demo.terminal.say(f"  {sheet}\n  {page}\n  {file}: write {report.network} into any prompt")
    return {"files": [str(path) for path in (file, sheet, page)], "images": documents.plain(images)}


def _earlier(out: Path) -> list[Path]:
    """Files that the document of an earlier demo names, and itself; none where it is not one. Whatever else is there
    stays, and what comes gets other names."""
    try:
        found = json.loads((out / DOCUMENT).read_text(encoding="utf-8"))
        if not {"stages", "seconds"} <= set(found):
            return []
        images = [image[key] for image in found.get("images", []) for key in ("path", "restored") if image.get(key)]
        return [Path(file) for file in (*found.get("files", []), *images)] + [out / DOCUMENT]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _report(
    studio: Studio, photos: PhotoReport, training: JobView, images: list[dict[str, Any]], point: Checkpoint
) -> Report:
    avatar = studio.avatars.load(training.job.avatar_id)
    result = training.result or {}
    facts = (
        ("Checkpoint", avatar.base_title), ("Recogniser", avatar.recogniser),
        ("Method", method_name(point.method)), ("Training", span(result["seconds"])),
        ("Steps of the file used", str(point.step)),
    )
    return Report(
        title=f"{avatar.name} on {avatar.base_title}", subject=avatar.name, photos=photos, files=(point.path,),
        facts=facts, portraits=tuple(from_json(Portrait, image) for image in images),
        likeness=avatar.best.likeness if avatar.best else None,
        curves=curves_from(record.event for record in studio.events(training.job.id)),
        network=subject_prompt(point, 1.0), style_names={s.id: s.name for s in studio.styles()},
    )
