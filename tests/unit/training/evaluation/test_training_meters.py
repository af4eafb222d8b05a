"""What is measured, by what the photos show."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import LIKENESS, RESEMBLANCE
from personal_avatar.errors import NoFace
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.pictures import load_picture
from personal_avatar.training.evaluation.meters import meter_for
from PIL import Image

SIDE_PX = 512
Of = Callable[..., np.ndarray]


@pytest.fixture
def shown(samples: Path) -> Of:
    def of(*names: str) -> np.ndarray:
        photos = (Image.fromarray(load_picture(samples / name)) for name in names)
        return np.stack([np.asarray(photo.resize((SIDE_PX, SIDE_PX))) for photo in photos])

    return of


@pytest.mark.parametrize(("names", "kind"), [
    (("01.jpg", "02.jpg", "no-face.jpg"), LIKENESS),
    (("no-face.jpg", "no-face.jpg", "01.jpg"), RESEMBLANCE),
])
def test_where_no_faces_are_wanted_what_most_photos_show_is_measured(
    shown: Of, analyser: FaceAnalyser, names: tuple[str, ...], kind: str
) -> None:
    assert meter_for(shown(*names), analyser.upright(), is_style=False, wants_faces=False)[0] == kind


def test_a_person_without_a_face_is_refused_and_a_style_has_no_likeness(shown: Of, analyser: FaceAnalyser) -> None:
    with pytest.raises(NoFace):
        meter_for(shown("no-face.jpg"), analyser.upright(), is_style=False, wants_faces=True)
    assert meter_for(shown("01.jpg"), analyser.upright(), is_style=True, wants_faces=True)[0] == RESEMBLANCE
