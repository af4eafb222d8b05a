"""Files of restorers: which they are, and how their networks are called. True architectures where spandrel is."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from personal_avatar.errors import RestorerMissing
from personal_avatar.restoration import networks
from personal_avatar.restoration.aligned import restore_face
from personal_avatar.standalone.restorers import load_network
from personal_avatar.weights.restoration import RESTORATION

from tests.unit.painted_faces import face_at, picture

torch = pytest.importorskip("torch")
FACE = face_at(64, 0)
PHOTO = picture(None, 5, None)


def holding(name: str, network: Any) -> SimpleNamespace:
    return SimpleNamespace(architecture=SimpleNamespace(id=name), model=network)


class Bright(torch.nn.Module):  # type: ignore[misc]
    """Answers as GFPGAN does, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []

    def forward(self, pixels: Any, **how: Any) -> tuple[Any, ...]:
        self.asked.append(how)
        return (pixels * 0 + 1, [])


def test_a_network_without_fidelity_is_asked_once_for_a_face_and_mixed_with_the_original() -> None:
    network = Bright()
    call = networks.calling("GFPGAN", network, "cpu")
    made = [restore_face(PHOTO, FACE, call, fidelity) for fidelity in (0.0, 0.5, 1.0)]
    assert network.asked == [{"return_rgb": False, "randomize_noise": False}]
    assert made[0].mean() > made[1].mean() > made[2].mean() and np.array_equal(made[2], PHOTO)
    restore_face(255 - PHOTO, FACE, call, 0.5)
    networks.forget()
    restore_face(255 - PHOTO, FACE, networks.calling("GFPGAN", network, "cpu"), 0.5)
    assert len(network.asked) == 3


def test_codeformer_takes_the_fidelity_itself() -> None:
    network = Bright()
    call = networks.calling("CodeFormer", network, "cpu")
    for fidelity in (0.25, 0.75):
        restore_face(PHOTO, FACE, call, fidelity)
    assert network.asked == [{"weight": 0.25, "adain": True}, {"weight": 0.75, "adain": True}]


def test_a_file_is_looked_for_once_and_again_when_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], networks.files_below

    def counted(folder: Path) -> list[Path]:
        looks.append(folder)
        return look(folder)

    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(networks, "files_below", counted)
    assert networks.file_of("GFPGAN", (tmp_path,)) is None and len(looks) == 1
    (tmp_path / "GFPGANv1.4.pth").touch()
    for _ in range(3):
        assert networks.file_of("GFPGAN", (tmp_path,)) == tmp_path / "GFPGANv1.4.pth"
    assert len(looks) == 2
    (tmp_path / "GFPGANv1.4.pth").rename(tmp_path / "GFPGANv1.3.pth")
    assert networks.file_of("GFPGAN", (tmp_path,)) == tmp_path / "GFPGANv1.3.pth"
    assert len(looks) == 3 and networks.file_of("CodeFormer", (tmp_path,)) is None


def test_a_file_is_known_by_its_name_the_newest_is_taken_and_must_hold_what_it_says(tmp_path: Path) -> None:
    for name in ("x/GFPGANv1.4.pth", "y/restoreformer.ckpt", "y/gfpgan.txt", "GFPGANv1.3.pth", "y/GFPGANv1.pth",
                 "GFPGANCleanv1-NoCE-C2.pth", "codeformer.pth", "codeformer_colorization.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks.importlib.util, "find_spec", lambda name: object())
        found = networks.files_in((tmp_path / "nowhere", tmp_path / "y", tmp_path))
    assert found == {"CodeFormer": tmp_path / "codeformer.pth", "GFPGAN": tmp_path / "x" / "GFPGANv1.4.pth",
                     "RestoreFormer": tmp_path / "y" / "restoreformer.ckpt"}
    with pytest.raises(RestorerMissing, match="holds CodeFormer, not GFPGAN"):
        networks.network_of("GFPGAN", tmp_path / "a", 1, lambda file: holding("CodeFormer", Bright()))

    def broken(file: Path) -> Any:
        raise KeyError("conv_in")

    with pytest.raises(RestorerMissing, match="cannot be loaded"):
        networks.network_of("GFPGAN", tmp_path / "a", 2, broken)


def test_what_is_missing_is_named_with_where_it_is_from() -> None:
    said = str(networks.missing("RestoreFormer", Path("/models"), ("GFPGAN",)))
    assert all(word in said for word in ("RestoreFormer.pth", "/models", "spandrel", "Or use: GFPGAN"))


def test_what_can_be_fetched_is_found_afterwards() -> None:
    for weight in RESTORATION:
        folder, _, name = weight.file_name.partition("/")
        assert folder == networks.FOLDER
        assert any(name.lower().startswith(known.lower()) for known in networks.KNOWN)


def small_restoreformer() -> Any:
    from spandrel.architectures.RestoreFormer import RestoreFormer

    return RestoreFormer(
        n_embed=64, embed_dim=32, ch=32, out_ch=3, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(16,),
        dropout=0.0, in_channels=3, resolution=512, z_channels=32, double_z=False, enable_mid=True, head_size=8,
    )


def gfpgan() -> Any:
    from spandrel.architectures.GFPGAN.arch.gfpganv1_clean_arch import GFPGANv1Clean

    return GFPGANv1Clean(
        out_size=512, num_style_feat=512, channel_multiplier=2, decoder_load_path=None, fix_decoder=False, num_mlp=8,
        input_is_latent=True, different_w=True, narrow=1, sft_half=True,
    )


def codeformer() -> Any:
    from spandrel_extra_arches.architectures.CodeFormer.arch.codeformer import CodeFormer

    return CodeFormer(
        dim_embd=512, n_head=8, n_layers=9, codebook_size=1024, latent_size=256,
        connect_list=["32", "64", "128", "256"], fix_modules=["quantize", "generator"],
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "build", "keeps"), [
    ("RestoreFormer", small_restoreformer, True), ("GFPGAN", gfpgan, True), ("CodeFormer", codeformer, False),
])
def test_a_file_in_the_true_layout_is_loaded_by_spandrel_and_repaints_a_face(
    tmp_path: Path, name: str, build: Callable[[], Any], keeps: bool
) -> None:
    """Random weights; GFPGAN and CodeFormer of their true size, because spandrel knows no other."""
    for library in networks.libraries(name):
        pytest.importorskip(library)
    torch.manual_seed(1)
    file = tmp_path / f"{name.lower()}-test.pth"
    torch.save({"params_ema": build().state_dict()} if name != "RestoreFormer" else build().state_dict(), file)
    assert networks.files_in((tmp_path,)) == {name: file}
    loaded = load_network(name, file)
    free, faithful = (restore_face(PHOTO, FACE, loaded, fidelity) for fidelity in (0.0, 1.0))
    assert np.abs(free.astype(int) - PHOTO).mean() > 3
    assert np.array_equal(faithful, PHOTO) is keeps
    assert np.array_equal(restore_face(PHOTO, FACE, loaded, 0.0), free)
