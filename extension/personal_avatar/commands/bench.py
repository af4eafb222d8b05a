"""`personal-avatar bench speed` and `bench likeness`."""
from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from personal_avatar.benchmarks import identity as identity_bench
from personal_avatar.benchmarks import likeness as likeness_bench
from personal_avatar.benchmarks import ranking as ranking_bench
from personal_avatar.benchmarks import speed as speed_bench
from personal_avatar.benchmarks import startup
from personal_avatar.benchmarks.identity_work import IdentityWork
from personal_avatar.benchmarks.likeness import LikenessWork, Subject
from personal_avatar.benchmarks.random_checkpoint import standard_checkpoint
from personal_avatar.benchmarks.ranking_work import RankingWork
from personal_avatar.benchmarks.work import SpeedWork
from personal_avatar.commands.common import DONE, FAILED, follow, local_studio, pictures
from personal_avatar.domain import BaseModelFile, Engine, Family, Method
from personal_avatar.environment import kohya
from personal_avatar.errors import BadInput
from personal_avatar.faces.registry import find_pack, own_models
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.params import pairs
from personal_avatar.shipped import AVATAR_TINY, SAMPLES
from personal_avatar.studio import Studio
from personal_avatar.terminal import Terminal, table
from personal_avatar.training.engines.kohya.limits import of_checkpoint
from personal_avatar.wording import score

MANY = 100  # pictures of a ranking that is timed; fewer are taken several times
IDENTITY_PX = {"small": 256, "standard": 1024}


def speed(args: Namespace, terminal: Terminal) -> int:
    if args.identity:
        return _identity(args, terminal)
    if args.ranking:
        return _ranking(args, terminal)
    studio = local_studio(args.data)
    work = _speed_work(args, studio, terminal)
    document = speed_bench.measure(work, args.rounds, _sd_scripts(args, studio, work.base, terminal), terminal.say)
    if args.startup:
        terminal.say("  start-up: a job as the page starts it")
        loading = next(row["load_seconds"] for row in document["results"] if row["engine"] == "ours")
        plan = {"batch_size": work.batch, "precision": work.precision, "resolution_px": work.resolution_px}
        document |= startup.measure(studio, work.base.path, _samples(), plan, loading or 0.0)
    _show_speed(document, terminal)
    terminal.document(document)
    return DONE


def _identity(args: Namespace, terminal: Terminal) -> int:
    if args.checkpoint:
        raise BadInput("An identity is measured on random weights of SDXL's shape, not on a checkpoint.",
                       "Leave out --checkpoint; --size standard is the true size.")
    work = IdentityWork(
        args.size, args.resolution or IDENTITY_PX[args.size], args.precision, args.steps + 1, turns=args.rounds
    )
    document = identity_bench.measure(work, terminal.say)
    _show_identity(document, terminal)
    terminal.document(document)
    return DONE


def _ranking(args: Namespace, terminal: Terminal) -> int:
    studio = local_studio(args.data)
    folders = [own_models(studio.weights_folder), *studio.host.folders().identity_folders]
    pack = next((found for folder in folders if (found := find_pack(folder)) is not None), None)
    if pack is None:
        raise BadInput("There is no pack of insightface here, with which both would be measured.",
                       f"Put one into {own_models(studio.weights_folder)}; they are for research only.")
    few = pictures(args.images) if args.images else list(_samples())
    every = tuple(few[place % len(few)].resolve() for place in range(max(len(few), MANY)))
    work = RankingWork(every, pack.detector.resolve(), pack.recogniser.resolve(), args.rounds)
    document = ranking_bench.measure(work, args.insightface_python, terminal.say)
    rows = [(row["engine"], f"{row['pictures_per_second']:.1f}", f"{row['spread']:.0%}", f"{row['cpu_seconds']:.2f}")
            for row in document["results"]]
    terminal.say(table([("engine", "pictures/s", "spread", "CPU s"), *rows]))
    terminal.say(f"Ours is {score(document['ratio_to_insightface'])} times as fast as insightface; "
                 f"embeddings agree by {score(document['agreement'])}.")
    terminal.document(document)
    return DONE


def likeness(args: Namespace, terminal: Terminal) -> int:
    studio = local_studio(args.data)
    base = studio.host.find_checkpoint(args.checkpoint or AVATAR_TINY.name)
    engine = Engine.KOHYA if _sd_scripts(args, studio, base, terminal) else Engine.DIFFUSERS
    work = LikenessWork(
        subjects=_subjects(args.photos), methods=_methods(args.methods), checkpoint=str(base.path),
        class_noun=args.class_noun, plan=tuple(pairs(args.pairs).items()), saves=args.saves,
        reference=args.reference, reference_steps=args.reference_steps,
        reference_rate=args.reference_rate, reference_engine=engine,
    )
    document = likeness_bench.measure(studio, work, lambda job: _follow(studio, job, terminal), terminal.say)
    _show_likeness(document, terminal)
    terminal.document(document)
    errors = [row["error"] for row in document["subjects"] if row["error"]]
    if errors:
        terminal.complain(f"{errors[0]['message']} {errors[0]['hint']}")
    return FAILED if errors else DONE


def _follow(studio: Studio, job: Job, terminal: Terminal) -> JobView:
    view, interrupted = follow(studio, job, terminal)
    if interrupted:
        raise KeyboardInterrupt
    return view


def _sd_scripts(args: Namespace, studio: Studio, base: BaseModelFile, terminal: Terminal) -> kohya.SdScripts | None:
    """Where it is, when it is here and can train this checkpoint. Raises `TrainerMissing` when a named folder is not
    it."""
    data = studio.host.folders().data
    if args.sd_scripts:
        os.environ[kohya.VARIABLE] = str(args.sd_scripts.absolute())  # its job looks there, too
    if not os.environ.get(kohya.VARIABLE) and not (data / kohya.FOLDER_NAME).is_dir():
        return None
    found = kohya.find(data)
    refused = next(of_checkpoint(base), None)
    if refused is None:
        return found
    terminal.say(f"{refused.sentence}: it is left out.")
    return None


def _speed_work(args: Namespace, studio: Studio, terminal: Terminal) -> SpeedWork:
    random = args.size == "standard" and not args.checkpoint
    base = _random(args, studio, terminal) if random else _named(args, studio)
    return SpeedWork(
        studio.host.find_checkpoint(str(base.path)), args.resolution or base.native_px, args.batch, args.precision,
        args.steps, rank=args.rank, random_weights=random,
    )


def _random(args: Namespace, studio: Studio, terminal: Terminal) -> BaseModelFile:
    folder = studio.host.folders().data / "cache" / "benchmarks"
    terminal.say(f"Random weights of the true size stand in for a checkpoint; they are kept in {folder}.")
    return standard_checkpoint(Family(args.family), folder)


def _named(args: Namespace, studio: Studio) -> BaseModelFile:
    if not args.checkpoint and args.family != Family.SD1.value:
        raise BadInput(f"There is no small checkpoint of the {args.family} family here.",
                       "Add --size standard, or name one with --checkpoint.")
    return studio.host.find_checkpoint(args.checkpoint or AVATAR_TINY.name)


def _samples() -> tuple[Path, ...]:
    """The shipped drawings of one character."""
    return tuple(sorted(SAMPLES.glob("[0-9][0-9].*")))


def _subjects(folders: list[Path]) -> tuple[Subject, ...]:
    if not folders:
        return (Subject("samples", _samples()),)
    return tuple(Subject(folder.resolve().name, tuple(pictures([folder]))) for folder in folders)


def _methods(words: list[str]) -> tuple[Method, ...]:
    return tuple(Method) if "all" in words else tuple(Method(word) for word in dict.fromkeys(words))


def _show_speed(document: dict[str, Any], terminal: Terminal) -> None:
    head = ("engine", "s a step", "spread", "peak GB")
    rows = [
        (row["engine"], f"{row['seconds_per_step']:.4f}", f"{row['spread']:.0%}", f"{row['peak_memory_gb']:.2f}")
        for row in document["results"]
    ]
    bound = ("bound", f"{document['bound_seconds_per_step']:.4f}", f"{document['bound_spread']:.0%}", "")
    terminal.say(table([head, *rows, bound]))
    terminal.say(f"Of the bound: {document['fraction_of_bound']:.0%}. Against the plain loop: "
                 f"{document['ratio_to_minimal']:.2f} times as fast, against sd-scripts: "
                 f"{score(document['ratio_to_sd_scripts'])}.")
    if "startup_seconds" in document:
        terminal.say(f"From the click to the first step, beyond loading: {document['startup_seconds']:.1f} s")


def _show_identity(document: dict[str, Any], terminal: Terminal) -> None:
    head = ("engine", "s a step", "spread", "once s", "peak GB")
    rows = [
        (row["engine"], f"{row['seconds_per_step']:.4f}", f"{row['spread']:.0%}", f"{row['setup_seconds']:.3f}",
         f"{row['peak_memory_gb']:.2f}")
        for row in document["results"]
    ]
    terminal.say(table([head, *rows]))
    terminal.say(f"Beyond plain sampling ours takes {score(document['overhead_ratio'])} of what diffusers' classes "
                 f"take, {score(document['overhead_ratio_to_pipeline'])} of the community pipeline's attention; "
                 f"the results differ by {document['relative_difference']:.1e}.")


def _show_likeness(document: dict[str, Any], terminal: Terminal) -> None:
    keys = ("floor", "after", "ceiling", "recovered", "leakage", "prompt_following", "seconds")
    rows = [(row["subject"], row["method"], *(score(row[key]) for key in keys)) for row in document["subjects"]]
    terminal.say(table([("subject", "method", *keys), *rows]))
    found = document.get("time_to_likeness")
    if found:
        terminal.say(f"To a likeness: {score(found['ours_s'])} s, the usual recipe {score(found['reference_s'])} s, "
                     f"ratio {score(found['ratio'])}.")
