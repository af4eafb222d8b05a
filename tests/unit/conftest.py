from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.errors import WeightsError
from personal_avatar.jobs import queue


@pytest.fixture(scope="session", autouse=True)
def quick_queue() -> Iterator[None]:
    """Queues look at their jobs often, also while the fixtures of a file or of the session are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "POLL_S", 0.02)
        patch.setattr(queue, "IDLE_S", 0.2)
        yield


@pytest.fixture(scope="session")
def face_weights() -> Path:
    """A folder with the verified detector and recogniser, fetched once and kept in `.cache`."""
    from personal_avatar.weights.fetch import ensure
    from personal_avatar.weights.registry import SFACE, YUNET

    folder = Path(__file__).resolve().parents[2] / ".cache" / "weights"
    try:
        for weight in (YUNET, SFACE):
            ensure(weight, folder)
    except WeightsError as error:
        pytest.skip(f"no face models: {error}")
    return folder


@pytest.fixture()
def data(tmp_path: Path, face_weights: Path) -> Path:
    """A data folder with these models."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights").symlink_to(face_weights, target_is_directory=True)
    return tmp_path / "data"


@pytest.fixture(scope="session")
def faceid(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    """A folder with a FaceID that fits avatar-tiny and what it needs: real models of faces, a miniature CLIP."""
    from miniature_adapters import AVATAR_TINY, make_adapter, make_clip_vision, make_face_pack
    from personal_avatar.domain import Family
    from personal_avatar.identity.nouns import AdapterKind

    home = tmp_path_factory.mktemp("faceid")
    make_face_pack(home / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    make_adapter(AdapterKind.FACEID_PLUS_V2, Family.SD1, home, size=AVATAR_TINY)
    make_clip_vision(home / "image_encoder")
    return home


@pytest.fixture(scope="session")
def instantid(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    """A folder with a miniature InstantID for SDXL and what it needs: real models of faces, a miniature IdentityNet."""
    from miniature_adapters import make_adapter, make_face_pack, make_identitynet
    from personal_avatar.domain import Family
    from personal_avatar.identity.nouns import AdapterKind

    home = tmp_path_factory.mktemp("instantid")
    make_face_pack(home / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    make_adapter(AdapterKind.INSTANTID, Family.SDXL, home)
    make_identitynet(home / "instantid")
    return home
