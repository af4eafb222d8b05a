"""Command-line flags of the extension; the WebUI runs this before anything else of it."""
from argparse import ArgumentError, ArgumentParser
from contextlib import suppress


def preload(parser: ArgumentParser) -> None:
    """Where the extension is installed twice, the other copy has added the flag already."""
    group = parser.add_argument_group("Personal Avatar")
    with suppress(ArgumentError):
        group.add_argument(
            "--avatar-data-dir", type=str, default=None, metavar="FOLDER",
            help="keeps avatars, jobs and the training packages; default: personal-avatar in the WebUI's data folder",
        )
