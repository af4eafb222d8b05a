"""Adapters come out of their files as they went in, whatever the layout, and a pickle is converted once."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from miniature_adapters import NAMES, make_adapter, nested
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.identity import reading
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights
from personal_avatar.identity.reading import read_adapter
from safetensors.torch import load_file, save_file

FACEID = (AdapterKind.FACEID, Family.SD1)


def flat(weights: AdapterWeights) -> dict[str, torch.Tensor]:
    """Back to the names of a flat file."""
    found = {f"image_proj.{name}": tensor for name, tensor in weights.projection.items()}
    for number, (key, value) in weights.attention.items():
        found |= {f"ip_adapter.{number}.to_k_ip.weight": key, f"ip_adapter.{number}.to_v_ip.weight": value}
    for number, parts in weights.lora.items():
        for part, pair in parts.items():
            for half, tensor in zip(("down", "up"), pair, strict=True):
                found[f"ip_adapter.{number}.{part}_lora.{half}.weight"] = tensor
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


@pytest.mark.parametrize(("kind", "family"), NAMES)
def test_nothing_is_lost_in_any_layout(kind: AdapterKind, family: Family, tmp_path: Path) -> None:
    expected = load_file(make_adapter(kind, family, tmp_path, half=True))
    pickled = make_adapter(kind, family, tmp_path, suffix=".bin", half=True)
    for path in (pickled, pickled, pickled.with_suffix(".safetensors")):
        read = read_adapter(path, tmp_path / "cache")
        assert (read.kind, read.family, read.path) == (kind, family, path)
        assert same(flat(read), expected)
        assert list(read.attention) == sorted(read.attention) and all(number % 2 for number in read.attention)


def test_a_pickle_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "cache"
    first = flat(read_adapter(path, cache))
    monkeypatch.setattr(reading.pickles, "read_pickle", lambda *_: pytest.fail("opened again"))
    assert same(flat(read_adapter(path, cache)), first)
    (kept,) = cache.iterdir()
    assert same(load_file(kept), first)


def test_another_file_under_the_same_name_is_not_mistaken(tmp_path: Path) -> None:
    path, cache = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "cache"
    old = flat(read_adapter(path, cache))
    make_adapter(*FACEID, tmp_path, suffix=".bin", seed=1)
    os.utime(path, ns=(1, 1))
    assert not same(flat(read_adapter(path, cache)), old)
    assert len(list(cache.iterdir())) == 1  # the old version is gone
    shutil.copytree(tmp_path, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("cache", "elsewhere"))
    make_adapter(*FACEID, tmp_path / "elsewhere", suffix=".bin", seed=2)
    read_adapter(tmp_path / "elsewhere" / path.name, cache)
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    path, cache = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "cache"
    first = flat(read_adapter(path, cache))
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert same(flat(read_adapter(path, cache)), first)
    assert same(load_file(kept), first)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    assert read_adapter(path, cache).attention
    assert "could not be kept" in caplog.text and path.name in caplog.text


def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "cache"

    def full(tensors: object, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    assert read_adapter(path, cache).attention
    assert list(cache.iterdir()) == [] and "No space left" in caplog.text


def test_views_into_one_large_tensor_are_kept_too(tmp_path: Path) -> None:
    weights = nested(load_file(make_adapter(*FACEID, tmp_path)))
    key = weights["ip_adapter"]["1.to_k_ip.weight"]
    both = torch.cat([key, key + 1])
    weights["ip_adapter"] |= {"1.to_k_ip.weight": both[: len(key)], "1.to_v_ip.weight": both[len(key) :]}
    path = tmp_path / "ip-adapter-faceid_sd15.bin"
    torch.save(weights, path)
    for _ in range(2):
        found = read_adapter(path, tmp_path / "cache").attention[1]
        assert torch.equal(found[0], key) and torch.equal(found[1], key + 1)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_flat_names_in_a_pickle_are_understood(tmp_path: Path) -> None:
    weights = load_file(make_adapter(*FACEID, tmp_path))
    torch.save(weights, tmp_path / "faceid_sd15.bin")
    assert same(flat(read_adapter(tmp_path / "faceid_sd15.bin", tmp_path / "cache")), weights)


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_hostile_file_is_refused_and_does_nothing(tmp_path: Path) -> None:
    path, trace = make_adapter(*FACEID, tmp_path, suffix=".bin"), tmp_path / "ran"
    weights = torch.load(path, weights_only=True)
    torch.save({**weights, "more": Runs(trace)}, path)
    with pytest.raises(WeightsCorrupt, match=path.name) as caught:
        read_adapter(path, tmp_path / "cache")
    assert not trace.exists() and str(path) in caught.value.hint


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_torn_file_is_named_with_the_remedy(suffix: str, tmp_path: Path) -> None:
    path = make_adapter(*FACEID, tmp_path, suffix=suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsCorrupt, match=path.name) as caught:
        read_adapter(path, tmp_path / "cache")
    assert "download" in caught.value.hint


def test_a_file_that_lacks_a_half_is_named(tmp_path: Path) -> None:
    path = make_adapter(*FACEID, tmp_path)
    weights = load_file(path)
    del weights["ip_adapter.1.to_v_ip.weight"]
    save_file(weights, path)
    with pytest.raises(WeightsCorrupt, match="lacks a part"):
        read_adapter(path, tmp_path / "cache")


KEY, VALUE = "ip_adapter.1.to_k_ip.weight", "ip_adapter.1.to_v_ip.weight"
DOWN = "ip_adapter.1.to_k_lora.down.weight"
MISFITS = {
    "values narrower than keys": {VALUE: (64, 24)}, "fewer values than keys": {VALUE: (56, 32)},
    "one side only": {KEY: (64,), VALUE: (64,)}, "another rank": {DOWN: (3, 32)}, "a flat rank": {DOWN: (4,)},
}


@pytest.mark.parametrize("why", MISFITS)
def test_a_file_whose_parts_do_not_fit_each_other_is_named(why: str, tmp_path: Path) -> None:
    path = make_adapter(*FACEID, tmp_path)
    save_file(load_file(path) | {name: torch.ones(shape) for name, shape in MISFITS[why].items()}, path)
    with pytest.raises(WeightsCorrupt, match=r"faceid_sd15\.safetensors .* do not fit each other \(attention 1\)"):
        read_adapter(path, tmp_path / "cache")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [VALUE, "image_proj.norm.bias"])
def test_a_file_that_holds_what_is_no_number_is_named(name: str, number: float, tmp_path: Path) -> None:
    path = make_adapter(*FACEID, tmp_path, half=True)
    weights = load_file(path)
    weights[name].view(-1)[3] = number
    save_file(weights, path)
    with pytest.raises(WeightsCorrupt, match=rf"faceid_sd15\.safetensors holds NaN or infinite values \({name}\)"):
        read_adapter(path, tmp_path / "cache")


def test_something_else_is_refused_by_name(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(4, 4)}, tmp_path / "style.safetensors")
    with pytest.raises(BaseUnsupported, match=r"style\.safetensors is a LoRA"):
        read_adapter(tmp_path / "style.safetensors", tmp_path / "cache")


def test_who_knows_the_checkpoint_says_what_the_file_does_not(tmp_path: Path) -> None:
    path = make_adapter(*FACEID, tmp_path).rename(tmp_path / "face.safetensors")
    assert read_adapter(path, tmp_path, Family.SD1).family is Family.SD1
    assert read_adapter(path, tmp_path, Family.SDXL).family is Family.SDXL


@given(data=st.binary(max_size=300), suffix=st.sampled_from([".safetensors", ".bin", ".pth"]))
def test_no_bytes_break_it(data: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / f"a{suffix}").write_bytes(data)
    with pytest.raises((WeightsCorrupt, BaseUnsupported), match=f"a{suffix}"):
        read_adapter(folder / f"a{suffix}", folder / "cache")
