"""The command line: `personal-avatar`, or `python -m personal_avatar`.

Exit status 0 done, 1 failed (one line on stderr: what, and what to do), 2 wrong usage, 130 interrupted (state kept).
This file only says what can be said; the work is in `commands`, imported when it is wanted.
"""
from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from personal_avatar import __version__
from personal_avatar.terminal import Terminal

DONE, FAILED, INTERRUPTED = 0, 1, 130
# The codes of domain.py, which is loaded only when a command runs.
METHODS = ("lora", "dreambooth-lora", "dreambooth", "textual-inversion")
WAYS = (*METHODS, "one-photo")
ENGINES = ("diffusers", "kohya")
SIZES = ("original", "square", "portrait", "story", "linkedin", "round")
FORMATS = ("png", "jpeg", "webp")
STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
RULES = (
    "waiting", "waiting_of_one", "upload_mb", "private_callbacks", "restarts", "executor", "ray_address", "jobs_there",
)
GOALS = ("face", "face-quick", "face-best", "one-photo", "anime", "style")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (wrong usage exits with 2)."""
    args = build_parser().parse_args(arguments)
    terminal = Terminal(getattr(args, "json", False))
    module, _, function = args.command.partition(":")
    try:
        command = getattr(importlib.import_module(f"personal_avatar.commands.{module}"), function)
        return int(command(args, terminal))
    except KeyboardInterrupt:
        terminal.complain("Interrupted; what was finished is kept.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  the border: every error becomes one line
        return _failed(error, terminal)


def _failed(error: Exception, terminal: Terminal) -> int:
    from personal_avatar.errors import named

    if os.environ.get("PERSONAL_AVATAR_DEBUG"):
        raise error
    terminal.complain(f"{named(error)}")
    return FAILED


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="personal-avatar", description="Photos in, avatars out.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Data: --data, or $PERSONAL_AVATAR_HOME.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for declare in (
        _demo, _doctor, _serve, _photos, _train, _compare, _generate, _invent,
        _rank, _restore, _jobs, _gallery, _bench,
    ):
        declare(commands)
    return parser


Commands = argparse._SubParsersAction


def _command(commands: Commands, name: str, runs: str, text: str, json: bool = True) -> argparse.ArgumentParser:
    sentence = text[:1].upper() + text[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=sentence)
    parser.set_defaults(command=runs)
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the system's place for it)")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser


def _demo(commands: Commands) -> None:
    parser = _command(commands, "demo", "demo:run", "the main job on shipped sample pictures, no download, no GPU")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="for results (default: demo)")
    parser.add_argument("--method", choices=METHODS, default="lora")
    parser.add_argument("--steps", type=_count, metavar="N", help="training steps (default: the preset's)")


def _doctor(commands: Commands) -> None:
    parser = _command(commands, "doctor", "machine:doctor", "what is installed, found, missing, and what to do")
    parser.add_argument(
        "--fetch", nargs="*", metavar="NAME",
        help="download the face models that are missing, or by name what puts a face into pictures without training: "
        "instantid, faceid-sdxl, faceid-sd15; drawn: for drawn characters; wd14-vit, "
        "wd14-swinv2, wd14-eva02, blip: describe photos; or one file of them",
    )
    parser.add_argument("--install-kohya", action="store_true", help="install sd-scripts, for the engine kohya")
    parser.add_argument("--install-ray", nargs="?", const="", metavar="VERSION",
                        help="install Ray, for trainings on a cluster; VERSION: the cluster's own")
    parser.add_argument("--webhook-secret", action="store_true", help="print the secret with which callbacks of this "
                        "data folder are signed, and nothing else")
    parser.add_argument("--insightface", type=Path, metavar="DIR", help="a folder of insightface models to look at")


def _serve(commands: Commands) -> None:
    parser = _command(commands, "serve", "machine:serve", "the app without a WebUI: the same tab, the same API", False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7865)
    parser.add_argument("--auth", default="", metavar="NAME:PASSWORD,...",
                        help="people who may come in, on the page and by the API, where each acts for itself; or "
                        "$PERSONAL_AVATAR_AUTH, which other users of this machine cannot read")
    parser.add_argument("--api-auth", default="", metavar="NAME:PASSWORD,...",
                        help="programs that act for everybody; or $PERSONAL_AVATAR_API_AUTH")
    _checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help=f"rules about jobs and callers: {', '.join(RULES)}; or by variables such as "
                        "$PERSONAL_AVATAR_UPLOAD_MB")


def _photos(commands: Commands) -> None:
    wanted = commands.add_parser("photos", help="check photos, describe them, or prepare a dataset")
    inner = wanted.add_subparsers(required=True, metavar="check|caption|lint|prepare")
    check = _command(inner, "check", "photos:check", "a verdict with reasons for each photo, advice for all")
    check.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    check.add_argument("--set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                       help="limits of the report, such as min_face_px=96")
    _decisions(check)
    _captions(inner)
    prepare = _command(inner, "prepare", "photos:prepare", "crop and caption the accepted photos into a dataset")
    prepare.add_argument("paths", nargs="+", type=Path, metavar="DIR",
                         help="folder, pictures, or a dataset of kohya's trainers (10_name/a.png, masks/a.png)")
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR")
    prepare.add_argument("--set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                         help="settings of the photo report, crops and captions, such as framing=half background=blur")
    prepare.add_argument("--resolution", type=_count, default=512, metavar="PX", help="side of a crop (default: 512)")
    prepare.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    _decisions(prepare)


def _decisions(parser: argparse.ArgumentParser) -> None:
    """What a person decides about photos, whatever the report says."""
    parser.add_argument("--take", nargs="+", action="extend", default=[], metavar="NAME",
                        help="photos to take in spite of the verdict, as their files are called")
    parser.add_argument("--leave", nargs="+", action="extend", default=[], metavar="NAME", help="photos to leave out")
    parser.add_argument("--face", nargs="+", action="extend", default=[], metavar="NAME=N",
                        help="the N-th largest face of a photo is the one that is meant")


def _captions(inner: Commands) -> None:
    caption = _command(inner, "caption", "captions:caption", "describe each photo in a text file beside it")
    caption.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    caption.add_argument("--with", dest="tagger", default="template", metavar="TAGGER", help="template, wd14 (also "
                         "wd14-vit, wd14-swinv2, wd14-eva02), blip; in the WebUI deepdanbooru (default: template)")
    caption.add_argument("--overwrite", action="store_true", help="replace text files that are there already")
    caption.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                         help="settings of the tagger, such as tag_from=0.5 or mend=false")
    lint = _command(inner, "lint", "captions:lint", "captions that spoil a training: what is wrong, and mended")
    lint.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    lint.add_argument("--mend", action="store_true", help="write the mended captions into their files")
    for parser in (caption, lint):
        parser.add_argument("--trigger", default="", metavar="WORDS", help="what stands for the person, first in each "
                            "caption; training puts it there where it is missing")
        parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, ...")


def _train(commands: Commands) -> None:
    parser = _command(commands, "train", "train:train", "photos become an avatar: a LoRA, an embedding or a checkpoint")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, metavar="DIR", help="folder or pictures")
    parser.add_argument("--name", required=True)
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--method", choices=METHODS, default="lora", help="lora: a small file for any prompt; "
                        "dreambooth-lora: learned beside pictures of others; dreambooth: a whole checkpoint; "
                        "textual-inversion: a new word (default: lora)")
    parser.add_argument("--goal", choices=GOALS, default="face", help="chooses the settings (default: face)")
    _checkpoint(parser)
    parser.add_argument("--engine", choices=ENGINES, default="diffusers", help="kohya: sd-scripts, where it is set up")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings that differ from those for checkpoint, method and goal")
    parser.add_argument("--photo-set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings of the photo report, crops and captions, such as framing=full")
    _decisions(parser)
    parser.add_argument("--consent", metavar="WHO", help="who stated that the person in the photos agreed; kept with "
                        "the avatar (default: whoever runs this command states it)")
    parser.add_argument("--even-if-too-large", action="store_true",
                        help="start although less memory is free than the training is expected to need")


def _compare(commands: Commands) -> None:
    parser = _command(commands, "compare", "compare:compare", "the same photos through several methods: which is best")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, metavar="DIR", help="folder or pictures")
    parser.add_argument("--name", required=True)
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--methods", nargs="+", choices=WAYS, default=list(WAYS),
                        help="one-photo: the photos alone, without training (default: all)")
    _checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings for all; a method takes those that it has")
    parser.add_argument("--consent", metavar="WHO", help="who stated that the person in the photos agreed (default: "
                        "whoever runs this command)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the sheet of pictures")


def _generate(commands: Commands) -> None:
    parser = _command(commands, "generate", "train:generate", "portraits of an avatar or a photo, ranked by likeness")
    parser.add_argument("--avatar", default="", metavar="NAME", help="an avatar that was trained")
    parser.add_argument("--reference", nargs="+", action="extend", default=[], type=Path, metavar="FILE_OR_DIR",
                        help="photos of one person, without training; with --avatar: besides its training")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--style", nargs="+", default=[], metavar="ID", help="one or several styles")
    what.add_argument("--prompt", default="", metavar="TEXT", help="may hold {subject}")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT")
    _checkpoint(parser)
    parser.add_argument("--image", type=Path, metavar="FILE", help="a photo to paint anew in the style; alone, it also "
                        "shows who it is")
    parser.add_argument("--strength", type=float, default=0.6, metavar="0..1", help="how much of it (default: 0.6)")
    parser.add_argument("--pose", type=Path, metavar="FILE", help="a picture whose face gives pose and expression")
    parser.add_argument("--identity", nargs="*", metavar="key=value", help="settings of the way without training, such "
                        "as method=faceid adapter_weight=0.7; with --avatar alone: its own photos are used")
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ... "
                        "(where nothing was trained)")
    parser.add_argument("--consent", metavar="WHO", help="who stated that the person in the photos agreed (default: "
                        "whoever runs this command)")
    parser.add_argument("--count", type=_count, default=8, metavar="N")
    parser.add_argument("--seed", type=int, default=-1, metavar="S")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="file or title; used from "
                        "now on, once the job was accepted (default: the one that was used last, at first avatar-tiny)")


def _invent(commands: Commands) -> None:
    parser = _command(commands, "invent", "invent:invent", "photos of a character that does not exist, for a training")
    parser.add_argument("--description", default="", metavar="TEXT", help="who it is: age, hair, eyes, build, clothes, "
                        "and the style of the picture; a first and last name makes faces more alike")
    parser.add_argument("--avatar", default="", metavar="NAME", help="one that was trained: new poses and places that "
                        "are as much like it as its own photos, which come along")
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--count", type=_count, default=40, metavar="N", help="pictures that are made at most")
    parser.add_argument("--keep", type=_count, default=12, metavar="K", help="pictures that must be the same character")
    parser.add_argument("--seed", type=int, default=-1, metavar="S")
    _checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="more settings, such as similarity=0.7 or steps=30")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def _rank(commands: Commands) -> None:
    parser = _command(commands, "rank", "pictures:rank", "existing pictures in order: likeness, quality and more")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--reference", type=Path, metavar="FILE_OR_DIR", help="photos of one person")
    who.add_argument("--avatar", default="", metavar="NAME", help="an avatar that was trained")
    parser.add_argument("--images", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sort", default="overall", metavar="KEY", help="overall, likeness, second, prompt, quality, "
                        "diversity, sharpness, face_size, faces, ... (default: overall)")
    parser.add_argument("--filter", nargs="+", action="extend", default=[], metavar="'KEY>=VALUE'",
                        help="keep what passes all of these, such as 'likeness>=0.4' faces==1")
    parser.add_argument("--take", type=Path, metavar="DIR", help="copy the best into this folder")
    parser.add_argument("--best", type=_count, default=20, metavar="N", help="how many of them (default: 20)")
    parser.add_argument("--move", action="store_true", help="move them instead")


def _restore(commands: Commands) -> None:
    parser = _command(commands, "restore", "pictures:restore", "restore faces, never at the cost of likeness")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--reference", type=Path, metavar="FILE_OR_DIR", help="who it is (default: the picture itself)")
    who.add_argument("--avatar", default="", metavar="NAME", help="an avatar that was trained: who it is")
    parser.add_argument("--model", default="", metavar="NAME", help="CodeFormer, GFPGAN, RestoreFormer where their "
                        "weights are, or Redraw (default: the best one that is installed)")
    parser.add_argument("--fidelity", type=float, metavar="0..1", help="the freest that is tried; between it and 1 the "
                        "likeness decides (default: 0)")
    parser.add_argument("--below-px", type=int, metavar="PX", help="restore faces smaller than this, and those "
                        "that are not sharp; 0: by sharpness alone (default: 256)")
    parser.add_argument("--second-pass", action="store_true", help="paint the person's small faces anew first, by the "
                        "avatar's training, or without training from the reference")
    _checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="more settings, such as below_sharpness=0 others=false")


def _jobs(commands: Commands) -> None:
    parser = _command(commands, "jobs", "jobs:run", "list jobs; show, cancel, pause, resume, prioritise or erase one")
    actions = ["list", "show", "cancel", "pause", "resume", "prioritise", "erase", "rebuild"]
    parser.add_argument("action", nargs="?", default="list", choices=actions, help="erase: portraits and their photos; "
                        "rebuild: make the index of jobs anew from their folders")
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="the first characters are enough")
    parser.add_argument("--priority", type=int, metavar="N", help="prioritise: -10 to 10, higher ones are taken first "
                        "(default: before all others of its kind)")
    parser.add_argument("--user", metavar="ID", help="list the jobs of this user alone")
    parser.add_argument("--state", nargs="+", choices=STATES, metavar="STATE",
                        help=f"list the jobs in these states alone: {' '.join(STATES)}")
    parser.add_argument("--kind", metavar="KIND", help="list the jobs of this kind alone, such as train or create")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="list the newest N; 0: all (default: 100)")


def _gallery(commands: Commands) -> None:
    parser = _command(commands, "gallery", "gallery:run", "finished pictures: list, mark favourites, delete, export")
    actions = ["list", "favourite", "unfavourite", "delete", "export"]
    parser.add_argument("action", nargs="?", default="list", choices=actions)
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="of a run; the first characters are enough")
    parser.add_argument("numbers", nargs="*", type=int, metavar="N", help="of pictures, see `gallery list ID`")
    parser.add_argument("--sort", default="rank", metavar="PART", help="by likeness, quality, ... (default: rank)")
    parser.add_argument("--filter", default="", metavar="LIMITS", help="likeness>=0.4,quality>=0.5,favourite,restored")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the zip of an export")
    parser.add_argument("--size", choices=SIZES, default="original", help="of an export; cut around the face")
    parser.add_argument("--format", choices=FORMATS, default="", help="of an export (default: each file's own)")
    parser.add_argument("--host-files", action="store_true", help="delete also what the host saved among its pictures")


def _bench(commands: Commands) -> None:
    wanted = commands.add_parser("bench", help="measure training: speed of a step, or time to likeness")
    inner = wanted.add_subparsers(required=True, metavar="speed|likeness")
    _bench_speed(_command(inner, "speed", "bench:speed", "seconds and memory of a training step, against others"))
    _bench_likeness(_command(inner, "likeness", "bench:likeness", "likeness of real trainings, and how soon it comes"))


def _bench_speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=["sd1", "sd2", "sdxl"], default="sd1")
    parser.add_argument("--size", choices=["small", "standard"], default="small", help="small: avatar-tiny (sd1 only); "
                        "standard: random weights of the true size, 2 to 7 GB written once into the data folder")
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="a checkpoint of your own instead")
    parser.add_argument("--resolution", type=_count, metavar="PX", help="side of a picture (default: the checkpoint's)")
    parser.add_argument("--batch", type=_count, default=1, metavar="N")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--rank", type=_count, default=16, metavar="N")
    parser.add_argument("--steps", type=_count, default=20, metavar="N", help="steps that are timed (default: 20)")
    parser.add_argument("--rounds", type=_count, default=2, metavar="N", help="turns of each engine (default: 2)")
    parser.add_argument("--identity", action="store_true", help="instead: what InstantID costs a step of sampling, on "
                        "random weights of SDXL's shape, ours against diffusers' classes")
    parser.add_argument("--ranking", action="store_true", help="instead: how fast existing pictures are ranked, with a "
                        "pack of insightface")
    parser.add_argument("--images", nargs="+", type=Path, default=[], metavar="DIR", help="pictures to rank (default: "
                        "the shipped drawings)")
    parser.add_argument("--insightface-python", type=Path, metavar="FILE", help="a Python with insightface, to be "
                        "measured beside ours")
    parser.add_argument("--no-startup", dest="startup", action="store_false", help="leave out the time to a first step")
    _sd_scripts(parser)


def _bench_likeness(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", nargs="+", action="extend", default=[], type=Path, metavar="DIR",
                        help="one folder for each person (default: the shipped drawings)")
    parser.add_argument("--methods", nargs="+", default=["all"], metavar="METHOD",
                        choices=["all", "lora", "dreambooth-lora", "dreambooth", "textual-inversion"])
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="file or title (default: avatar-tiny)")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value")
    parser.add_argument("--saves", type=_count, default=10, metavar="N", help="checkpoints scored (default: 10)")
    parser.add_argument("--reference-steps", type=_count, default=0, metavar="N", help="default: 100 for each photo")
    parser.add_argument("--reference-rate", type=float, default=0.0, metavar="RATE",
                        help="learning rate of the usual recipe (default: 1e-4; a small checkpoint needs more)")
    parser.add_argument("--no-reference", dest="reference", action="store_false", help="leave out the usual recipe")
    _sd_scripts(parser)


def _sd_scripts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sd-scripts", type=Path, metavar="DIR", help="kohya's (default: $PERSONAL_AVATAR_SD_SCRIPTS)")


def _count(text: str) -> int:
    """A whole number above zero, of at most nine digits."""
    digits = text.lstrip("0")
    if not digits.isdecimal() or len(digits) > 9 or not int(digits):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(digits)


if __name__ == "__main__":
    sys.exit(main())
