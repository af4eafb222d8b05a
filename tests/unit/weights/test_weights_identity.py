"""The weights of identities: large files, zips, sets; every entry complete."""
from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.errors import Cancelled, DiskFull, NotFound, WeightsCorrupt
from personal_avatar.weights import registry
from personal_avatar.weights.archive import unpack
from personal_avatar.weights.fetch import ensure, present
from personal_avatar.weights.nouns import Member, Weight
from weights_server import Server, serving

pytestmark = pytest.mark.slow

DETECTOR, RECOGNISER = b"detector" * 5000, b"recogniser" * 9000


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(zipped({"pack/a.onnx": DETECTOR, "pack/b.onnx": RECOGNISER, "../evil.txt": b"no"})) as running:
        yield running


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def member(path: str, data: bytes) -> Member:
    return Member(path, hashlib.sha256(data).hexdigest(), len(data))


def pack_of(server: Server) -> Weight:
    return replace(
        registry.BUFFALO, url=server.url, sha256=hashlib.sha256(server.data).hexdigest(),
        size_bytes=len(server.data), members=(member("pack/a.onnx", DETECTOR), member("pack/b.onnx", RECOGNISER)),
    )


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_the_wanted_files_come_out_of_a_zip_and_the_zip_goes(server: Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder = ensure(pack_of(server), data)
    assert files_in(tmp_path) == [f"data/insightface/models/buffalo_l/{name}.onnx" for name in "ab"]
    assert (folder / "b.onnx").read_bytes() == RECOGNISER and present(pack_of(server), data)
    ensure(pack_of(server), data)
    assert len(server.ranges) == 1


def test_a_damaged_file_of_a_pack_is_fetched_again(server: Server, tmp_path: Path) -> None:
    folder = ensure(pack_of(server), tmp_path)
    (folder / "a.onnx").write_bytes(DETECTOR[::-1])
    assert not present(pack_of(server), tmp_path)
    ensure(pack_of(server), tmp_path)
    assert (folder / "a.onnx").read_bytes() == DETECTOR


@pytest.mark.parametrize(
    "content",
    [b"no zip", zipped({}), zipped({"pack/a.onnx": DETECTOR[:-1]}), zipped({"pack/a.onnx": DETECTOR[::-1]})],
)
def test_a_zip_that_holds_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(WeightsCorrupt):
        unpack(tmp_path / "pack.zip", (member("pack/a.onnx", DETECTOR),), tmp_path / "out")
    assert files_in(tmp_path) == ["pack.zip"]


def test_a_torn_zip_is_refused(tmp_path: Path) -> None:
    whole = zipped({"pack/a.onnx": bytes(range(256)) * 500})
    middle = whole.index(b"a.onnx") + 40
    (tmp_path / "pack.zip").write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(WeightsCorrupt):
        unpack(tmp_path / "pack.zip", (member("pack/a.onnx", bytes(range(256)) * 500),), tmp_path / "out")


def plain(server: Server, **changes: object) -> Weight:
    known = {"url": server.url, "sha256": hashlib.sha256(server.data).hexdigest(), "size_bytes": len(server.data)}
    return replace(registry.FACEID_SDXL, **{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("difference", [-100, 0, 100])
def test_where_the_size_is_known_roughly_the_checksum_decides(difference: int, server: Server, tmp_path: Path) -> None:
    weight, steps = plain(server, size_bytes=len(server.data) + difference), []
    path = ensure(weight, tmp_path, lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == server.data and present(weight, tmp_path)
    assert (len(server.data), len(server.data)) in steps


def test_a_whole_part_of_roughly_known_size_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    weight = plain(server, size_bytes=1)
    (tmp_path / f"{weight.file_name}.part").write_bytes(server.data)
    assert ensure(weight, tmp_path).read_bytes() == server.data


def test_a_cancelled_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.data = bytes(5 * 2**20)
    weight = plain(server, exact_size=True)

    def stop(done: int, total: int) -> None:
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        ensure(weight, tmp_path, stop)
    ensure(weight, tmp_path)
    assert server.ranges == [None, f"bytes={2**20}-"]


def test_a_full_disk_is_told_before_anything_is_downloaded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(DiskFull, match="are free"):
        ensure(pack_of(server), tmp_path)
    assert server.ranges == []


def test_every_entry_can_be_fetched_and_says_what_it_is() -> None:
    for weight, line in zip(registry.IDENTITY, registry.licences(registry.IDENTITY), strict=True):
        assert weight.url is not None and weight.url.startswith("https://")
        for told in (weight.name, weight.size_text, weight.licence, weight.url, weight.sha256):
            assert told in line
        for sha256 in (weight.sha256, *(member.sha256 for member in weight.members)):
            assert len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")
    assert len({weight.file_name for weight in registry.IDENTITY}) == len(registry.IDENTITY)
    told = {weight.licence for weight in registry.IDENTITY if "FaceID" in weight.source}
    assert all("non-commercial" in licence for licence in told)


def test_a_set_is_fetched_by_its_name() -> None:
    assert registry.find_all("instantid") == registry.SETS["instantid"]
    assert registry.find_all("buffalo_l") == (registry.BUFFALO,)
    with pytest.raises(NotFound, match="instantid.*clip-vision-h"):
        registry.find_all("pulid")
