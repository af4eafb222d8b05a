"""An avatar that was trained with the recogniser for drawn characters is measured by it ever after."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_models import CCIP_NAME, make_ccip
from personal_avatar.doctor import drawn_weights, wanted_weights
from personal_avatar.domain import Avatar, Look
from personal_avatar.environment.finding import State
from personal_avatar.errors import WeightsMissing
from personal_avatar.pictures import load_picture
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, build_studio, own_weights

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


@pytest.fixture()
def equipped(studio: Studio) -> Studio:
    make_ccip(own_weights(studio.host.folders().data))
    return studio


def drawn_avatar(studio: Studio, reference: np.ndarray) -> Avatar:
    avatar = studio.avatars.open("Drawn", user_id="local", class_noun="man", statement="yes")
    avatar = replace(avatar, reference=tuple(reference.tolist()), recogniser=CCIP_NAME)
    studio.avatars.save(avatar)
    return avatar


def test_its_pictures_are_ranked_by_that_recogniser(equipped: Studio) -> None:
    analyser, picture = equipped.analyser(CCIP_NAME), load_picture(GOOD[0])
    reference = analyser.embed(picture, analyser.detect(picture)[0])
    scorer = equipped.rankings.scorer(drawn_avatar(equipped, reference))
    assert scorer.score(picture).likeness == pytest.approx(1.0, abs=1e-3)
    assert reference.shape == (768,)


def test_without_it_the_error_says_where_to_get_it(studio: Studio) -> None:
    with pytest.raises(WeightsMissing, match="doctor --fetch drawn"):
        studio.rankings.scorer(drawn_avatar(studio, np.ones(768, dtype=np.float32)))


def test_the_check_of_drawings_uses_it_and_the_user_may_object(equipped: Studio) -> None:
    drawn = equipped.check_photos(GOOD[:3])
    assert {verdict.look for verdict in drawn.photos} == {Look.DRAWN}
    assert {len(verdict.face.embedding or ()) for verdict in drawn.photos if verdict.face} == {768}
    plain = equipped.check_photos(GOOD[:3], {"look": "photo"})
    assert {len(verdict.face.embedding or ()) for verdict in plain.photos if verdict.face} == {128}


def test_photos_of_somebody_are_measured_by_what_fits_them(equipped: Studio) -> None:
    assert equipped.analyser_of(GOOD).name == CCIP_NAME
    assert equipped.rankings.scorer_of(GOOD[:2]).score(load_picture(GOOD[1])).likeness is not None


def test_the_doctor_knows_what_there_is_for_drawings(equipped: Studio, tmp_path: Path) -> None:
    (here,) = drawn_weights(equipped.weights_folder)
    assert (here.state, CCIP_NAME in here.found) == (State.OK, True)
    (gone,) = drawn_weights(tmp_path)
    assert gone.state is State.WARNING
    assert gone.found.startswith("not here; 195 MB; OpenRAIL")
    assert {weight.name for weight in wanted_weights(["drawn"])} == {"drawn-faces", "ccip"}
