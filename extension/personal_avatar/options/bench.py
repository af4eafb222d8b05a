"""Options of the benchmarks."""
from __future__ import annotations

import argparse
from pathlib import Path

from personal_avatar.options.codes import METHODS
from personal_avatar.options.common import Commands, command, count


def bench(commands: Commands) -> None:
    wanted = commands.add_parser("bench", help="measure training: speed of a step, or time to likeness")
    inner = wanted.add_subparsers(required=True, metavar="speed|likeness")
    _bench_speed(command(inner, "speed", "bench:speed", "seconds and memory of a training step, against others"))
    _bench_likeness(command(inner, "likeness", "bench:likeness", "likeness of real trainings, and how soon it comes"))


def _bench_speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=["sd1", "sd2", "sdxl"], default="sd1")
    parser.add_argument("--size", choices=["small", "standard"], default="small", help="small: avatar-tiny (sd1 only); "
                        "standard: random weights of the true size, 2 to 7 GB written once into the data folder")
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="a checkpoint of your own instead")
    parser.add_argument("--resolution", type=count, metavar="PX", help="side of a picture (default: the checkpoint's)")
    parser.add_argument("--batch", type=count, default=1, metavar="N")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--rank", type=count, default=16, metavar="N")
    parser.add_argument("--steps", type=count, default=20, metavar="N", help="steps that are timed (default: 20)")
    parser.add_argument("--rounds", type=count, default=2, metavar="N", help="turns of each engine (default: 2)")
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
                        choices=["all", *METHODS])
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="file or title (default: avatar-tiny)")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value")
    parser.add_argument("--saves", type=count, default=10, metavar="N", help="checkpoints scored (default: 10)")
    parser.add_argument("--reference-steps", type=count, default=0, metavar="N", help="default: 100 for each photo")
    parser.add_argument("--reference-rate", type=float, default=0.0, metavar="RATE",
                        help="learning rate of the usual recipe (default: 1e-4; a small checkpoint needs more)")
    parser.add_argument("--no-reference", dest="reference", action="store_false", help="leave out the usual recipe")
    _sd_scripts(parser)


def _sd_scripts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sd-scripts", type=Path, metavar="DIR", help="kohya's (default: $PERSONAL_AVATAR_SD_SCRIPTS)")
