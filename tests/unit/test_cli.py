"""The command line as a shell sees it: exit status, one JSON document, one line of complaint."""
from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from painted_motifs import write_hatched
from personal_avatar import pictures
from personal_avatar.albums import sizes
from personal_avatar.cli import main
from personal_avatar.commands.common import Shown
from personal_avatar.commands.train import copied
from personal_avatar.domain import ONE_PHOTO, Engine, Goal, Method
from personal_avatar.environment import kohya
from personal_avatar.jobs.events import Progress, Record, Stage
from personal_avatar.options.codes import ENGINES, FORMATS, GOALS, METHODS, SIZES, WAYS
from personal_avatar.options.common import results
from personal_avatar.shipped import AVATAR_TINY
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.terminal import Bar, Terminal
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES, DrawingHost
from tests.unit.command_line import ENVIRONMENT, Run, on_drawings
from tests.unit.jobs.children import PATIENT

pytestmark = pytest.mark.slow



run = pytest.fixture(on_drawings)


@pytest.mark.parametrize("words", [
    [], ["no-such"], ["train"], ["train", "--photos", "x"], ["train", "--photos", "x", "--name", "a", "--method", "b"],
    ["train", "--photos", "x", "--name", "a", "--engine", "b"], ["generate", "--out", "x", "--count", "1234567890"],
    ["train", "--photos", "x", "--name", "a", "--goal", "b"],
    ["generate", "--avatar", "a", "--out", "o"], ["generate", "--avatar", "a", "--out", "o", "--count", "0",
                                                  "--style", "s"],
    ["jobs", "explode"], ["photos"], ["photos", "check"], ["serve", "--port", "x"], ["demo", "--steps", "-1"],
    ["generate", "--avatar", "a", "--style", "s", "--out", "o", "--seed", "99999999999999"],
    ["generate", "--avatar", "a", "--style", "s", "--out", "o", "--seed=-2"],
])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: personal-avatar" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [
    (["jobs", "list", "--state", "nope"], "invalid choice: 'nope'"), (["avatars", "--data", __file__], "is a file"),
    (["photos", "check"], "are required: DIR"), (["jobs", "--no-such"], "unrecognized arguments: --no-such"),
    (["no-such"], "invalid choice: 'no-such'"),
])
def test_wrong_usage_is_a_document_too_where_one_is_wanted(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for wanted in (words, [*words, "--json"]):
        with pytest.raises(SystemExit) as caught:
            main(wanted)
        told = capsys.readouterr()
        assert caught.value.code == 2 and said in told.err
        answers.append(told.out)
    error = json.loads(answers[1])["error"]
    assert answers[0] == "" and error["code"] == "INVALID_SETTINGS" and said in error["message"]
    assert error["hint"].startswith("Look at: personal-avatar") and error["hint"].endswith(" --help")


@pytest.mark.parametrize("words", [
    ["restore", "a.png"], ["demo"], ["photos", "prepare", "x"],
    ["generate", "--avatar", "a", "--style", "s"], ["compare", "--photos", "x", "--name", "a"],
])
def test_results_for_what_is_a_file_are_refused_before_anything_is_done(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        main([*words, "--out", str(tmp_path / "own.txt")])
    assert caught.value.code == 2 and "is a file; name a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--out", str(tmp_path / "own.txt" / "below" / "it")])
    assert "which is a file; name a folder" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "own.txt"]


def test_results_for_a_folder_that_nothing_may_be_written_to_are_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SystemExit) as caught:
        main(["compare", "--photos", "x", "--name", "a", "--out", str(tmp_path / "new" / "out")])
    said = f"nothing can be written to {str(tmp_path)!r} (Permission denied); name another folder"
    assert caught.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no such folder")
@pytest.mark.parametrize("words", [
    ["compare", "--photos", "x", "--name", "a"], ["generate", "--avatar", "a", "--style", "s"], ["restore", "a.png"],
])
def test_where_no_folder_can_be_made_whatever_its_rights_say_is_told_before_anything_is_done(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--out", "/proc/x"])
    assert caught.value.code == 2 and "nothing can be written to '/proc' (" in capsys.readouterr().err


def test_looking_whether_results_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    assert results(str(tmp_path / "new" / "out")) == tmp_path / "new" / "out"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [
    ["compare", "--photos", "x", "--name", "a", "--out", "/new/out"], ["jobs", "list", "--data", "/new/data"],
])
def test_a_folder_on_a_drive_that_is_not_there_is_called_no_file(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda place: False)
    with pytest.raises(SystemExit) as caught:
        main(words)
    told = capsys.readouterr().err
    anchor = Path("/new").absolute().anchor
    assert caught.value.code == 2 and "a file" not in told
    assert f"there is no {anchor!r}, on which {words[-1]!r} lies; name another folder" in told


def test_help_comes_at_once() -> None:
    began = time.monotonic()
    command = [sys.executable, "-X", "importtime", "-m", "personal_avatar", "--help"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "photos in, avatars out" in done.stdout.lower()
    assert not any(heavy in done.stderr for heavy in ("numpy", "pydantic", "torch"))
    assert time.monotonic() - began < 5


def test_photos_are_checked(run: Run, tmp_path: Path) -> None:
    said = run("photos", "check", SAMPLES / "01.jpg", SAMPLES / "no-face.jpg", "--json")
    assert (said.status, said.err) == (0, "")
    verdicts = {Path(photo["path"]).name: photo["verdict"] for photo in said.document["photos"]}
    assert verdicts == {"01.jpg": "accepted", "no-face.jpg": "rejected"}
    assert said.document["set"]["accepted"] == 1
    assert "faces=ignored" in run("photos", "check", SAMPLES / "no-face.jpg").out
    of_dog = ("photos", "check", SAMPLES / "no-face.jpg", "--class", "dog")
    assert "1 of 1 photos can be used" in run(*of_dog).out
    assert "NO_FACE" in run(*of_dog, "--set", "faces=needed").out


def test_a_photo_of_too_many_pixels_is_refused_by_us_alone(
    run: Run, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("1", (12000, 9000)).save(tmp_path / "wide.png")
    said = run("photos", "check", tmp_path / "wide.png")
    assert "TOO_LARGE" in said.out and "wide.png has 12000 x 9000 pixels" in said.out and said.err == ""
    assert [one for one in recwarn if issubclass(one.category, Image.DecompressionBombWarning)] == []


def test_captions_that_no_training_takes_are_told_with_the_check(run: Run, tmp_path: Path) -> None:
    for photo in ("01.jpg", "02.jpg"):
        (tmp_path / shutil.copy(SAMPLES / photo, tmp_path)).with_suffix(".txt").write_bytes(b"caf\xe9")
    said = run("photos", "check", tmp_path, "--leave", "02.jpg", "--json")
    assert said.status == 2 and "cannot be used: 01.txt is not written in UTF-8. Save them as" in said.err
    assert len(said.document["photos"]) == 2 and said.document["error"]["code"] == "INVALID_SETTINGS"
    assert run("photos", "check", tmp_path, "--set", "caption_files=false").status == 0


@pytest.mark.parametrize(("encoding", "said"), [("cp1252", "\\u5c0f\\u660e.jpg  ok"), ("utf-8", "小明.jpg  ok")])
def test_names_that_a_pipe_has_no_letters_for_are_spelled_out(
    data: Path, tmp_path: Path, encoding: str, said: str
) -> None:
    shutil.copy(GOOD[0], tmp_path / "小明.jpg")
    command = [sys.executable, "-m", "personal_avatar", "photos", "check", tmp_path / "小明.jpg", "--data", data]
    done = subprocess.run(command, env={**ENVIRONMENT, "PYTHONIOENCODING": encoding}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert said in done.stdout.decode(encoding)


def test_photos_are_taken_and_left_out_by_hand(run: Run) -> None:
    names = [SAMPLES / name for name in ("01.jpg", "blurred.jpg", "two-people.jpg")]
    said = run("photos", "check", *names, "--take", "blurred.jpg", "--leave", "01.jpg", "--face", "two-people.jpg=1",
               "--json")
    told = {Path(photo["path"]).name: photo for photo in said.document["photos"]}
    assert {name: photo["verdict"] for name, photo in told.items()} == {
        "01.jpg": "rejected", "blurred.jpg": "accepted", "two-people.jpg": "accepted"}
    assert told["01.jpg"]["reasons"] == [] and told["two-people.jpg"]["choice"] == {"take": None, "face": 0}
    words = run("photos", "check", *names, "--take", "blurred.jpg", "--leave", "01.jpg").out
    assert "taken by hand (BLURRED)" in words and "left out by hand" in words
    assert run("photos", "check", *names, "--take", "absent.jpg").status == 1


@pytest.mark.slow
def test_photos_are_prepared(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    said = run("photos", "prepare", *GOOD[:3], "--out", out, "--resolution", 128, "--json")
    assert said.status == 0, said.err
    assert len(said.document["files"]) == 3
    for file in said.document["files"]:
        assert Path(file).is_file()
        assert Path(file).with_suffix(".txt").is_file()
    assert run("photos", "prepare", SAMPLES / "no-face.jpg", "--out", out).status == 1


@pytest.mark.parametrize("inside", ["images", "masks", "held_out/1_sks man"])
def test_photos_that_a_dataset_would_replace_are_refused_and_stay(run: Run, tmp_path: Path, inside: str) -> None:
    (tmp_path / "me" / inside).mkdir(parents=True)
    own = [Path(shutil.copy(photo, tmp_path / "me" / inside)) for photo in GOOD[:2]]
    said = run("photos", "prepare", tmp_path / "me" / inside, "--out", tmp_path / "me", "--json")
    assert said.status == 2 and own[0].name in said.err
    assert [photo.read_bytes() for photo in own] == [photo.read_bytes() for photo in GOOD[:2]]
    assert sorted(path for path in (tmp_path / "me").rglob("*") if path.is_file()) == sorted(own)


def test_a_training_says_what_it_made(run: Run) -> None:
    said = run("train", "--photos", GOOD[0], "--name", "Anna", "--class", "woman", "--set", "steps=9", "--json")
    assert (said.status, said.err) == (0, "")
    document = said.document
    assert {"job", "state", "files", "likeness", "leakage", "seconds", "error"} <= set(document)
    assert (document["diversity"], document["peak_memory_gb"], document["prompt"]) == (0.8, 1.2, "<lora:x:1> sks")
    assert document["choice"].startswith("The checkpoint of step 2") and len(document["advice"]) == 1
    assert (document["state"], document["error"]) == ("succeeded", None)
    assert set(document["likeness"]) == {"floor", "after", "ceiling", "recovered"}
    assert Path(document["files"][0]).is_file()
    listed = run("jobs", "--json").document["jobs"]
    assert [job["id"] for job in listed] == [document["job"]]
    assert "reference" not in json.dumps(listed)


def test_method_goal_and_settings_reach_the_training(run: Run, data: Path) -> None:
    said = run("train", "--photos", GOOD[0], "--name", "Anna", "--class", "woman", "--method", "textual-inversion",
               "--goal", "face-quick", "--set", "vectors=6", "steps=60", "--json")
    assert said.status == 0, said.err
    assert said.document["prompt_following"] == 0.97
    payload = json.loads((data / "jobs" / said.document["job"] / "job.json").read_text())["payload"]
    assert (payload["method"], payload["engine"]) == ("textual-inversion", "diffusers")
    assert payload["plan"] == {"goal": "face-quick", "vectors": 6, "steps": 60}


def test_the_words_of_the_command_line_are_those_of_the_domain() -> None:
    assert {method.value for method in Method} == set(METHODS) == set(WAYS) - {ONE_PHOTO}
    assert {engine.value for engine in Engine} == set(ENGINES)
    assert {goal.value for goal in Goal} == set(GOALS)
    assert (tuple(sizes.SIZES), tuple(pictures.FORMATS)) == (SIZES, FORMATS)


def test_methods_are_compared_with_the_photos_alone(run: Run, data: Path, faceid: Path, tmp_path: Path) -> None:
    words = ("compare", "--photos", *GOOD[:3], "--name", "Anna", "--methods", "lora", "one-photo", "--out", tmp_path)
    (tmp_path / "comparison.png").write_bytes(b"mine")
    lacking = run(*words)
    assert lacking.status == 0 and "Photos alone: left out" in lacking.err
    assert str(tmp_path / "comparison-2.png") in lacking.out
    assert "has not the size" in lacking.err and "--fetch" not in lacking.err  # no published weights would fit
    (data / "models").mkdir(exist_ok=True)
    (data / "models" / "identity").symlink_to(faceid, target_is_directory=True)
    said = run(*words, "--json")
    assert (said.status, said.err) == (0, "")
    assert [row["method"] for row in said.document["methods"]] == ["lora", "one-photo"]
    assert said.document["left_out"] == {} and len(said.document["notes"]) == 2
    assert Path(said.document["files"][0]).is_file()
    assert "Photos alone: nothing is trained" in run(*words).out
    assert (tmp_path / "comparison.png").read_bytes() == b"mine"


def test_methods_are_compared_on_pictures_of_a_dog_and_its_photos_alone_are_left_out(
    run: Run, data: Path, faceid: Path, tmp_path: Path
) -> None:
    (data / "models").mkdir(exist_ok=True)
    (data / "models" / "identity").symlink_to(faceid, target_is_directory=True)
    photos = write_hatched(tmp_path / "photos", 3)
    said = run("compare", "--photos", *photos, "--name", "Rex", "--class", "dog", "--methods", "lora", "one-photo",
               "--out", tmp_path / "out", "--json")
    assert said.status == 0 and [row["method"] for row in said.document["methods"]] == ["lora"]
    assert "an animal" in said.document["left_out"]["one-photo"]["message"]


def test_a_checkpoint_that_was_named_is_used_from_now_on_once_the_job_was_accepted(run: Run, data: Path) -> None:
    other = data / "models" / "checkpoints" / "other.safetensors"
    other.parent.mkdir(parents=True)
    for suffix in (".safetensors", ".yaml"):
        shutil.copyfile((AVATAR_TINY / AVATAR_TINY.name).with_suffix(suffix), other.with_suffix(suffix))
    words = ("train", "--photos", GOOD[0], "--name", "Anna", "--checkpoint", "other")
    assert run(*words, "--set", "rank=0").status == 2
    assert run("train", "--photos", GOOD[0], "--name", "Berta", "--json").status == 0
    assert [StandaloneHost(data).checkpoint().title, run(*words).status] == [AVATAR_TINY.name, 0]
    assert StandaloneHost(data).checkpoint().title == "other"
    bases = {job["title"]: job_base(data, job["id"]) for job in run("jobs", "--json").document["jobs"]}
    assert bases == {"Anna": "other", "Berta": AVATAR_TINY.name}


def job_base(data: Path, job_id: str) -> str:
    document = json.loads((data / "jobs" / job_id / "job.json").read_text())
    return str(document["payload"]["base"]["title"])


def test_a_training_for_people_shows_likeness(run: Run) -> None:
    said = run("train", "--photos", GOOD[0], "--name", "Anna")
    assert "0.10 before, 0.50 after" in said.out
    assert "real photos, passed through the checkpoint, 0.90. Recovered" in said.out
    assert "Leakage 0.01, diversity 80%; prompts followed – before, 97% after." in said.out
    assert "The checkpoint of step 2 was chosen of 3.\nOnly 3 photos were used: add some.\n" in said.out
    assert "Write into a prompt: <lora:x:1> sks\n" in said.out and "at most 1.2 GB of memory" in said.out


def test_a_training_of_a_style_shows_its_resemblance(run: Run) -> None:
    words = ("train", "--photos", GOOD[0], "--name", "Ink", "--goal", "style")
    said = run(*words)
    best = "the pictures that were given, passed through the checkpoint, 0.90."
    assert f"Resemblance 0.10 before, 0.50 after; {best}" in said.out
    document = run(*words, "--json").document
    assert document["resemblance"]["after"] == 0.5 and document["likeness"]["after"] is None


def test_a_class_that_means_a_style_needs_no_goal(run: Run) -> None:
    assert "Resemblance 0.10" in run("train", "--photos", GOOD[0], "--name", "Ink", "--class", "style").out


@pytest.mark.slow
def test_portraits_are_copied_in_the_order_of_likeness(run: Run, tmp_path: Path) -> None:
    run("train", "--photos", GOOD[0], "--name", "Anna")
    said = run("generate", "--avatar", "Anna", "--style", "oil-painting", "--count", 4, "--seed", 5,
               "--set", "restore=false", "--out", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    images = said.document["images"]
    assert [Path(image["path"]).name[:3] for image in images] == ["001", "002", "003", "004"]
    assert all(Path(image["path"]).is_file() for image in images)
    assert images[0]["likeness"] > images[1]["likeness"]


def test_portraits_of_an_earlier_run_are_not_written_over(tmp_path: Path) -> None:
    made = tmp_path / "made.png"
    made.write_bytes(b"second")
    (tmp_path / "001-7.png").write_bytes(b"first")
    view: Any = SimpleNamespace(result={"images": [{"path": str(made), "seed": 7}]})
    assert [row["path"] for row in copied(view, tmp_path)] == [str(tmp_path / "001-7-2.png")]
    assert (tmp_path / "001-7.png").read_bytes() == b"first"


@pytest.mark.slow
def test_portraits_of_a_photo_need_no_training(run: Run, data: Path, faceid: Path, tmp_path: Path) -> None:
    (data / "models").mkdir()
    (data / "models" / "identity").symlink_to(faceid, target_is_directory=True)
    said = run("generate", "--reference", GOOD[0], "--class", "woman", "--style", "oil-painting", "--count", 2,
               "--identity", "adapter_weight=0.7", "--consent", "she agreed", "--out", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    first, second = said.document["images"]
    assert Path(first["path"]).name.startswith("001-") and first["likeness"] > second["likeness"]
    assert "woman" in first["prompt"] and "lora" not in first["prompt"]
    job = said.document["job"]
    assert [row["title"] for row in run("jobs", "--json").document["jobs"]] == ["One photo"]
    erased = run("jobs", "erase", job[:8], "--json")
    assert erased.status == 0 and erased.document["left"] == []
    assert run("jobs", "--json").document == {"jobs": []} and not (data / "jobs" / job).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("words", "complaint"), [
    ((), "Name who it is"),
    (("--reference", GOOD[0], "--consent", ""), "agreed"),
    (("--reference", GOOD[0]), "has not the size"),
    (("--reference", SAMPLES / "gone"), "no"),
    (("--image", GOOD[0], "--strength", 2), "strength must be in"),
    (("--reference", GOOD[0], "--identity", "colour=red"), "colour is not a setting"),
])
def test_a_photo_that_cannot_be_used_is_one_line(
    run: Run, tmp_path: Path, words: tuple[object, ...], complaint: str
) -> None:
    said = run("generate", *words, "--style", "oil-painting", "--out", tmp_path / "out")
    assert said.status == (1 if complaint in ("agreed", "has not the size", "no") else 2)
    assert complaint in said.err and len(said.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_pictures_are_ranked(run: Run) -> None:
    stranger, text = SAMPLES / "someone-else.jpg", SAMPLES / "README.md"
    said = run("rank", "--reference", GOOD[0], "--images", stranger, text, GOOD[1], GOOD[0], "--json")
    assert said.status == 0
    images = said.document["images"]
    assert [Path(image["path"]) for image in images] == [GOOD[0], GOOD[1], stranger, text]
    assert set(images[0]) >= {"path", "likeness", "scores", "faces"}
    assert images[3]["error"]["code"] == "UNREADABLE"


@pytest.mark.slow
def test_restoring_keeps_the_original_when_there_is_nothing_to_gain(run: Run, tmp_path: Path) -> None:
    said = run("restore", GOOD[0], SAMPLES / "README.md", "--out", tmp_path / "out", "--json")
    assert said.status == 0
    drawing, text = said.document["images"]
    assert (drawing["accepted"], drawing["out"], drawing["error"]) == (False, None, None)
    assert text["error"]["code"] == "UNREADABLE"
    assert run("restore", SAMPLES / "README.md", "--out", tmp_path / "out").status == 1


@pytest.mark.parametrize("words", [
    ["photos", "check", "nowhere"], ["rank", "--reference", "nowhere", "--images", SAMPLES],
    ["train", "--photos", GOOD[0], "--name", "a", "--engine", "kohya"],
    ["train", "--photos", GOOD[0], "--name", "a", "--consent", ""],
    ["train", "--photos", GOOD[0], "--name", "a", "--checkpoint", "nowhere"],
    ["generate", "--avatar", "nobody", "--style", "oil-painting", "--out", "o"],
    ["jobs", "show", "0"], ["jobs", "cancel", "0"],
])
def test_a_failure_is_one_line_that_says_what_to_do(run: Run, words: list[object]) -> None:
    said = run(*words)
    assert (said.status, said.out) == (1, "")
    assert len(said.err.splitlines()) == 1
    assert said.err.count(".") >= 1
    refused = run(*words, "--json")
    assert (refused.status, refused.err) == (1, said.err)
    error = refused.document["error"]
    assert f"{error['message']} {error['hint']}".split() == said.err.split() and error["code"]


TRAIN = ("train", "--photos", GOOD[0], "--name", "a")
COMPARE = ("compare", "--photos", GOOD[0], "--name", "a", "--out", "o")


@pytest.mark.parametrize(("words", "complaint"), [
    (["train", "--photos", GOOD[0], "--name", " "], "The name must have 1 to 80 characters."),
    (["train", "--photos", GOOD[0], "--name", "A\x1b[31mred"], "The name holds a line break, a tab or another control"),
    ([*TRAIN, "--set", "rank=0"], "rank must be in [1, 256], got '0'."),
    ([*TRAIN, "--set", "rank"], "'rank' is not of the form key=value."),
    ([*TRAIN, "--set", "rank=4", "rank=8"], "Given more than once: rank (4, 8)."),
    ([*TRAIN, "--goal", "anime", "--set", "goal=face"], "Given more than once: goal (anime, face)."),
    ([*TRAIN, "--method", "textual-inversion", "--set", "rank=4"], "rank is not a setting; there are: goal, steps,"),
    ([*TRAIN, "--class", "ink style", "--goal", "anime", "--set", "rank=ten", "steps=-1", "--photo-set", "padding=x"],
     "steps must be in [0, 20000], got '-1'; rank must be a whole number in [1, 256], got 'ten'; padding "),
    ([*COMPARE, "--set", "nosuch=1", "rank=ten", "steps=-1", "vectors=x"],
     "steps must be in [0, 20000], got '-1'; rank must be a whole number in [1, 256], got 'ten'; vectors must be a "
     "whole number in [1, 32], got 'x'; nosuch is not a setting; there are: goal, steps,"),
    (["compare", "--name", "a", "--out", "o", "--set", "rank=4"], "Without --photos nothing new is compared:"),
    ([*COMPARE, "--resume"], "--resume goes on with photos that are known."),
    (["generate", "--style", "oil-painting", "--out", "o"], "Nobody was named."), (["avatars", "erase"], "No avatar"),
    (["jobs", "show"], "No job was named."), (["gallery", "delete"], "Something is missing"),
    (["invent", "--out", "o"], "Nobody was described."),
])
def test_what_is_written_so_that_it_cannot_be_done_is_wrong_usage_and_told_at_once(
    run: Run, words: list[object], complaint: str
) -> None:
    said = run(*words, "--json")
    assert (said.status, said.document["error"]["code"]) == (2, "INVALID_SETTINGS")
    assert said.err.startswith(complaint) and len(said.err.splitlines()) == 1
    assert not Path("o").exists()


def test_photos_that_cannot_be_used_are_a_document_too(run: Run, tmp_path: Path) -> None:
    said = run("photos", "prepare", SAMPLES / "no-face.jpg", "--out", tmp_path / "out", "--json")
    assert (said.status, said.document["error"]["code"]) == (1, "TOO_FEW_PHOTOS")
    assert said.document["report"]["set"]["accepted"] == 0 and len(said.err.splitlines()) == 1


def test_a_failed_training_is_a_document_and_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DrawingHost, "__init__", lambda self, data, **rules: _with_learn(self, data, "sys.exit(3)"))
    said = run("train", "--photos", GOOD[0], "--name", "Anna", "--json")
    assert said.status == 1
    assert said.document["error"]["code"] == "CRASHED"
    assert "exit code 3" in said.err


def _with_learn(self: DrawingHost, data: Path, learn: str) -> None:
    standalone_host = DrawingHost.__mro__[1]
    standalone_host.__init__(self, data)  # type: ignore[misc]
    self.learn, self.requests = learn, []


def test_jobs_are_shown_and_pausing_is_refused(run: Run) -> None:
    job = run("train", "--photos", GOOD[0], "--name", "Anna", "--json").document["job"]
    assert job[:8] in run("jobs").out
    assert run("jobs", "show", job[:6], "--json").document["state"] == "succeeded"
    assert run("jobs", "pause", job).status == 1
    assert run("jobs", "cancel", job).status == 1


def test_a_job_must_be_named(run: Run) -> None:
    said = run("jobs", "show")
    assert (said.status, said.out) == (2, "")
    assert "Name the job" in said.err


@pytest.mark.slow
def test_doctor_says_what_is_there(run: Run) -> None:
    said = run("doctor", "--json")
    names = {finding["name"] for finding in said.document["findings"]}
    assert {"Python", "torch", "checkpoint", "yunet"} <= names
    assert said.status == (0 if said.document["usable"] else 1)
    assert "checkpoint" in run("doctor").out


def test_doctor_installs_the_second_engine_only_when_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(kohya, "install", lambda folder, say: asked.append(folder))
    run("doctor")
    assert asked == []
    run("doctor", "--install-kohya")
    assert asked == [data]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_paused_says_130_and_can_be_resumed(run: Run, data: Path, number: int) -> None:
    """In a process of its own, with a child that works until it is asked to end."""
    learn = PATIENT.replace('"result"', '"note"')
    program = (
        "import signal, sys; from personal_avatar.standalone import host; from personal_avatar.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's background job ignores it
        "from tests.unit.api.house import DrawingHost; "
        f"begin = lambda self, data, **more: DrawingHost.__init__(self, data, {learn!r}, **more); "
        "host.StandaloneHost = type('Host', (DrawingHost,), {'__init__': begin}); "
        f"sys.exit(main(['train', '--photos', {str(GOOD[0])!r}, '--name', 'Anna', '--data', {str(data)!r}, '--json']))"
    )
    child = subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not list(data.glob("jobs/*/events.jsonl")) and time.monotonic() < end:
        time.sleep(0.1)
    child.send_signal(number)
    out, said = child.communicate(timeout=90)
    assert child.returncode == 130, said
    document = json.loads(out)
    assert (document["state"], document["error"]) == ("paused", None)
    assert f"jobs resume {document['job'][:8]}" in said
    resumed = run("jobs", "resume", document["job"], "--json")
    assert (resumed.status, resumed.document["state"]) == (0, "succeeded")
    assert run("jobs", "resume", document["job"]).status == 1


class Screen:
    """A stream that says whether it is a terminal."""

    def __init__(self, tty: bool) -> None:
        self.tty, self.text = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_steps_are_drawn_under_their_own_name_after_a_checkpoint_was_judged() -> None:
    err, out = Screen(True), Screen(False)
    shown = Shown(Terminal(out=out, err=err), Path("data"))  # type: ignore[arg-type]
    events = (Stage("train"), Progress(50, 100), Stage("judge", within="train"), Progress(100, 100))
    for number, event in enumerate(events, start=1):
        shown(Record(number, 0.0, event))
    assert out.text.splitlines() == ["  Training", "  Saving and judging what was learned"]
    assert "judge" not in err.text and "train      " + "█" * 24 + " 100/100" in err.text


def test_progress_is_drawn_on_a_terminal_only() -> None:
    for tty in (True, False):
        screen = Screen(tty)
        with Bar("train", screen) as bar:  # type: ignore[arg-type]
            bar(0, 10)
            bar(10, 10)
        assert ("10/10" in screen.text) == tty
        assert bool(screen.text) == tty
