"""What a person decides about photos: by name on the command line, heeded by the report, with the right face meant."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from painted_faces import CELL_PX, PaintedFaces, person, picture
from personal_avatar.domain import Face, PhotoChoice, PhotoReport, PhotoVerdict, Reason
from personal_avatar.errors import BadInput
from personal_avatar.photos.choices import choices_of
from personal_avatar.photos.memory import Memory
from personal_avatar.photos.report import check
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.words import unfound
from personal_avatar.storage import sha256_of
from PIL import Image

ANALYSER = PaintedFaces()
SETTINGS = PhotoSettings(min_sharpness=0, max_yaw_deg=90, look="drawn")


def shot(folder: Path, name: str, *people: int | None, noise: int = 0) -> Path:
    """A row of people in a picture of its own."""
    image = picture(*people).astype(float)
    seen = np.abs(image - 128).max(axis=2, keepdims=True) > 0
    image += np.random.default_rng(noise).normal(0, 25, image.shape) * seen
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / name)
    return folder / name


@pytest.fixture()
def photos(tmp_path: Path) -> list[Path]:
    """Four of person 1 alone, one of person 2, one of 2 and 1 beside each other, a broken one."""
    alone = [shot(tmp_path, f"own{n}.png", *[None] * n, 1, noise=n) for n in range(4)]
    (tmp_path / "broken.png").write_text("no picture")
    others = [shot(tmp_path, "other.png", None, 2, noise=9), shot(tmp_path, "both.png", 2, 1, noise=8)]
    return [*alone, *others, tmp_path / "broken.png"]


def judged(photos: list[Path], **choices: PhotoChoice) -> tuple[PhotoReport, dict[str, PhotoVerdict]]:
    by_sha = {sha256_of(photo): choices[photo.stem] for photo in photos if photo.stem in choices}
    report = check(photos, ANALYSER, SETTINGS, choices=by_sha)
    return report, {verdict.path.stem: verdict for verdict in report.photos}


def test_without_decisions_the_stranger_and_the_pair_are_rejected(photos: list[Path]) -> None:
    reasons = {name: verdict.reasons for name, verdict in judged(photos)[1].items()}
    assert reasons == {
        **{f"own{n}": () for n in range(4)}, "other": (Reason.OTHER_PERSON,), "both": (Reason.SEVERAL_FACES,),
        "broken": (Reason.UNREADABLE,),
    }  # fmt: skip


def test_of_two_people_the_one_of_the_other_photos_is_meant(photos: list[Path]) -> None:
    both = judged(photos)[1]["both"]
    assert both.face is not None and both.face.box_px[0] == CELL_PX and "FACE_CHOSEN" in both.remarks
    assert both.similarity is not None and both.similarity > 0.8 and len(both.people) == 2


def test_what_is_taken_is_accepted_with_the_reasons_still_told(photos: list[Path]) -> None:
    take, leave = PhotoChoice(take=True), PhotoChoice(take=False)
    report, found = judged(photos, both=take, broken=take, own0=leave)
    assert found["both"].accepted and found["both"].reasons == (Reason.SEVERAL_FACES,)
    assert not found["own0"].accepted and not found["own0"].reasons
    assert not found["broken"].accepted
    assert len(report.accepted) == 4 and report.coverage is not None and report.coverage.photos == 4


def test_a_face_chosen_by_hand_is_the_one_that_is_judged_and_its_neighbour_counts_no_more(photos: list[Path]) -> None:
    both = judged(photos, both=PhotoChoice(face=1))[1]["both"]
    assert both.accepted and both.face is not None and both.face.box_px == both.people[1].box_px
    wrong = judged(photos, both=PhotoChoice(face=0))[1]["both"]
    assert wrong.reasons == (Reason.OTHER_PERSON,)


def test_a_chosen_face_that_is_not_there_is_told_and_not_dropped_in_silence(photos: list[Path]) -> None:
    both = judged(photos, both=PhotoChoice(face=5))[1]["both"]
    assert "FACE_GONE" in both.remarks and both.face is not None
    vouched, found = judged(photos, both=PhotoChoice(take=True, face=5))
    (told,) = unfound(vouched)
    assert told.startswith("both") and "chosen by hand is not found" in told
    assert all(found[f"own{n}"].accepted for n in range(4))  # nobody was vouched for


def test_who_is_taken_by_hand_is_the_person_even_against_the_majority(photos: list[Path]) -> None:
    report, found = judged(photos, other=PhotoChoice(take=True))
    assert found["other"].accepted and not found["other"].reasons
    assert all(found[f"own{n}"].reasons == (Reason.OTHER_PERSON,) for n in range(4))
    assert report.advice[0].code == "MIXED_PEOPLE"


def test_a_photo_is_looked_at_once_as_long_as_nothing_about_it_changes(photos: list[Path]) -> None:
    looked: list[int] = []

    class Counting(PaintedFaces):
        def detect(self, image: np.ndarray) -> list[Face]:
            looked.append(1)
            return super().detect(image)

    memory, analyser = Memory(), Counting()
    first = check(photos, analyser, SETTINGS, memory=memory)
    again = check(photos, analyser, SETTINGS, memory=memory)
    assert len(looked) == 6 and again == first
    left = {sha256_of(photos[0]): PhotoChoice(take=False)}
    assert len(check(photos, analyser, SETTINGS, choices=left, memory=memory).accepted) == 3 and len(looked) == 6
    check(photos, analyser, SETTINGS, choices={sha256_of(photos[5]): PhotoChoice(face=0)}, memory=memory)
    assert len(looked) == 7
    check(photos, analyser, replace_limit(SETTINGS), memory=memory)
    assert len(looked) == 13
    memory.forget()
    check(photos, analyser, SETTINGS, memory=memory)
    assert len(looked) == 19


def test_what_is_erased_while_it_is_looked_at_is_not_remembered(photos: list[Path]) -> None:
    memory = Memory()

    class Erasing(PaintedFaces):
        def detect(self, image: np.ndarray) -> list[Face]:
            memory.forget()
            return super().detect(image)

    check(photos, Erasing(), SETTINGS, memory=memory)
    assert len(memory) == 1  # the broken one, in which nobody was looked for
    check(photos, ANALYSER, SETTINGS, memory=memory)
    assert len(memory) == len(photos)
    memory.forget(photos[0])
    assert len(memory) == len(photos) - 1
    memory.forget(photos[0].parent)
    assert len(memory) == 0


def replace_limit(settings: PhotoSettings) -> PhotoSettings:
    return settings.copy(update={"min_face_px": 32})


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    memory = Memory()
    path = shot(tmp_path, "a.png", 1)
    before = check([path], ANALYSER, SETTINGS, memory=memory).photos[0]
    Image.fromarray(person(7)).save(path)
    assert check([path], ANALYSER, SETTINGS, memory=memory).photos[0].photo != before.photo


# -- by name


def test_names_become_decisions_about_files(photos: list[Path]) -> None:
    found = choices_of(photos, ["both.png", str(photos[0])], ["own1.png"], ["both.png=2", "own2.png=1"])
    wanted = {"both": PhotoChoice(True, 1), "own0": PhotoChoice(True), "own1": PhotoChoice(False)}
    wanted["own2"] = PhotoChoice(None, 0)
    assert found == {sha256_of(photo): wanted[photo.stem] for photo in photos if photo.stem in wanted}
    assert choices_of(photos) == {}


def test_all_that_cannot_be_decided_is_named_together(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    twin = shot(tmp_path / "more", "own0.png", 3)
    with pytest.raises(BadInput) as caught:
        choices_of([*photos, twin], ["absent.png", "own1.png", "own0.png"], ["own1.png"], ["own2.png", "own3.png=0"])
    for part in ("no photo absent.png", "own1.png cannot be taken and left out", "several photos own0.png",
                 "own2.png is not of the form NAME=2", "own3.png=0 is not of the form NAME=2"):  # fmt: skip
        assert part in caught.value.message
    assert choices_of([*photos, twin], [str(twin)]) == {sha256_of(twin): PhotoChoice(True)}
