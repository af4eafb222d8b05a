"""Where install.py looks before the WebUI is there; one at a time; what pip's words mean."""
from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.environment import places
from personal_avatar.environment.interpreter import normal
from personal_avatar.environment.pip_errors import named_failure
from personal_avatar.environment.turn import turn
from personal_avatar.errors import DiskFull, PipFailed, WouldMove

import preload

EXTENSION = Path("/home/me/webui/extensions/personal-avatar")
CWD = Path("/home/me/webui")
HOLD = """
import sys, time
from pathlib import Path
from personal_avatar.environment.turn import turn
with turn(Path(sys.argv[1]), 1.0):
    sys.stdout.write("held\\n"); sys.stdout.flush(); time.sleep(60)
"""


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ([], "/home/me/webui/personal-avatar"),
        (["--api", "--data-dir", "/big/data"], "/big/data/personal-avatar"),
        (["--avatar-data-dir=/big/avatars", "--data-dir", "/big/data"], "/big/avatars"),
        (["--avatar-data-dir", "avatars"], "/home/me/webui/avatars"),
    ],
)
def test_the_data_folder_follows_the_flags_of_the_webui(words: list[str], folder: str) -> None:
    assert places.data_folder(EXTENSION, words, CWD) == Path(folder)


def test_an_extension_in_another_data_path_keeps_its_data_there() -> None:
    assert places.data_folder(Path("/big/data/extensions/pa"), [], CWD) == Path("/big/data/personal-avatar")


def test_flags_come_from_the_launcher_and_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMANDLINE_ARGS", "--api --avatar-data-dir '/with space'")
    assert places.data_folder(EXTENSION, places.launch_words(), CWD) == Path("/with space")
    monkeypatch.setenv("COMMANDLINE_ARGS", "an open 'quote")
    assert places.launch_words() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell")
def test_flags_of_a_launcher_further_up_are_found(tmp_path: Path) -> None:
    launcher = tmp_path / "launch.py"
    ask = "from personal_avatar.environment import places; print(places.launch_words(), end='')"
    launcher.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ask!r}])\n")
    package = str(Path(places.__file__).parents[2])
    command = [sys.executable, str(launcher), "--avatar-data-dir", "/x"]
    said = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": package}, check=True).stdout
    assert said == "['--avatar-data-dir', '/x']"


def test_the_flags_of_preload_are_harmless_and_default_to_nothing() -> None:
    parser = argparse.ArgumentParser()
    preload.preload(parser)
    assert vars(parser.parse_args([])) == {"avatar_data_dir": None}


def test_a_second_copy_of_the_extension_may_preload_too() -> None:
    parser = argparse.ArgumentParser()
    preload.preload(parser)
    preload.preload(parser)
    assert parser.parse_args(["--avatar-data-dir", "/x"]).avatar_data_dir == "/x"


def test_one_at_a_time_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "install.lock"
    package = str(Path(places.__file__).parents[2])
    command = [sys.executable, "-c", HOLD, str(file)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": package})
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(PipFailed, match="Another WebUI"), turn(file, 0.3):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with turn(file, 5.0):
        pass


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        ("OSError: [Errno 28] No space left on device", DiskFull, "disk is full"),
        ("Could not find a version of x (from versions: none)", PipFailed, "could not be reached"),
        ("No matching distribution found for onnxruntime<2", PipFailed, "no ready-made package of onnxruntime<2"),
        ("The user requested (constraint) numpy==1.26.2\nResolutionImpossible", WouldMove, "numpy==1.26.2"),
        ("error: externally-managed-environment", PipFailed, "may not write"),
        ("Usage:\n  pip install [options]\n\nno such option: --dry-run", PipFailed, "pip is too old"),
        ("", PipFailed, "pip failed"),
    ],
)
def test_what_pip_says_becomes_one_sentence_with_advice(output: str, kind: type, words: str) -> None:
    error = named_failure(output, ["install", "x"])
    assert type(error) is kind and words in error.message and error.hint


@given(st.text(alphabet="abcXYZ019-_.", min_size=1))
def test_the_normal_form_of_a_name_is_stable(name: str) -> None:
    assert normal(normal(name)) == normal(name) == normal(name.upper())
