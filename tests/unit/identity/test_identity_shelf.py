"""Files are found where users put them, the right one is chosen, and what is missing is said with all that helps."""
from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from miniature_adapters import PACKS, make_adapter, make_clip_vision, make_identitynet
from personal_avatar.domain import Family
from personal_avatar.errors import AvatarError, BaseUnsupported, NotFound, WeightsCorrupt, WeightsMissing
from personal_avatar.identities import IdentitySettings
from personal_avatar.identity import listing
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.identity.shelf import Shelf
from personal_avatar.weights import registry
from safetensors.torch import save_file

AUTO = IdentitySettings()
INSTANTID = (AdapterKind.INSTANTID, Family.SDXL)
XL_FACEID = (AdapterKind.FACEID, Family.SDXL)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identitynet(tmp_path_factory.mktemp("net"))


def pack(folder: Path, name: str) -> Path:
    """Empty files are enough to be found."""
    place = folder / "insightface" / "models" / name
    place.mkdir(parents=True)
    for file in PACKS[name]:
        (place / file).touch()
    return place


def clip_of(width: int) -> dict[str, torch.Tensor]:
    """As little of a CLIP that sees as it is told by."""
    embeddings = "vision_model.embeddings."
    return {
        f"{embeddings}patch_embedding.weight": torch.zeros(width, 3, 1, 1),
        f"{embeddings}class_embedding": torch.zeros(width),
    }


def put_net(net: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(net, target))


@pytest.mark.parametrize("place", [
    "ControlNet", "ipadapter", "instantid", "ControlNet/InstantID", "extensions/sd-webui-controlnet/models", "",
])  # fmt: skip
def test_adapters_are_found_wherever_users_put_them(place: str, tmp_path: Path) -> None:
    path = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path / place, suffix=".bin")
    (found,) = Shelf([tmp_path / "absent", tmp_path]).adapters(Family.SD1)
    assert (found.path, found.kind, found.family) == (path, AdapterKind.FACEID, Family.SD1)
    assert found.size == path.stat().st_size
    assert Shelf([tmp_path]).adapters(Family.SDXL) == ()


def test_folders_of_other_things_are_not_entered(tmp_path: Path) -> None:
    for place in ("Stable-diffusion", "Lora", ".git", "a/b/c/d/e/f"):
        make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path / place)
    assert Shelf([tmp_path]).adapters(Family.SD1) == ()


def test_a_link_in_a_circle_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    path = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path / "ipadapter")
    assert Shelf([tmp_path]).choose(AUTO, Family.SD1).path == path


def test_the_best_kind_comes_first(tmp_path: Path) -> None:
    kinds = [kind for kind in AdapterKind if kind not in (AdapterKind.INSTANTID, AdapterKind.FACEID_PORTRAIT_UNNORM)]
    for kind in kinds:
        make_adapter(kind, Family.SD1, tmp_path)
    shelf = Shelf([tmp_path])
    found = [file.kind.value for file in shelf.adapters(Family.SD1)]
    assert found == ["faceid-plus-v2", "faceid-plus", "faceid", "faceid-portrait"]
    assert shelf.choose(AUTO, Family.SD1).kind is AdapterKind.FACEID  # there is no CLIP
    make_clip_vision(tmp_path / "clip_vision")
    assert shelf.choose(AUTO, Family.SD1).kind is AdapterKind.FACEID_PLUS_V2


def test_instantid_is_chosen_when_all_of_it_is_there(net: Path, tmp_path: Path) -> None:
    shelf = Shelf([tmp_path])
    make_adapter(*XL_FACEID, tmp_path)
    make_adapter(*INSTANTID, tmp_path)
    assert shelf.choose(AUTO, Family.SDXL).kind is AdapterKind.FACEID
    put_net(net, tmp_path / "ControlNet" / "control_instant_id_sdxl.safetensors")
    assert shelf.choose(AUTO, Family.SDXL).kind is AdapterKind.FACEID
    pack(tmp_path, "antelopev2")
    assert shelf.choose(AUTO, Family.SDXL).kind is AdapterKind.INSTANTID
    assert shelf.choose(IdentitySettings(method="faceid"), Family.SDXL).kind is AdapterKind.FACEID


def test_the_identity_net_is_not_mistaken_for_another_control_net(net: Path, tmp_path: Path) -> None:
    home = tmp_path / "instantid and more" / "models"  # what is above the folder says nothing
    put_net(net, home / "control_canny_sdxl.safetensors")
    with pytest.raises(WeightsMissing):
        Shelf([home]).identitynet()
    own = put_net(net, home / "instantid" / "ControlNetModel" / "diffusion_pytorch_model.safetensors")
    assert Shelf([home]).identitynet() == own
    assert Shelf([home / "instantid"]).identitynet() == own
    put_net(net, home / "instantid" / "control-depth.safetensors")  # a companion of InstantID's demo
    assert Shelf([home]).identitynet() == own


def test_packs_of_faces_are_found_in_every_layout(tmp_path: Path) -> None:
    for number, name in enumerate(PACKS):
        with pytest.raises(WeightsMissing, match=name):
            Shelf([tmp_path]).face_pack(name)
        place = pack(tmp_path / str(number), name)
        assert Shelf([tmp_path]).face_pack(name).recogniser == place / PACKS[name][1]
    pack(tmp_path / "sd-webui-controlnet" / "annotator" / "downloads", "buffalo_l")
    assert Shelf([tmp_path / "sd-webui-controlnet"]).face_pack("buffalo_l").detector.is_file()
    deeper = tmp_path / "two" / "antelopev2" / "antelopev2"  # as its zip is often unpacked
    deeper.parent.mkdir(parents=True)
    shutil.move(str(tmp_path / "0" / "insightface" / "models" / "antelopev2"), deeper)
    assert Shelf([tmp_path]).face_pack("antelopev2").detector.parent == deeper


def test_only_clip_h_is_taken(tmp_path: Path) -> None:
    save_file(clip_of(1664), tmp_path / "bigG.safetensors")
    save_file(clip_of(1408), tmp_path / "g.safetensors")
    with pytest.raises(WeightsMissing, match="image_encoder"):
        Shelf([tmp_path]).clip_vision()
    torch.save(clip_of(1280), tmp_path / "clip_h.pth")
    assert Shelf([tmp_path]).clip_vision() == tmp_path / "clip_h.pth"


def test_a_siglip_does_not_stand_in_for_clip(tmp_path: Path) -> None:
    """Users of Flux Redux have one in models/clip_vision."""
    patches = "vision_model.embeddings.patch_embedding.weight"
    save_file({patches: torch.zeros(1152, 3, 1, 1)}, tmp_path / "sigclip_vision_patch14_384.safetensors")
    make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path)
    make_adapter(AdapterKind.FACEID_PLUS_V2, Family.SD1, tmp_path)
    assert Shelf([tmp_path]).choose(AUTO, Family.SD1).kind is AdapterKind.FACEID
    with pytest.raises(WeightsMissing, match="image_encoder"):
        Shelf([tmp_path]).clip_vision()


@pytest.mark.parametrize("name", ["ip-adapter-faceid_sd15.bin", "ip-adapter-faceid_sd15", "IP-Adapter-FaceID_SD15.bin"])
def test_a_file_is_chosen_by_its_name(name: str, tmp_path: Path) -> None:
    make_adapter(AdapterKind.FACEID_PORTRAIT, Family.SD1, tmp_path, suffix=".bin")
    path = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path, suffix=".bin")
    assert Shelf([tmp_path]).choose(IdentitySettings(adapter=name), Family.SD1).path == path


def test_a_name_that_cannot_be_used_is_explained(net: Path, tmp_path: Path) -> None:
    shelf = Shelf([tmp_path])
    make_adapter(*XL_FACEID, tmp_path)
    put_net(net, tmp_path / "control_depth_sdxl.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    told: dict[str, type[AvatarError]] = {
        "ip-adapter-faceid_sdxl": BaseUnsupported, "control_depth_sdxl": BaseUnsupported, "torn": WeightsCorrupt,
        "absent": NotFound, "../ip-adapter-faceid_sdxl": NotFound,
    }
    for name, kind in told.items():
        with pytest.raises(kind, match=name.removeprefix("../")):
            shelf.choose(IdentitySettings(adapter=name), Family.SD1)


def test_a_file_without_a_telling_name_is_there_for_every_family(tmp_path: Path) -> None:
    make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path).rename(tmp_path / "face.safetensors")
    for family in (Family.SD1, Family.SDXL):
        assert Shelf([tmp_path]).choose(IdentitySettings(method="faceid"), family).family is family


def test_families_without_adapters_are_told_which_have_some(tmp_path: Path) -> None:
    with pytest.raises(BaseUnsupported, match="Stable Diffusion 2") as caught:
        Shelf([tmp_path]).choose(AUTO, Family.SD2)
    assert "1.x or XL" in caught.value.hint
    with pytest.raises(BaseUnsupported, match="InstantID is for Stable Diffusion XL"):
        Shelf([tmp_path]).choose(IdentitySettings(method="instantid"), Family.SD1)


@pytest.mark.parametrize(
    ("method", "family", "name"),
    [("auto", Family.SDXL, "instantid"), ("faceid", Family.SDXL, "faceid-sdxl"), ("auto", Family.SD1, "faceid-sd15")],
)
def test_what_is_missing_is_said_with_place_address_size_and_licence(
    method: str, family: Family, name: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissing) as caught:
        Shelf([tmp_path / "ours", tmp_path]).choose(IdentitySettings(method=method), family)
    for weight in registry.SETS[name]:
        assert weight.file_name in caught.value.message
        for told in (weight.url or "", weight.size_text, weight.licence, str(tmp_path / "ours" / weight.file_name)):
            assert told in caught.value.hint
    assert f"doctor --fetch {name}`" in caught.value.hint
    assert caught.value.weights == tuple(weight.name for weight in registry.SETS[name])


def test_only_what_lacks_is_asked_for(net: Path, tmp_path: Path) -> None:
    pack(tmp_path, "antelopev2")
    with pytest.raises(WeightsMissing) as caught:
        Shelf([tmp_path]).choose(IdentitySettings(method="instantid"), Family.SDXL)
    assert "antelopev2" not in str(caught.value)
    assert "--fetch instantid-adapter instantid-net`" in caught.value.hint


def test_what_was_fetched_is_found(net: Path, tmp_path: Path) -> None:
    make_adapter(*INSTANTID, tmp_path).rename(tmp_path / "a.safetensors")
    for weight, source in ((registry.INSTANTID_ADAPTER, tmp_path / "a.safetensors"), (registry.INSTANTID_NET, net)):
        target = (tmp_path / "ours" / weight.file_name).with_suffix(".safetensors")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for member in registry.ANTELOPE.members:
        target = tmp_path / "ours" / registry.ANTELOPE.file_name / member.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    shelf = Shelf([tmp_path / "ours"])
    assert shelf.choose(AUTO, Family.SDXL).kind is AdapterKind.INSTANTID
    assert shelf.identitynet().parent.name == "ControlNetModel"
    assert shelf.face_pack("antelopev2").detector.name == "scrfd_10g_bnkps.onnx"


def test_a_file_that_is_replaced_is_looked_at_again(tmp_path: Path) -> None:
    path = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path)
    assert Shelf([tmp_path]).adapters(Family.SD1)
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, path)
    assert Shelf([tmp_path]).adapters(Family.SD1) == ()


def test_hundreds_of_files_cost_no_noticeable_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_adapter(AdapterKind.FACEID, Family.SD1, tmp_path)
    for number in range(500):
        os.link(first, tmp_path / f"{number}.safetensors")
    shelf = Shelf([tmp_path])
    assert len(shelf.adapters(Family.SD1)) == 501
    monkeypatch.setattr(listing, "read_shapes", lambda path: pytest.fail("read again"))
    started = time.perf_counter()
    assert len(shelf.adapters(Family.SD1)) == 501
    assert time.perf_counter() - started < 0.5


def test_all_parts_of_a_generation_are_told(net: Path, tmp_path: Path) -> None:
    adapter = make_adapter(*INSTANTID, tmp_path)
    own = put_net(net, tmp_path / "control_instant_id_sdxl.safetensors")
    shelf = Shelf([tmp_path])
    with pytest.raises(WeightsMissing, match="antelopev2"):
        shelf.parts(IdentitySettings(method="instantid"), Family.SDXL)
    place = pack(tmp_path, "antelopev2")
    models = tuple(place / name for name in PACKS["antelopev2"])
    assert shelf.parts(AUTO, Family.SDXL) == (adapter, own, *models)
