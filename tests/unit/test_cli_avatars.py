"""`personal-avatar avatars`: who is there, and erasing somebody, who must be the one that was meant."""
from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from personal_avatar import doctor
from personal_avatar.avatars import AvatarStore
from personal_avatar.cli import main
from personal_avatar.commands.people import avatar_named
from personal_avatar.domain import Avatar, Checkpoint, Family, Method
from personal_avatar.environment.finding import State as Found
from personal_avatar.errors import BadInput, NotFound, WrongState
from personal_avatar.jobs.events import Done, EventWriter
from personal_avatar.jobs.states import State
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio

from tests.unit.locks import unreadable

Say = Callable[..., tuple[int, str, str]]


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture()
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


@pytest.fixture()
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture()
def studio(tmp_path: Path) -> Studio:
    return Studio(StandaloneHost(tmp_path), serves=False)


@pytest.fixture()
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """`avatars` with these words: exit status, stdout, stderr. `typed`: by somebody at a keyboard."""

    def say(*words: str, typed: str | None = None) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n") if typed is None else Keyboard(typed))
        status = main(["avatars", *words, "--data", str(tmp_path)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return say


def saved(studio: Studio, avatar_id: str, name: str, user: str = "local") -> Avatar:
    avatar = Avatar(avatar_id, name, user, "woman", "sks woman", "2026-01-02T03:04:05+00:00")
    studio.avatars.save(avatar)
    photos = studio.avatars.folder(avatar_id) / "photos"
    photos.mkdir()
    (photos / "01-a.jpg").touch()
    return avatar


def trained(studio: Studio, avatar: Avatar, saved_elsewhere: Path) -> tuple[Path, str]:
    """A training that ended, its file, and a picture in a folder that is not ours; (the file, the id of the job)."""
    file = studio.host.folders().loras / f"{avatar.id}.safetensors"
    for path in (file, saved_elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    point = Checkpoint(file, "", 4, Method.LORA, Family.SD1, "sks woman", None)
    studio.avatars.save(replace(avatar, checkpoints=(point,)))
    job = studio.jobs.create("train", {}, title=avatar.name, user_id=avatar.user_id, avatar_id=avatar.id)
    studio.jobs.move(job.id, State.RUNNING)
    EventWriter(studio.jobs.folder(job.id))(Done({"files": [str(file)], "images": [{"path": str(saved_elsewhere)}]}))
    studio.jobs.move(job.id, State.SUCCEEDED)
    return file, job.id


def there(studio: Studio) -> list[str]:
    return [avatar.id for avatar in studio.avatars.all()]


def document(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said[2]
    return json.loads(said[1])


def test_one_avatar_is_refused_where_all_are_listed(studio: Studio, say: Say) -> None:
    saved(studio, "anna", "Anna")
    status, out, complaint = say("list", "anna")
    assert (status, out) == (2, "") and "about all avatars: 'anna' says nothing. Leave it out." in complaint


def test_avatars_are_listed(studio: Studio, say: Say, tmp_path: Path) -> None:
    assert say()[1] == "There are no avatars yet.\n"
    trained(studio, saved(studio, "anna", "Anna"), tmp_path / "own.png")
    ben = saved(studio, "ben", "Ben", "u")
    studio.jobs.create("train", {}, title="Ben", user_id="u", avatar_id=ben.id)
    saved(studio, "cleo", "Cleo")
    assert say()[1] == say("list")[1]
    assert [line.split() for line in say("list")[1].splitlines()] == [
        ["anna", "2026-01-02", "Anna", "local", "1", "photos", "ready", "anna.safetensors"],
        ["ben", "2026-01-02", "Ben", "u", "1", "photos", "training"],
        ["cleo", "2026-01-02", "Cleo", "local", "1", "photos", "untrained"],
    ]
    told = document(say("list", "--json"))["models"]
    assert [(one["id"], one["name"], one["state"]) for one in told] == [
        ("anna", "Anna", "ready"), ("ben", "Ben", "training"), ("cleo", "Cleo", "untrained")
    ]


@pytest.mark.parametrize("word", ["Anna Li", "anna-li"])
def test_who_is_erased_is_gone_and_what_is_left_is_named(studio: Studio, say: Say, tmp_path: Path, word: str) -> None:
    file, job = trained(studio, saved(studio, "anna-li", "Anna Li"), tmp_path / "own.png")
    saved(studio, "ben", "Ben")
    status, said, asked = say("erase", word, typed="y\n")
    assert status == 0 and asked.startswith("Erase Anna Li (anna-li, of local): ")
    assert said.splitlines() == [
        "Anna Li (anna-li, of local) erased", f"  erased: {file}", "  erased: 1 photo", "  erased: 1 job",
        f"  left: {tmp_path / 'own.png'}",
    ]
    assert there(studio) == ["ben"] and not file.exists() and job not in studio.jobs.ids()


def test_an_avatar_whose_file_is_damaged_is_listed_so_and_can_be_erased(
    studio: Studio, say: Say, tmp_path: Path
) -> None:
    file, job = trained(studio, saved(studio, "anna", "Anna"), tmp_path / "own.png")
    saved(studio, "ben", "Ben")
    (studio.avatars.folder("anna") / "avatar.json").write_bytes(b'{"id": "anna", "na')
    status, said, complaint = say("list")
    assert status == 0 and "avatar.json cannot be read" in complaint and "avatars erase anna" in complaint
    assert said.splitlines()[-1].split() == ["anna", "1", "photos", "damaged"]
    assert document(say("list", "--json"))["damaged"] == ["anna"]
    (finding,) = doctor.of_avatars(studio.avatars, tmp_path)
    assert finding.state is Found.WARNING and "anna" in finding.found and "avatars erase anna" in finding.remedy
    assert document(say("erase", "anna", "--yes", "--json"))["erased"] == [str(file), "1 photo", "1 job"]
    assert not (tmp_path / "avatars" / "anna").exists() and not file.exists() and job not in studio.jobs.ids()
    assert document(say("list", "--json"))["damaged"] == [] and there(studio) == ["ben"]


def test_an_avatar_that_cannot_be_opened_for_a_moment_is_not_offered_to_be_erased(
    studio: Studio, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(studio, "anna", "Anna")
    unreadable(monkeypatch, "avatar.json")
    (finding,) = doctor.of_avatars(AvatarStore(studio.avatars.folder("anna").parent), tmp_path)
    assert "cannot be read now" in finding.found and "erase" not in finding.remedy
    for words in (("list",), ("erase", "anna", "--yes")):
        status, _, complaint = say(*words)
        assert status != 0 and "cannot be read now" in complaint


def test_of_a_damaged_avatar_and_one_of_its_name_the_one_that_is_meant_is_erased(studio: Studio, say: Say) -> None:
    saved(studio, "ann", "Ann")
    saved(studio, "ann-2", "ann")
    (studio.avatars.folder("ann") / "avatar.json").write_bytes(b"")
    status, _, complaint = say("erase", "ann", "--yes")
    assert status != 0 and "id:ann" in complaint and there(studio) == ["ann-2"] and studio.avatars.damaged() == ["ann"]
    assert document(say("erase", "id:ann", "--yes", "--json"))["erased"] == ["1 photo"]
    assert there(studio) == ["ann-2"] and studio.avatars.damaged() == []


def test_without_a_question_one_document_is_told(studio: Studio, say: Say) -> None:
    saved(studio, "anna", "Anna")
    said = say("erase", "Anna", "--yes", "--json")
    assert document(said) == {"id": "anna", "erased": ["1 photo"], "left": []} and said[2] == ""


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("typed", ["n\n", "\n", "", None])
def test_nobody_is_erased_without_a_yes_of_somebody_at_a_keyboard(
    studio: Studio, say: Say, typed: str | None, tmp_path: Path
) -> None:
    saved(studio, "anna", "Anna")
    status, said, complaint = say("erase", "anna", "--json", typed=typed)
    assert (status, json.loads(said)["error"]["message"]) == (1, "Nothing was erased.") and there(studio) == ["anna"]
    command = f"personal-avatar avatars erase anna --yes --data {tmp_path}"
    assert complaint.endswith(f"Nothing was erased. Without a question: {command}\n")


@pytest.mark.usefixtures("installed")
def test_who_is_not_there_is_named_with_those_who_are(studio: Studio, say: Say, tmp_path: Path) -> None:
    assert say("erase", "eve", "--yes")[2] == "There is no avatar 'eve'. There are no avatars yet.\n"
    for name in ("Anna", "Ben"):
        saved(studio, name.lower(), name)
    assert say("erase", "eve", "--yes") == (1, "", "There is no avatar 'eve'. There are: Anna, Ben.\n")
    for number in range(20):
        saved(studio, f"c-{number}", f"C {number}")
    more = f" and 2 more: personal-avatar avatars list --data {tmp_path}\n"
    assert say("erase", "eve", "--yes")[2].endswith(more)


def test_of_two_of_one_name_none_is_erased_but_by_its_id(studio: Studio, say: Say) -> None:
    for avatar_id, user in (("anna", "u"), ("anna-2", "v")):
        saved(studio, avatar_id, "Anna", user)
    status, _, complaint = say("erase", "Anna", "--yes")
    named = "Name one by its id: anna (Anna, of u), anna-2 (Anna, of v)."
    assert (status, complaint) == (1, f"2 avatars are called 'Anna'. {named}\n")
    assert say("erase", "anna-2", "--yes")[0] == 0 and there(studio) == ["anna"]


@pytest.mark.usefixtures("installed")
def test_where_a_name_is_anothers_id_nobody_is_erased_until_the_one_is_named(
    studio: Studio, say: Say, tmp_path: Path
) -> None:
    for avatar_id, name in (("ann", "Ann"), ("ann-2", "ann"), ("ann-3", "id:ann-2")):
        saved(studio, avatar_id, name)
    status, _, complaint = say("erase", "ann", "--yes")
    named = "Name one by its id: id:ann (Ann, of local), ann-2 (ann, of local)."
    assert (status, complaint) == (1, f"2 avatars are called 'ann'. {named}\n")
    assert there(studio) == ["ann", "ann-2", "ann-3"]
    *_, complaint = say("erase", "Ann", typed="n\n")
    assert complaint.endswith(f"personal-avatar avatars erase id:ann --yes --data {tmp_path}\n")
    assert say("erase", "id:ann-2", "--yes")[0] == 0 and there(studio) == ["ann", "ann-3"]
    assert say("erase", "id:ann", "--yes")[0] == 0 and there(studio) == ["ann-3"]
    assert say("erase", "id:ann", "--yes")[2] == "There is no avatar 'id:ann'. There are: id:ann-2.\n"


@pytest.mark.parametrize("words", [
    ["generate", "--prompt", "x"], ["invent"], ["rank", "--images", "{picture}"], ["restore", "{picture}"],
    ["compare"],
], ids=lambda words: words[0])
def test_no_command_takes_another_one_for_who_is_named(
    studio: Studio, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    picture.touch()
    for avatar_id, name in (("ann", "Ann"), ("ann-2", "ann")):
        saved(studio, avatar_id, name)
    who = "--name" if words == ["compare"] else "--avatar"
    more = [] if words[0] == "rank" else ["--out", str(tmp_path / "out")]

    def said(name: str) -> str:
        told = [word.format(picture=picture) for word in words]
        main([*told, who, name, *more, "--data", str(tmp_path)])
        return capsys.readouterr().err

    assert "2 avatars are called 'ann'." in said("ann") and studio.jobs.ids() == []
    assert not any("are called" in said(name) for name in ("Ann", "id:ann", "ann-2"))


def test_the_avatar_of_whoever_runs_a_command_is_meant_before_others_of_its_name(studio: Studio) -> None:
    for avatar_id, name, user in (("bo", "Bo", "u"), ("bo-2", "Bo", "local"), ("cy", "Cy", "u"), ("cy-2", "Cy", "v")):
        saved(studio, avatar_id, name, user)
    assert avatar_named(studio, "Bo").id == "bo-2" and avatar_named(studio, "bo").id == "bo"
    for word, own_first in (("Bo", False), ("Cy", True)):
        with pytest.raises(BadInput, match="2 avatars are called"):
            avatar_named(studio, word, own_first)


def test_nobody_is_erased_while_a_job_of_theirs_goes_on(studio: Studio, say: Say) -> None:
    anna = saved(studio, "anna", "Anna")
    studio.jobs.create("train", {}, title="Anna", user_id="local", avatar_id=anna.id)
    assert "A job of Anna has not ended." in say("erase", "anna", "--yes")[2] and there(studio) == ["anna"]


def test_what_is_missing_in_the_command_is_said(say: Say) -> None:
    assert say("erase")[::2] == (
        2, "No avatar was named. Name the avatar: personal-avatar avatars erase NAME_OR_ID\n")


def test_hints_name_no_folder_to_whoever_asks_over_the_network(studio: Studio, tmp_path: Path) -> None:
    _, job = trained(studio, saved(studio, "anna", "Anna"), tmp_path / "own.png")
    with pytest.raises(WrongState) as refused:
        studio.gallery.erase(job)
    assert refused.value.hint.endswith("`personal-avatar avatars erase anna`.")
    with pytest.raises(NotFound) as missing:
        AvatarStore(tmp_path / "avatars").load("eve")
    assert "(`personal-avatar avatars list`)" in missing.value.hint


@pytest.mark.parametrize("program", ["installed", "not_installed"])
def test_the_command_line_names_the_command_that_does_it_for_its_data_folder(
    studio: Studio, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    request.getfixturevalue(program)
    _, job = trained(studio, saved(studio, "anna", "Anna"), tmp_path / "own.png")
    assert main(["jobs", "erase", job, "--data", str(tmp_path)]) == 1
    called = "`personal-avatar" if program == "installed" else "-m personal_avatar"
    assert f"{called} avatars erase anna --data {tmp_path}`." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "compare"])
def test_whoever_is_called_nearly_like_another_is_told_to_be_somebody_else(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    saved(studio, "ann", "Ann")
    (tmp_path / "photo.jpg").touch()
    more = ["--out", str(tmp_path / "out")] if command == "compare" else []

    def said(name: str) -> str:
        words = [command, "--photos", str(tmp_path / "photo.jpg"), "--name", name, "--class", "woman", "--consent", ""]
        assert main([*words, *more, "--data", str(tmp_path)]) != 0
        return capsys.readouterr().err

    assert "Ann is here already; ANN becomes somebody else." in said("ANN")
    assert "is here already" not in said("Ann") + said("Anna")
