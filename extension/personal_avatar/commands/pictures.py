"""`personal-avatar rank` and `personal-avatar restore`."""
from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from personal_avatar.commands.common import DONE, FAILED, local_studio, pictures
from personal_avatar.errors import AvatarError
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.studio import Studio
from personal_avatar.terminal import Terminal, number, table

# A picture is wholly like itself: measured so, every restoration costs something. This much it may cost.
SELF_DROP = 0.1


def rank(args: Namespace, terminal: Terminal) -> int:
    studio = local_studio(args.data)
    pictures([args.reference])
    with terminal.bar("rank") as bar:
        document = studio.rankings.rank(pictures(args.images), args.reference, bar)
    terminal.say(table([(number(row["likeness"]), row["path"]) for row in document["images"]]))
    terminal.document(document)
    return DONE


def restore(args: Namespace, terminal: Terminal) -> int:
    studio, rows = local_studio(args.data), []
    images = pictures(args.images)
    reference = studio.rankings.scorer_from(args.reference) if args.reference else None
    args.out.mkdir(parents=True, exist_ok=True)
    with terminal.bar("restore") as bar:
        for done, image in enumerate(images, start=1):
            rows.append(_restored(studio, image, reference, args.out / f"{image.stem}-restored.png"))
            bar(done, len(images))
    for row in rows:
        terminal.say(f"{row['path']}: " + (row["out"] or row["reason"]))
    terminal.document({"images": rows})
    if all(row["error"] for row in rows):
        terminal.complain(rows[0]["reason"])
        return FAILED
    return DONE


def _restored(studio: Studio, image: Path, reference: Scorer | None, target: Path) -> dict[str, Any]:
    """Restore one picture, measured against itself when there is no reference; tells why when it stays as it is."""
    row: dict[str, Any] = {"path": str(image), "out": None, "accepted": False, "likeness_before": None,
                           "likeness_after": None, "fidelity": None, "reason": "", "error": None}
    try:
        scorer, drop = (reference, 0.0) if reference else (studio.rankings.scorer_from(image), SELF_DROP)
        found = studio.restoring.restore(image, scorer, target, drop)
    except AvatarError as error:
        return {**row, "reason": str(error), "error": error.to_json()}
    return {**row, "out": str(target) if found.accepted else None, "accepted": found.accepted,
            "likeness_before": found.likeness_before, "likeness_after": found.likeness_after,
            "fidelity": found.fidelity, "reason": found.reason}
