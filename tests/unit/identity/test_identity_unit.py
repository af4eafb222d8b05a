"""Photos and settings in, what goes into a UNet out: with miniature networks and real models of faces."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature_adapters import make_adapter, make_clip_vision, make_face_pack, make_identitynet
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported, InvalidSettings, NoFace, WeightsMissing
from personal_avatar.faces.analyser import Analyser
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity import clip
from personal_avatar.identity import unit as unit_module
from personal_avatar.identity.nouns import AdapterKind, Reference, Target
from personal_avatar.identity.shelf import Shelf
from personal_avatar.identity.unit import IdentityUnit, Prepared, cautions
from personal_avatar.pictures import load_picture

pytestmark = pytest.mark.slow  # loads models of faces


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    home = tmp_path_factory.mktemp("identity")
    make_face_pack(home / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    make_adapter(AdapterKind.INSTANTID, Family.SDXL, home)
    make_adapter(AdapterKind.FACEID_PLUS_V2, Family.SD1, home)
    make_adapter(AdapterKind.FACEID_PORTRAIT, Family.SD1, home)
    make_identitynet(home / "instantid")
    make_clip_vision(home / "image_encoder")
    return home


@pytest.fixture()
def unit(folder: Path, tmp_path: Path) -> IdentityUnit:
    return IdentityUnit(Shelf([folder]), tmp_path / "cache")


def target(family: Family = Family.SDXL) -> Target:
    return Target(family, 128, 64, torch.device("cpu"), torch.float32)


def asked(*photos: np.ndarray, image: np.ndarray | None = None, **settings: object) -> IdentityRequest:
    return IdentityRequest(IdentitySettings(**settings), (Subject(photos, name="Anna"),), image)


def cond(found: Prepared) -> torch.Tensor:
    return found.injection.people[0].tokens.cond


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[np.ndarray]:
    return [load_picture(samples / name) for name in ("01.jpg", "04.jpg", "someone-else.jpg")]


def test_the_same_photo_gives_the_same_tokens_and_another_person_others(
    unit: IdentityUnit, photos: list[np.ndarray]
) -> None:
    first, again, other = (unit.prepare(asked(photo), target()) for photo in (photos[0], photos[0], photos[2]))
    assert torch.equal(cond(first), cond(again))
    assert not torch.allclose(cond(first), cond(other), rtol=0.01)
    assert cond(first).shape[1] == 16


def test_an_xl_checkpoint_gets_instantid_with_a_drawn_face_and_sd1_faceid_without(
    unit: IdentityUnit, photos: list[np.ndarray]
) -> None:
    xl, one = unit.prepare(asked(photos[0]), target()), unit.prepare(asked(photos[0]), target(Family.SD1))
    assert (xl.kind, one.kind) == (AdapterKind.INSTANTID, AdapterKind.FACEID_PLUS_V2)
    assert one.injection.control is None
    assert xl.injection.control is not None
    assert xl.injection.control.hint.shape == (1, 3, 64, 128)
    assert len(xl.injection.control.hint.unique()) > 2


def test_without_keypoints_or_weight_the_net_stays_out(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    for settings in ({"keypoints": "none"}, {"identitynet_weight": 0.0}):
        assert unit.prepare(asked(photos[0], **settings), target()).injection.control is None


def test_the_pose_of_a_picture_is_followed(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    own = unit.prepare(asked(photos[0]), target()).injection.control
    other = unit.prepare(asked(photos[0], image=photos[1][:, ::-1].copy()), target()).injection.control
    assert own is not None and other is not None
    assert not torch.equal(own.hint, other.hint)


def test_noise_in_the_negative_comes_from_its_seed(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    def uncond(**settings: object) -> torch.Tensor:
        return unit.prepare(asked(photos[0], **settings), target()).injection.people[0].tokens.uncond

    noisy = uncond(negative="noise", noise_seed=1)
    assert torch.equal(noisy, uncond(negative="noise", noise_seed=1))
    assert not torch.equal(noisy, uncond(negative="noise", noise_seed=2))
    assert not torch.equal(noisy, uncond())


def test_a_portrait_adapter_sees_every_photo(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    name = next(file.path.name for file in unit.shelf.adapters(Family.SD1) if "portrait" in file.path.name)
    found = unit.prepare(asked(*photos[:2], adapter=name), target(Family.SD1))
    assert cond(found).shape[1] == 2 * 16


def test_the_infotext_names_the_file_and_the_hash_of_the_photos(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    written = dict(unit.prepare(asked(photos[0]), target()).infotext)
    assert written["Personal Avatar identity"] == "instantid"
    assert written["Personal Avatar file"].startswith("ip-adapter_instant_id_sdxl")
    assert len(written["Personal Avatar references"]) == 10


def test_a_picture_without_a_face_is_told_with_the_name_of_the_person(unit: IdentityUnit, samples: Path) -> None:
    with pytest.raises(NoFace, match="Anna"):
        unit.prepare(asked(load_picture(samples / "no-face.jpg")), target())


def test_a_photo_of_somebody_else_is_left_out_and_named(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    found = unit.prepare(asked(photos[0], photos[1], load_noise()), target())
    assert len(found.warnings) == 1
    assert len(found.references[0].embeddings) == 2


def load_noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)


def test_nobody_and_other_families_are_refused_by_name(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    with pytest.raises(InvalidSettings, match="Nobody"):
        unit.prepare(IdentityRequest(IdentitySettings(), ()), target())
    with pytest.raises(BaseUnsupported):
        unit.prepare(asked(photos[0]), target(Family.SD2))


def test_what_is_not_there_is_told_with_its_address(photos: list[np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="huggingface"):
        IdentityUnit(Shelf([tmp_path]), tmp_path).prepare(asked(photos[0]), target())


def test_parking_and_unloading_lose_nothing(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    before = cond(unit.prepare(asked(photos[0]), target()))
    unit.park()
    parked = cond(unit.prepare(asked(photos[0]), target()))
    unit.unload()
    assert torch.equal(before, parked)
    assert torch.equal(before, cond(unit.prepare(asked(photos[0]), target())))


def test_who_was_erased_is_forgotten(unit: IdentityUnit, photos: list[np.ndarray]) -> None:
    subject = Subject((photos[0],))
    first = unit.reference(subject, AdapterKind.INSTANTID)
    assert unit.reference(subject, AdapterKind.INSTANTID) is first
    unit.forget()
    assert unit.reference(subject, AdapterKind.INSTANTID) is not first


def test_who_was_erased_while_the_photo_was_read_is_forgotten_too(
    unit: IdentityUnit, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, real = Subject((photos[0],)), unit_module.read_reference

    def reading(photos: Sequence[np.ndarray], analyser: Analyser) -> Reference:
        unit.forget()
        return real(photos, analyser)

    monkeypatch.setattr(unit_module, "read_reference", reading)
    first = unit.reference(subject, AdapterKind.INSTANTID)
    monkeypatch.undo()
    again = unit.reference(subject, AdapterKind.INSTANTID)
    assert again is not first
    assert unit.reference(subject, AdapterKind.INSTANTID) is again


class Clip:
    """Stands in for CLIP. `place`: the device where it lies."""

    place = "cuda"

    def to(self, device: torch.device | str) -> Clip:
        self.place = torch.device(device).type
        return self

    def __call__(self, crops: np.ndarray | None) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def test_clip_leaves_the_card_also_when_it_fails(
    unit: IdentityUnit, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeing = Clip()
    monkeypatch.setattr(clip, "load", lambda *_: seeing)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        unit.prepare(asked(photos[0]), replace(target(Family.SD1), device=torch.device("cuda")))
    assert seeing.place == "cpu"
    seeing.to("cuda")  # as where its way back failed
    unit.park()
    assert seeing.place == "cpu"


@pytest.mark.parametrize(("start", "end", "said"), [(0.6, 0.4, 1), (0.5, 0.5, 1), (0.4, 0.6, 0), (0.0, 1.0, 0)])
def test_a_start_that_lies_behind_the_end_is_told(
    unit: IdentityUnit, photos: list[np.ndarray], start: float, end: float, said: int
) -> None:
    """Not refused: a plot of both has such places."""
    told = unit.prepare(asked(photos[0], start=start, end=end), target(Family.SD1)).warnings
    assert len(told) == said and all(f"start ({start:g})" in sentence for sentence in told)


def test_what_burns_and_what_is_watermarked_is_told() -> None:
    assert len(cautions(AdapterKind.INSTANTID, 7.0, 1024, 1024)) == 2
    assert cautions(AdapterKind.INSTANTID, 4.0, 1016, 1016) == ()
    assert cautions(AdapterKind.FACEID, 9.0, 1024, 1024) == ()
