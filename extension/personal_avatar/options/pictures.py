"""Options of what is made, put in order and kept: portraits, characters, restored faces."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.options.codes import FORMATS, SIZES
from personal_avatar.options.common import Commands, checkpoint, command, count, results, seed


def generate(commands: Commands) -> None:
    parser = command(commands, "generate", "train:generate", "portraits of an avatar or a photo, ranked by likeness")
    parser.add_argument("--avatar", default="", metavar="NAME", help="an avatar that was trained")
    parser.add_argument("--file", default="", metavar="NAME_OR_METHOD", help="which of the avatar's files: its "
                        "name, or a method such as lora for the best of that (default: the best of those that can be "
                        "compared with the newest)")
    parser.add_argument("--reference", nargs="+", action="extend", default=[], type=Path, metavar="FILE_OR_DIR",
                        help="photos of one person, without training; with --avatar: besides its training")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--style", nargs="+", default=[], metavar="ID", help="one or several styles")
    what.add_argument("--prompt", default="", metavar="TEXT", help="may hold {subject}")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT")
    checkpoint(parser)
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
    parser.add_argument("--count", type=count, default=8, metavar="N")
    parser.add_argument("--seed", type=seed, default=-1, metavar="S")
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value")
    parser.add_argument("--out", type=results, required=True, metavar="DIR")


def invent(commands: Commands) -> None:
    parser = command(commands, "invent", "invent:invent", "photos of a character that does not exist, for a training")
    parser.add_argument("--description", default="", metavar="TEXT", help="who it is: age, hair, eyes, build, clothes, "
                        "and the style of the picture; a first and last name makes faces more alike")
    parser.add_argument("--avatar", default="", metavar="NAME", help="one that was trained: new poses and places that "
                        "are as much like it as its own photos, which come along")
    parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    parser.add_argument("--count", type=count, default=40, metavar="N", help="pictures that are made at most")
    parser.add_argument("--keep", type=count, default=12, metavar="K", help="pictures that must be the same character")
    parser.add_argument("--seed", type=seed, default=-1, metavar="S")
    checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="more settings, such as similarity=0.7 or steps=30")
    parser.add_argument("--out", type=results, required=True, metavar="DIR")


def rank(commands: Commands) -> None:
    parser = command(commands, "rank", "pictures:rank", "existing pictures in order: likeness, quality and more")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--reference", type=Path, metavar="FILE_OR_DIR", help="photos of one person")
    who.add_argument("--avatar", default="", metavar="NAME", help="an avatar that was trained")
    parser.add_argument("--images", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sort", default="overall", metavar="KEY", help="overall, likeness, second, prompt, quality, "
                        "diversity, sharpness, face_size, faces, ... (default: overall)")
    parser.add_argument("--filter", nargs="+", action="extend", default=[], metavar="'KEY>=VALUE'",
                        help="keep what passes all of these, such as 'likeness>=0.4' faces==1")
    parser.add_argument("--take", type=results, metavar="DIR", help="copy the best into this folder")
    parser.add_argument("--best", type=count, default=20, metavar="N", help="how many of them (default: 20)")
    parser.add_argument("--move", action="store_true", help="move them instead")


def restore(commands: Commands) -> None:
    parser = command(commands, "restore", "pictures:restore", "restore faces, never at the cost of likeness")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--out", type=results, required=True, metavar="DIR")
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
    checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help="more settings, such as below_sharpness=0 others=false")


def gallery(commands: Commands) -> None:
    parser = command(commands, "gallery", "gallery:run", "finished pictures: list, mark favourites, delete, export")
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
