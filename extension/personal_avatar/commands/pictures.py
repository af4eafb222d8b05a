"""`personal-avatar rank` and `personal-avatar restore`."""
from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.commands.common import DONE, FAILED, keep_checkpoint, local_studio, pictures
from personal_avatar.commands.people import avatar_named
from personal_avatar.errors import AvatarError, BadInput
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.naming import first_line
from personal_avatar.params import pairs, validated
from personal_avatar.pictures import moves
from personal_avatar.storage import short
from personal_avatar.studio.picking import free
from personal_avatar.studio.restored import main_face, rows
from personal_avatar.studio.second_pass import painter_of
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import score, text

if TYPE_CHECKING:
    from personal_avatar.restoration.everybody import RestoredPicture
    from personal_avatar.studio import Studio

SHOWN = ("overall", "second", "prompt", "quality", "diversity")


def rank(args: Namespace, terminal: Terminal) -> int:
    studio = local_studio(args.data)
    if args.avatar:
        scorer = studio.rankings.scorer(avatar_named(studio, args.avatar))
    else:
        pictures([args.reference])
        scorer = studio.rankings.scorer_from(args.reference)
    with terminal.bar("rank") as bar:
        document = studio.rankings.rank(pictures(args.images), scorer, bar, args.sort, args.filter)
    for sentence in document["remarks"]:
        terminal.say(sentence)
    shown = [name for name in SHOWN if any(name in row["scores"] for row in document["images"])]
    terminal.say(table([
        ("likeness", *shown, "picture"),
        *((score(row["likeness"]), *(score(row["scores"].get(name)) for name in shown), row["path"])
          for row in document["images"]),
    ]))
    if args.take:
        _take(studio, args, document, terminal)
    terminal.document(document)
    return DONE


def _take(studio: Studio, args: Namespace, document: dict[str, Any], terminal: Terminal) -> None:
    """The best into a folder; the document says where they are now."""
    files = [Path(row["path"]) for row in document["images"] if "error" not in row][: args.best]
    document["taken"] = [str(path) for path in studio.rankings.take(files, args.take, args.move)]
    terminal.say(f"{len(document['taken'])} pictures are in {args.take}.")


def restore(args: Namespace, terminal: Terminal) -> int:
    studio, found = local_studio(args.data, args.checkpoint), []
    images, settings = pictures(args.images), _settings(args)
    avatar = avatar_named(studio, args.avatar) if args.avatar else None
    references = pictures([args.reference]) if args.reference else []
    judge = studio.restoring.judge(avatar, references)
    people = [studio.restoring.person(avatar, judge)] if avatar else []
    people = people or ([studio.restoring.person_from(references, judge)] if references else [])
    painter = painter_of(studio, avatar, references, terminal.complain) if people and settings.second_pass else None
    args.out.mkdir(parents=True, exist_ok=True)
    with terminal.bar("restore") as bar:
        for done, image in enumerate(images, start=1):
            target = free(args.out / f"{short(image.stem)}-restored.png")
            restored = partial(studio.restoring.file, image, target, people, judge, settings, painter)
            found.append(_restored(image, target, restored))
            bar(done, len(images))
    for row in found:
        terminal.say(f"{row['path']}: " + (row["out"] or row["reason"]))
        if row["out"] and moves(Path(row["path"])):
            terminal.complain(text("log.first_picture", file=row["path"]))
    terminal.document({"images": found})
    if all(row["error"] for row in found):
        terminal.complain(found[0]["reason"])
        return FAILED
    keep_checkpoint(studio)
    return DONE


def _settings(args: Namespace) -> PictureRestoreSettings:
    """What the options say, the rest as declared. Raises `InvalidSettings`."""
    given = {"model": args.model, "fidelity": args.fidelity, "below_px": args.below_px, "second_pass": args.second_pass}
    given = {name: value for name, value in given.items() if value is not None and value is not False and value != ""}
    return validated(PictureRestoreSettings, {**pairs(args.pairs), **given})


def _restored(image: Path, target: Path, restored: Callable[[], RestoredPicture]) -> dict[str, Any]:
    """What became of one picture; tells why when it stays as it is."""
    row: dict[str, Any] = {"path": str(image), "out": None, "accepted": False, "likeness_before": None,
                           "likeness_after": None, "fidelity": None, "reason": "", "error": None, "faces": []}
    try:
        found = restored()
    except AvatarError as error:
        return {**row, "reason": str(error), "error": error.to_json()}
    except OSError as error:
        named = BadInput(f"{target.name} could not be made: {first_line(error)}.", "Choose another folder.")
        return {**row, "reason": str(named), "error": named.to_json()}
    main = main_face(found.faces)
    if main is not None and main.told:
        row |= {"likeness_before": round(main.before[0], 4), "likeness_after": round(main.after[0], 4)}
    return {**row, "out": str(target) if found.count else None, "accepted": bool(found.count),
            "fidelity": main.fidelity if main is not None and found.count else None, "reason": found.reason,
            "faces": rows(found.faces)}
