"""Command-line flags of the extension; the WebUI runs this before anything else of it."""
from argparse import ArgumentParser


def preload(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Personal Avatar")
    group.add_argument(
        "--avatar-data-dir", type=str, default=None, metavar="FOLDER",
        help="keeps avatars, jobs and the training packages; default: personal-avatar in the WebUI's data folder",
    )
