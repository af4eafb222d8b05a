"""Pipes, devices and sockets in the place of files: refused by name, as reading them might never end."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.avatars import AvatarStore
from personal_avatar.captions.files import own_caption
from personal_avatar.errors import AvatarError, BadInput, UnreadablePhoto
from personal_avatar.networks import read_header
from personal_avatar.photos.read import read_photo
from personal_avatar.pictures import load_picture
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import sha256_of
from personal_avatar.studio import pictures_in

from tests.unit.command_line import ENVIRONMENT

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
LIMIT_S = 20
PHOTO = Path(__file__).parents[3] / "extension" / "personal_avatar" / "assets" / "samples" / "01.jpg"


@pytest.fixture(autouse=True)
def at_most() -> Iterator[None]:
    def over(*_: object) -> None:
        raise TimeoutError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def special(kind: str, folder: Path) -> Path:
    path = folder / "pipe.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_ordinary_file_is_refused_by_its_name(kind: str, tmp_path: Path) -> None:
    path = special(kind, tmp_path)
    with pytest.raises(BadInput, match=r"pipe\.jpg cannot be read: it is no ordinary file") as caught:
        pictures_in([PHOTO, path])
    assert "name that one" in (caught.value.hint or "")
    for read in (read_photo, load_picture):
        with pytest.raises(UnreadablePhoto, match="no ordinary file"):
            read(path)
    with pytest.raises(OSError, match="no ordinary file"):
        sha256_of(path)


def test_a_folder_with_a_pipe_gives_its_photos(tmp_path: Path) -> None:
    special("pipe", tmp_path)
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    assert pictures_in([tmp_path]) == [tmp_path / "photo.jpg"]


def test_a_caption_that_is_a_pipe_is_named_and_its_photo_kept(tmp_path: Path) -> None:
    photo = Path(shutil.copy(PHOTO, tmp_path / "photo.jpg"))
    os.mkfifo(photo.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"photo\.txt cannot be read \(it is no ordinary file"):
        own_caption(photo, "sks")
    store = AvatarStore(tmp_path / "avatars")
    avatar = store.open("Anna", user_id="local", class_noun="woman", statement="She agreed.")
    (kept,) = store.add_photos(avatar, pictures_in([tmp_path]))
    assert kept.read_bytes() == photo.read_bytes()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pt"])
def test_a_checkpoint_or_network_that_is_a_pipe_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    assert read_header(path) is None
    with pytest.raises(AvatarError, match="pipe"):
        StandaloneHost(tmp_path / "data").try_checkpoint(str(path))


@pytest.mark.slow
def test_the_command_line_ends_when_a_photo_is_a_pipe(tmp_path: Path) -> None:
    words = ["train", "--photos", special("pipe", tmp_path), "--name", "Anna", "--data", tmp_path / "data"]
    done = subprocess.run([sys.executable, "-m", "personal_avatar", *map(str, words)], env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1 and "pipe.jpg cannot be read: it is no ordinary file" in done.stderr
