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
from personal_avatar.params import pairs
from personal_avatar.reports.comparison import notes, to_document, write_comparison_sheet
from personal_avatar.reports.comparison import table as words_of
from personal_avatar.studio import TrainRequest
from personal_avatar.studio.works import TRAIN, manner
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import method_name


def compare(args: Namespace, terminal: Terminal) -> int:
    """One method after the other, then the table and the sheet; a method that failed, or lacks something, is told and
    left out."""
    studio = local_studio(args.data, args.checkpoint)
    studio.queue.settle()
    request = TrainRequest(
        name=args.name, photos=tuple(pictures(args.photos)), class_noun=args.class_noun, plan=pairs(args.pairs),
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    started = studio.trainings.compare(request, args.methods)
    jobs, status = started.jobs, DONE
    for way, error in started.left_out.items():
        terminal.complain(f"{method_name(way)}: left out. {error.message} {error.hint}")
    for job in jobs:
        terminal.say(f"\n{manner(job)}")
        view, interrupted = follow(studio, job, terminal)
        if job.kind == TRAIN:
            show_training(documents.training(view), terminal)
        status = max(status, exit_status(studio, view, interrupted, terminal))
        if interrupted:
            for later in jobs[jobs.index(job) + 1 :]:
                studio.queue.cancel(later.id)
            break
    rows = studio.trainings.comparison(jobs[0].avatar_id)
    args.out.mkdir(parents=True, exist_ok=True)
    sheet = write_comparison_sheet(args.name, rows, args.out / "comparison.png")
    terminal.say("\n" + table(words_of(rows)))
    for note in notes(rows):
        terminal.say(note)
    terminal.document({
        "methods": to_document(rows), "notes": notes(rows), "files": [str(sheet)],
        "left_out": {way: error.to_json() for way, error in started.left_out.items()},
    })
    return status
