"""Options of what is about this machine and its jobs."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.options.codes import METHODS, RULES, STATES
from personal_avatar.options.common import Commands, checkpoint, command, count, host_name, limit, results
from personal_avatar.weights.registry import offers


def demo(commands: Commands) -> None:
    parser = command(commands, "demo", "demo:run", "the main job on shipped sample pictures, no download, no GPU")
    parser.add_argument("--out", type=results, default="demo", metavar="DIR", help="for results (default: demo)")
    parser.add_argument("--method", choices=METHODS, default="lora")
    parser.add_argument("--steps", type=count, metavar="N", help="training steps (default: the preset's)")


def doctor(commands: Commands) -> None:
    parser = command(commands, "doctor", "machine:doctor", "what is installed, found, missing, and what to do")
    parser.add_argument(
        "--fetch", nargs="*", metavar="NAME",
        help="download the face models that are missing, or what is named: "
        f"{', '.join(offers())}; doctor tells what they are for; or one file of them",
    )
    parser.add_argument("--install-kohya", action="store_true", help="install sd-scripts, for the engine kohya")
    parser.add_argument("--install-ray", nargs="?", const="", metavar="VERSION",
                        help="install Ray, for trainings on a cluster; VERSION: the cluster's own")
    parser.add_argument("--webhook-secret", action="store_true", help="print the secret with which callbacks of this "
                        "data folder are signed, and nothing else")
    parser.add_argument("--insightface", type=Path, metavar="DIR", help="a folder of insightface models to look at")


def serve(commands: Commands) -> None:
    parser = command(commands, "serve", "machine:serve", "the app without a WebUI: the same tab, the same API", False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7865)
    parser.add_argument("--known-as", nargs="+", action="extend", default=[], type=host_name, metavar="NAME",
                        help="names of a proxy in front, such as avatars.example.com, by which page and API are called "
                        "besides localhost (any name may be used with another --host than this machine's own)")
    parser.add_argument("--auth", default="", metavar="NAME:PASSWORD,...",
                        help="people who may come in, on the page and by the API, where each acts for itself; or "
                        "$PERSONAL_AVATAR_AUTH, which other users of this machine cannot read")
    parser.add_argument("--api-auth", default="", metavar="NAME:PASSWORD,...",
                        help="programs that act for everybody; or $PERSONAL_AVATAR_API_AUTH")
    checkpoint(parser)
    parser.add_argument("--set", dest="pairs", nargs="+", action="extend", default=[], metavar="key=value",
                        help=f"rules about jobs and callers: {', '.join(RULES)}; or by variables such as "
                        "$PERSONAL_AVATAR_UPLOAD_MB")


def avatars(commands: Commands) -> None:
    parser = command(commands, "avatars", "avatars:run", "list avatars; erase one")
    parser.add_argument("action", nargs="?", default="list", choices=["list", "erase"], help="erase: photos, trained "
                        "files, portraits, jobs and statements of consent; what is left is listed")
    parser.add_argument("avatar", nargs="?", default="", metavar="NAME_OR_ID",
                        help="id:ID is the one with that id, whoever else has it as a name")
    parser.add_argument("--yes", action="store_true", help="erase without a question")


def jobs(commands: Commands) -> None:
    parser = command(commands, "jobs", "jobs:run", "list jobs; show, cancel, pause, resume, prioritise or erase one")
    actions = ["list", "show", "cancel", "pause", "resume", "prioritise", "erase", "rebuild"]
    parser.add_argument("action", nargs="?", default="list", choices=actions, help="resume: take the job up "
                        "here and stay until it ends; Ctrl-C pauses a training again; erase: portraits and their "
                        "photos; rebuild: make the index of jobs anew from their folders")
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="the first characters are enough")
    parser.add_argument("--priority", type=int, metavar="N", help="prioritise: -10 to 10, higher ones are taken first "
                        "(default: before all others of its kind)")
    parser.add_argument("--user", metavar="ID", help="list the jobs of this user alone")
    parser.add_argument("--state", nargs="+", choices=STATES, metavar="STATE",
                        help=f"list the jobs in these states alone: {' '.join(STATES)}")
    parser.add_argument("--kind", metavar="KIND", help="list the jobs of this kind alone, such as train or create")
    parser.add_argument("--limit", type=limit, default=100, metavar="N",
                        help="list the newest N; 0: all (default: 100)")
