"""`personal-avatar doctor` and `personal-avatar serve`."""
from __future__ import annotations

import os
from argparse import Namespace

from personal_avatar import doctor as examination
from personal_avatar.commands.common import DONE, FAILED, local_studio
from personal_avatar.environment import kohya, ray_packages
from personal_avatar.environment.finding import State
from personal_avatar.host import Folders
from personal_avatar.params import pairs
from personal_avatar.rules import rules_from
from personal_avatar.terminal import Bar, Terminal
from personal_avatar.weights.registry import licences


def doctor(args: Namespace, terminal: Terminal) -> int:
    """Fails when something is missing that the work cannot do without."""
    studio = local_studio(args.data)
    host, data = studio.host, studio.host.folders().data
    if args.webhook_secret:
        return _tell_secret(studio.webhooks.secret(), terminal)
    if args.fetch is not None:
        _fetch(terminal, host.folders(), args.fetch)
    if args.install_kohya:
        kohya.install(data, terminal.say)
    if args.install_ray is not None:
        ray_packages.install(data, terminal.say, args.install_ray)
    held = (*examination.of_jobs(studio.jobs), *examination.of_avatars(studio.avatars, data))
    findings = [*examination.examine(host, data, args.insightface), *held]
    terminal.say(examination.text(findings))
    terminal.document(examination.document(findings))
    if examination.usable(findings):
        return DONE
    missing = [finding for finding in findings if finding.state is State.MISSING]
    terminal.complain(f"Missing: {', '.join(finding.name for finding in missing)}. {missing[0].remedy}")
    return FAILED


def _tell_secret(secret: str, terminal: Terminal) -> int:
    terminal.say(secret)
    terminal.document({"webhook_secret": secret})
    return DONE


def _fetch(terminal: Terminal, folders: Folders, names: list[str]) -> None:
    """What is fetched is said first: size, licence, address, checksum."""
    weights = examination.wanted_weights(names)
    for line in licences(weights):
        terminal.say(line)
    bars: dict[str, Bar] = {}

    def show(name: str, done: int, total: int) -> None:
        bars.setdefault(name, terminal.bar(name[:10]))(done, total)

    examination.fetch_weights(folders, weights, show)
    for bar in bars.values():
        bar.close()


def serve(args: Namespace, terminal: Terminal) -> int:
    """Serves until Ctrl-C, which is the ordinary end."""
    from personal_avatar.standalone import app, door

    rules = rules_from(pairs(args.pairs), os.environ)
    accounts = door.accounts_from(args.auth, args.api_auth, os.environ)
    try:
        app.serve(args.host, args.port, args.data, args.checkpoint, rules, accounts, args.known_as)
    except KeyboardInterrupt:
        terminal.complain("Stopped; jobs that run go on and are found again.")
    return DONE
