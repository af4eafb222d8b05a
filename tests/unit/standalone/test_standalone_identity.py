"""People put into pictures without a WebUI and without training: miniature networks, real models of faces."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature_adapters import make_adapter, make_clip_vision, make_face_pack, make_identitynet
from miniatures import make
from personal_avatar.domain import Face, Family
from personal_avatar.errors import BaseUnsupported, Cancelled, NoFace, WeightsMissing
from personal_avatar.faces.analyser import Analyser
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.pictures import covering, load_picture
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import second_pass

pytestmark = pytest.mark.slow  # loads models of faces

REQUEST = PictureRequest("a portrait of a person", "ugly", (7,), 64, 64, steps=4, guidance=4.0)
FAMILIES = ("sd1", "sdxl")
GREY_LEVELS = 3


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Iterator[StandaloneHost]:
    """A host with a miniature checkpoint of each family and all networks for identity."""
    host = StandaloneHost(tmp_path_factory.mktemp("home"))
    folders = host.folders()
    for family in Family:
        make(family, folders.checkpoints, name=family.value)
    ours, face_models = folders.identity_folders[:2]
    make_face_pack(face_models / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    make_adapter(AdapterKind.INSTANTID, Family.SDXL, ours)
    make_identitynet(ours / "instantid")
    for family in (Family.SD1, Family.SDXL):
        make_adapter(AdapterKind.FACEID_PLUS_V2, family, ours)
    make_clip_vision(ours / "image_encoder")
    yield host
    host.unload()


@pytest.fixture(scope="module")
def photos(samples: Path) -> dict[str, np.ndarray]:
    return {name: load_picture(samples / f"{name}.jpg") for name in ("01", "04", "someone-else", "no-face")}


def pictures(host: StandaloneHost, family: str, request: PictureRequest = REQUEST) -> list[Picture]:
    host.choose_checkpoint(family)
    return list(host.generate(request, lambda step, total: None))


def of(*photos: np.ndarray, **settings: object) -> PictureRequest:
    return replace(REQUEST, identity=IdentityRequest(IdentitySettings(**settings), (Subject(photos),)))


def distance(one: Picture, other: Picture) -> float:
    return float(np.abs(one.image.astype(int) - other.image.astype(int)).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_picture_follows_the_photo(
    host: StandaloneHost, photos: dict[str, np.ndarray], family: str
) -> None:
    (plain,), (anna,), (again,), (other,) = (
        pictures(host, family, request)
        for request in (REQUEST, of(photos["01"]), of(photos["01"]), of(photos["someone-else"]))
    )
    assert np.array_equal(anna.image, again.image)
    assert distance(plain, anna) > 1 < distance(anna, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_weight_it_is_the_plain_picture_and_nothing_stays_behind(
    host: StandaloneHost, photos: dict[str, np.ndarray], family: str
) -> None:
    (before,) = pictures(host, family)
    (nothing,) = pictures(host, family, of(photos["01"], adapter_weight=0.0, identitynet_weight=0.0))
    pictures(host, family, of(photos["01"]))
    (after,) = pictures(host, family)
    assert np.array_equal(before.image, nothing.image) and np.array_equal(before.image, after.image)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_exception_on_the_way_leaves_the_checkpoint_as_it_was(
    host: StandaloneHost, photos: dict[str, np.ndarray], family: str
) -> None:
    (before,) = pictures(host, family)

    def stop(step: int, total: int) -> None:
        if step == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(host.generate(of(photos["01"]), stop))
    unet = host._pipelines._applied.model.unet  # type: ignore[union-attr]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())
    assert np.array_equal(before.image, pictures(host, family)[0].image)


@pytest.mark.parametrize("prompt", [REQUEST.prompt, "a red hat, " * 30])
@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_of_a_batch_are_the_same_as_alone(
    host: StandaloneHost, photos: dict[str, np.ndarray], family: str, prompt: str
) -> None:
    request = replace(of(photos["01"]), prompt=prompt)
    _, second, _ = pictures(host, family, replace(request, seeds=(6, 7, 8)))
    (alone,) = pictures(host, family, request)
    assert np.abs(alone.image.astype(int) - second.image).max() <= GREY_LEVELS


def test_without_guidance_every_row_is_the_persons(host: StandaloneHost, photos: dict[str, np.ndarray]) -> None:
    (plain,), (anna,) = (
        pictures(host, "sdxl", replace(request, guidance=1.0)) for request in (REQUEST, of(photos["01"]))
    )
    assert distance(plain, anna) > 1


def test_a_span_that_ends_early_counts_less(host: StandaloneHost, photos: dict[str, np.ndarray]) -> None:
    (plain,), (never,), (short,), (whole,) = (
        pictures(host, "sdxl", request) for request in (
            REQUEST, of(photos["01"], end=0.0, identitynet_end=0.0), of(photos["01"], end=0.5, identitynet_end=0.5),
            of(photos["01"]),
        )
    )
    assert np.array_equal(plain.image, never.image)
    assert distance(short, whole) > 0.3 < distance(short, plain)


def test_the_photo_that_is_painted_anew_gives_the_pose(host: StandaloneHost, photos: dict[str, np.ndarray]) -> None:
    request = replace(of(photos["01"]), image=photos["04"], strength=0.9, width_px=128, height_px=128)
    (posed,) = pictures(host, "sdxl", request)
    assert request.identity is not None
    settings = request.identity.settings.copy(update={"keypoints": "reference"})
    (own,) = pictures(host, "sdxl", replace(request, identity=replace(request.identity, settings=settings)))
    said = replace(request.identity, keypoints_image=covering(photos["04"], 128, 128))
    (explicit,) = pictures(host, "sdxl", replace(request, identity=said))
    assert posed.image.shape == (128, 128, 3)
    assert distance(posed, own) > 0.1
    assert np.array_equal(posed.image, explicit.image)


def test_the_infotext_says_who_by_a_hash_and_how(host: StandaloneHost, photos: dict[str, np.ndarray]) -> None:
    (made,) = pictures(host, "sdxl", of(photos["01"], adapter_weight=0.7))
    assert "Personal Avatar identity: instantid" in made.infotext and "0.7" in made.infotext
    (other,) = pictures(host, "sdxl", of(photos["someone-else"], adapter_weight=0.7))
    assert made.infotext != other.infotext


def test_small_faces_are_painted_anew_and_all_else_keeps_its_bytes(
    host: StandaloneHost, photos: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that have learned nothing make a face less like the person: it is put back, unless nobody looks."""
    request = replace(of(photos["01"]), image=photos["04"], strength=0.0, width_px=256, height_px=256)
    assert request.identity is not None
    settings = request.identity.settings.copy(update={"second_pass": True, "second_pass_strength": 0.9})
    again = replace(request, identity=replace(request.identity, settings=settings))
    (once,), (refused,) = pictures(host, "sd1", request), pictures(host, "sd1", again)
    assert "Personal Avatar second pass faces: 0" in refused.infotext and np.array_equal(refused.image, once.image)
    monkeypatch.setattr(second_pass, "_likeness", lambda *seen: 1.0)
    (twice,) = pictures(host, "sd1", again)
    changed = np.abs(once.image.astype(int) - twice.image).max(axis=2) > 0
    assert "Personal Avatar second pass faces: 1" in twice.infotext
    assert 0.02 < changed.mean() < 0.8
    assert not changed[:4].any() and not changed[:, :4].any()


def test_what_cannot_work_is_told_by_name(
    host: StandaloneHost, photos: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(BaseUnsupported, match=r"2\.x"):
        pictures(host, "sd2", of(photos["01"]))
    with pytest.raises(NoFace):
        pictures(host, "sdxl", of(photos["no-face"]))
    bare = StandaloneHost(tmp_path)
    with pytest.raises(WeightsMissing, match="ip-adapter"):
        list(bare.generate(of(photos["01"]), lambda step, total: None))


def test_switched_off_it_costs_and_says_nothing(host: StandaloneHost, photos: dict[str, np.ndarray]) -> None:
    (off,), (plain,) = pictures(host, "sdxl", of(photos["no-face"], enabled=False)), pictures(host, "sdxl")
    assert np.array_equal(off.image, plain.image) and off.infotext == plain.infotext


def test_twenty_changes_of_the_photo_leave_no_tensor_behind(
    host: StandaloneHost, photos: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, faces, look = [], [], Analyser.most_prominent

    def seen_once(analyser: Analyser, image: np.ndarray) -> Face | None:
        faces[:] = faces or [look(analyser, image)]
        return faces[0]

    monkeypatch.setattr(Analyser, "most_prominent", seen_once)
    for number in range(20):
        photo = covering(photos["01"], 256, 256).copy()
        photo[:2] = number  # another photo of the same face
        pictures(host, "sdxl", replace(of(photo), steps=1))
        if number in (1, 19):
            gc.collect()
            counts.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
    assert counts[1] <= counts[0]
