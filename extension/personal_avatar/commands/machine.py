"""`personal-avatar serve` and `personal-avatar doctor`."""
from __future__ import annotations

from argparse import Namespace

from personal_avatar.commands.common import DONE
from personal_avatar.terminal import Terminal


def serve(args: Namespace, terminal: Terminal) -> int:
    """Serves until Ctrl-C, which is the ordinary end."""
    from personal_avatar.standalone import app

    try:
        app.serve(args.host, args.port, args.data)
    except KeyboardInterrupt:
        terminal.complain("Stopped; jobs that run go on and are found again.")
    return DONE
