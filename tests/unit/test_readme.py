"""What README and CONTRIBUTING say that can be looked up is so."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from personal_avatar.cli import build_parser
from personal_avatar.styles.library import shipped

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "extension" / "personal_avatar"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tools/*/README.md")])
OF_TINY = "avatar-tiny"  # styles that only the small checkpoint paints, and README counts apart


def commands() -> set[str]:
    """Of blocks, where several may stand in a line, and of sentences; these may name one without what it needs."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S)
    said = {part for block in blocks for part in re.split(r"\n| {2,}", block)}
    said |= {f"{one} --help" if "--" not in one else one for one in re.findall(r"`([^`\n]+)`", README)}
    return {one for one in said if one.startswith("personal-avatar ") and "--data" not in one}


def paths() -> set[tuple[str, str]]:
    """(the folder that was named before it in its line, a path) of the table of what is where, and of sentences."""
    found = set()
    for line in re.findall(r"^\| .*", CONTRIBUTING, re.M):
        folder = ""
        for path in re.findall(r"`([\w./-]+(?:/|\.py|\.json))`", line.rpartition(" | ")[2]):
            found.add((folder, path))
            folder = path[: path.rindex("/") + 1] if "/" in path else folder
    sentences = "".join(re.findall(r"^(?![|]).*\n", CONTRIBUTING, re.M))
    return found | {("", path) for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|txt|json|sh))`", sentences)}


def links() -> set[tuple[Path, str]]:
    """(a document, what it leads to on this disk)."""
    return {(document, link) for document in DOCUMENTS
            for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8"))}


def test_commands_and_paths_are_found() -> None:
    assert len(commands()) > 25 and len(paths()) > 110 and len(links()) > 10


@pytest.mark.parametrize("command", sorted(commands()))
def test_a_command_of_the_readme_can_be_said(command: str) -> None:
    try:
        build_parser().parse_args(shlex.split(command, comments=True)[1:])
    except SystemExit as end:
        assert end.code == 0  # it was asked for help


def test_as_many_styles_are_shipped_as_the_readme_says() -> None:
    count = sum(style.category != OF_TINY for style in shipped())
    assert re.findall(r"(\d+) styles", README) == [str(count)]


@pytest.mark.parametrize(("folder", "path"), sorted(paths()))
def test_a_path_of_contributing_is_there(folder: str, path: str) -> None:
    assert any((place / path).exists() for place in (PACKAGE / folder, PACKAGE, ROOT))


def test_a_link_of_a_document_leads_to_a_file() -> None:
    assert not [(document.name, link) for document, link in sorted(links()) if not (document.parent / link).exists()]
