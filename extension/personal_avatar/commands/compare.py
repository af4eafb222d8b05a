"""`personal-avatar compare`."""
from __future__ import annotations

from argparse import Namespace

from personal_avatar import documents
from personal_avatar.commands.common import (
    DONE,
    DOOR,
    exit_status,
    follow,
    local_studio,
    pictures,
    whoever_runs_this,
)
from personal_avatar.commands.train import STATED_HERE, show_training
from personal_avatar.domain import Method
from personal_avatar.params import pairs
from personal_avatar.reports.comparison import table as words_of
from personal_avatar.reports.comparison import to_document, write_comparison_sheet
from personal_avatar.studio import TrainRequest
from personal_avatar.terminal import Terminal, table


def compare(args: Namespace, terminal: Terminal) -> int:
    """One training a method, then the table and the sheet; a method that failed is told and left out."""
    studio = local_studio(args.data, args.checkpoint)
    studio.queue.settle()
    request = TrainRequest(
        name=args.name, photos=tuple(pictures(args.photos)), class_noun=args.class_noun, plan=pairs(args.pairs),
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    jobs = studio.trainings.compare(request, [Method(method) for method in args.methods])
    status = DONE
    for job in jobs:
        terminal.say(f"\n{job.payload['method']}")
        view, interrupted = follow(studio, job, terminal)
        show_training(documents.training(view), terminal)
        status = max(status, exit_status(view, interrupted, terminal))
        if interrupted:
            for later in jobs[jobs.index(job) + 1 :]:
                studio.queue.cancel(later.id)
            break
    rows = studio.trainings.comparison(jobs[0].avatar_id)
    args.out.mkdir(parents=True, exist_ok=True)
    sheet = write_comparison_sheet(args.name, rows, args.out / "comparison.png")
    terminal.say("\n" + table(words_of(rows)))
    terminal.document({"methods": to_document(rows), "files": [str(sheet)]})
    return status
