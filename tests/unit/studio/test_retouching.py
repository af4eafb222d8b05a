"""Portraits after they were made: which get a better twin, what it says, and why others have none."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Portrait
from personal_avatar.errors import Cancelled
from personal_avatar.identities import PictureRestoreSettings
from personal_avatar.jobs.events import Event, Log
from personal_avatar.pictures import infotext_of, load_picture, prompt_of, save_picture, source_of
from personal_avatar.provenance import GENERATED
from personal_avatar.studio import Studio
from personal_avatar.studio.restored import RESTORED
from personal_avatar.studio.retouching import Retouching
from PIL import Image, ImageFilter

from tests.unit.api.house import GOOD, SAMPLES, build_studio
from tests.unit.studio.test_restoring import anna, blurry, truth

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

SOFTER = 0.4  # pixels; costs less than a tenth of the sharpness


class Quiet:
    """Nobody wants the end."""

    def check(self) -> None:
        """Go on."""


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    made = build_studio(tmp_path / "data", face_weights)
    monkeypatch.setattr(made.host, "restore", truth)
    return made


def portrait(path: Path, image: np.ndarray) -> Portrait:
    return Portrait(save_picture(image, path, "a man\nSteps: 20, Seed: 1"), 1, "a man", "s", 0.5, {"overall": 0.7}, 1)


def retouched(wanted: Retouching, portraits: list[Portrait], folder: Path) -> tuple[list[Portrait], str]:
    told: list[Event] = []
    done = wanted(portraits, folder, told.append, Quiet())
    return done, " ".join(event.message for event in told if isinstance(event, Log))


def test_a_better_face_becomes_a_twin_that_says_how_it_was_made(studio: Studio, tmp_path: Path) -> None:
    before = portrait(tmp_path / "0001.png", blurry())
    (after,), _ = retouched(Retouching(studio, anna(studio), ()), [before], tmp_path)
    assert after.restored == tmp_path / "001-0001-restored.png" and after.path == before.path
    assert {"overall", "restored", "fidelity"} == set(after.scores)
    said = infotext_of(after.restored)
    assert said.startswith("a man\nSteps: 20, Seed: 1, ") and f"{RESTORED}: 1" in said
    assert "likeness to: Anna" in said and source_of(after.restored) == GENERATED


def test_pictures_of_one_name_from_two_folders_get_twins_of_their_own(studio: Studio, tmp_path: Path) -> None:
    """Hosts that save into a folder for each style begin their numbers anew in each."""
    given = [portrait(tmp_path / style / "00000.png", blurry()) for style in ("oil", "ink")]
    save_picture(blurry(), given[1].path, "in ink")
    done, _ = retouched(Retouching(studio, anna(studio), ()), given, tmp_path / "artifacts")
    assert [prompt_of(one.restored) for one in done if one.restored is not None] == ["a man", "in ink"]


def test_photos_tell_who_it_is_where_nobody_was_trained(studio: Studio, tmp_path: Path) -> None:
    made, _ = retouched(
        Retouching(studio, None, GOOD[:1], others=[[SAMPLES / "no-face.jpg"]]),
        [portrait(tmp_path / "1.png", blurry())], tmp_path,
    )
    assert made[0].restored is not None and "restored" in made[0].scores


def test_a_face_that_is_not_the_persons_stays_as_it_was_made(studio: Studio, tmp_path: Path) -> None:
    avatar, rng = anna(studio), np.random.default_rng(0)
    stranger = replace(avatar, reference=tuple(rng.standard_normal(len(avatar.reference)).tolist()))
    made, said = retouched(Retouching(studio, stranger, ()), [portrait(tmp_path / "1.png", blurry())], tmp_path)
    assert made[0].restored is None and "1.png is left unrestored: it shows somebody else" in said
    assert [path.name for path in tmp_path.glob("*.png")] == ["1.png"]


def test_what_would_be_less_sharp_stays(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even by so little that a restoration of a picture that exists would allow it."""

    def soften(crop: np.ndarray, *rest: object) -> np.ndarray:
        return np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(SOFTER)))

    drawing, target, avatar = load_picture(GOOD[1])[::2, ::2].copy(), tmp_path / "r.png", anna(studio)
    monkeypatch.setattr(studio.host, "restore", soften)
    made, said = retouched(
        Retouching(studio, avatar, (), max_drop=0.2), [portrait(tmp_path / "1.png", drawing)], tmp_path
    )
    assert made[0].restored is None and "would be less sharp" in said
    judge, people = studio.restoring.sitting(avatar, ())
    loose = PictureRestoreSettings(min_similarity_drop=0.2, below_px=0, below_sharpness=0.0)
    assert studio.restoring.file(made[0].path, target, people, judge, loose).count == 1


def test_without_a_restorer_or_a_face_nothing_is_done(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faceless = replace(portrait(tmp_path / "1.png", load_picture(SAMPLES / "no-face.jpg")), likeness=None)
    assert retouched(Retouching(studio, anna(studio), ()), [faceless], tmp_path) == ([faceless], "")
    monkeypatch.setattr(studio.host, "restorers", tuple)
    made, said = retouched(Retouching(studio, None, ()), [faceless], tmp_path)
    assert made == [faceless] and "No face restorer is installed" in said


def test_the_user_may_end_it_within_a_picture(studio: Studio, tmp_path: Path) -> None:
    class Stop:
        asked = 0

        def check(self) -> None:
            self.asked += 1
            if self.asked > 1:
                raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Retouching(studio, anna(studio), ())(
            [portrait(tmp_path / "1.png", blurry())], tmp_path, lambda event: None, Stop()
        )
