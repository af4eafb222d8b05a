"""Options of trainings and their comparison."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.options.codes import ENGINES, GOALS, METHODS, WAYS
from personal_avatar.options.common import Commands, checkpoint, command, decisions, results


def train(commands: Commands) -> None:
    parser = command(commands, "train", "train:train", "photos become an avatar: a LoRA, an embedding or a checkpoint")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, metavar="DIR", help="folder or pictures")
    parser.add_argument("--name", required=True)
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--method", choices=METHODS, default="lora", help="lora: a small file for any prompt; "
                        "dreambooth-lora: learned beside pictures of others; dreambooth: a whole checkpoint; "
                        "textual-inversion: a new word (default: lora)")
    parser.add_argument("--goal", choices=GOALS, help="chooses the settings (default: face; style, where "
                        "the --class means one)")
    checkpoint(parser)
    parser.add_argument("--engine", choices=ENGINES, default="diffusers", help="kohya: sd-scripts, where it is set up")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings that differ from those for checkpoint, method and goal")
    parser.add_argument("--photo-set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings of the photo report, crops and captions, such as framing=full")
    decisions(parser)
    parser.add_argument("--consent", metavar="WHO", help="who stated that the person in the photos agreed; kept with "
                        "the avatar (default: whoever runs this command states it)")
    parser.add_argument("--even-if-too-large", action="store_true",
                        help="start although less memory is free than the training is expected to need")


def compare(commands: Commands) -> None:
    parser = command(commands, "compare", "compare:compare", "the same photos through several methods: which is best")
    parser.add_argument("--photos", nargs="+", type=Path, metavar="DIR", help="folder or pictures; without: the table "
                        "of what was compared before")
    parser.add_argument("--name", required=True)
    parser.add_argument("--resume", action="store_true", help="without --photos: go on with what was interrupted first")
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--methods", nargs="+", choices=WAYS,
                        help="one-photo: the photos alone, without training (default: all)")
    checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="settings for all; a method takes those that it has and that suit it; lora.rank=16: for "
                        "LoRA alone")
    parser.add_argument("--consent", metavar="WHO", help="who stated that the person in the photos agreed (default: "
                        "whoever runs this command)")
    parser.add_argument("--out", type=results, required=True, metavar="DIR", help="for the sheet of pictures")
