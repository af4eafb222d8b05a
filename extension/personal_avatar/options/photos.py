"""Options of what is done to photos before a training."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.options.common import Commands, command, count, decisions, results


def photos(commands: Commands) -> None:
    wanted = commands.add_parser("photos", help="check photos, describe them, or prepare a dataset")
    inner = wanted.add_subparsers(required=True, metavar="check|caption|lint|prepare")
    check = command(inner, "check", "photos:check", "a verdict with reasons for each photo, advice for all")
    check.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    check.add_argument("--set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                       help="limits of the report, such as min_face_px=96")
    check.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, dog, ...")
    decisions(check)
    _captions(inner)
    prepare = command(inner, "prepare", "photos:prepare", "crop and caption the accepted photos into a dataset")
    prepare.add_argument("paths", nargs="+", type=Path, metavar="DIR",
                         help="folder, pictures, or a dataset of kohya's trainers (10_name/a.png, masks/a.png)")
    prepare.add_argument("--out", type=results, required=True, metavar="DIR")
    prepare.add_argument("--set", dest="photo_pairs", nargs="+", action="extend", default=[], metavar="key=value",
                         help="settings of the photo report, crops and captions, such as framing=half background=blur")
    prepare.add_argument("--resolution", type=count, default=512, metavar="PX", help="side of a crop (default: 512)")
    prepare.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, person, ...")
    decisions(prepare)


def _captions(inner: Commands) -> None:
    caption = command(inner, "caption", "captions:caption", "describe each photo in a text file beside it")
    caption.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    caption.add_argument("--with", dest="tagger", default="template", metavar="TAGGER", help="template, wd14 (also "
                         "wd14-vit, wd14-swinv2, wd14-eva02), blip; in the WebUI deepdanbooru (default: template)")
    caption.add_argument("--overwrite", action="store_true", help="replace text files that are there already")
    caption.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                         help="settings of the tagger, such as tag_from=0.5 or mend=false")
    lint = command(inner, "lint", "captions:lint", "captions that spoil a training: what is wrong, and mended")
    lint.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folder or pictures")
    lint.add_argument("--mend", action="store_true", help="write the mended captions into their files")
    for parser in (caption, lint):
        parser.add_argument("--trigger", default="", metavar="WORDS", help="what stands for the person, first in each "
                            "caption; training puts it there where it is missing")
        parser.add_argument("--class", dest="class_noun", default="person", metavar="NOUN", help="man, woman, ...")
