"""The panel "One photo", as a visitor without a browser uses it: real faces read, no picture painted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ldm_layout import usual
from personal_avatar.domain import Checkpoint, Family, Method
from personal_avatar.host import PictureRequest
from personal_avatar.studio import CreateRequest, Studio
from personal_avatar.studio.oneshot import MAX_REFERENCES
from personal_avatar.wording import LANGUAGES, text

from tests.unit.api.house import GOOD, SAMPLES
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.slow
STYLE = {"one_styles_painting": ["Oil painting"], "one_set_count": 4, "one_set_restore": False}
OTHER = SAMPLES / "someone-else.jpg"


@pytest.fixture()
def equipped(studio: Studio, faceid: Path) -> Iterator[Studio]:
    """The house with these networks where it looks for them."""
    folder = studio.host.folders().identity_folders[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(faceid, target_is_directory=True)
    yield studio
    folder.unlink()


@pytest.fixture()
def with_usual(studio: Studio) -> Iterator[None]:
    """A checkpoint is loaded that published files fit."""
    chosen, folder = studio.host.checkpoint().title, studio.host.folders().checkpoints
    studio.host.choose_checkpoint(usual(folder))  # type: ignore[attr-defined]
    yield
    studio.host.choose_checkpoint(chosen)  # type: ignore[attr-defined]
    (folder / "usual.safetensors").unlink()


def with_photo(visit: Visit, key: str, *photos: Path, consent: bool = True) -> Visitor:
    visitor = visit(key=key)
    visitor.choose_files(*(photos or GOOD[:1]), into="one_files")
    visitor.enter(one_noun="woman", one_consent=consent, **STYLE)
    return visitor


def made(visitor: Visitor, studio: Studio) -> PictureRequest:
    """What the host was asked for last, when the job has ended."""
    before = len(studio.host.requests)  # type: ignore[attr-defined]
    visitor.click("one_start")
    assert visitor.text("one_message") == ""
    visitor.wait(lambda: len(studio.host.requests) > before)  # type: ignore[attr-defined]
    visitor.wait(lambda: visitor.prop("one_to_results", "visible") is True)
    return studio.host.requests[-1]  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_checkpoint_that_no_published_files_fit_is_named_and_nothing_is_offered(visit: Visit, language: str) -> None:
    visitor = visit(key="1c" * 16, accept=language)
    said = visitor.text("one_possible")
    assert text("remedy.usual_size", language) in said and "avatar-tiny.safetensors" in said
    assert ("no published weights" in said) is (language == "en")
    assert visitor.prop("one_download", "visible") is False and visitor.prop("one_agree", "visible") is False


@pytest.mark.usefixtures("with_usual")
def test_what_is_missing_is_told_with_size_licence_and_place_before_anything_is_asked_for(
    visit: Visit, studio: Studio
) -> None:
    visitor = visit(key="1a" * 16)
    said = visitor.text("one_possible")
    assert "usual" in said and "IP-Adapter FaceID: files are missing" in said and "InstantID" not in said
    assert "156.6 MB" in said and "non-commercial" in said and str(studio.host.folders().identity_folders[0]) in said
    assert visitor.value("one_possible").count("<li") == 3
    assert visitor.prop("one_download", "visible") is True and visitor.prop("one_stop", "visible") is False
    visitor.click("one_download")
    assert "Nobody agreed to the licences." in visitor.text("one_download_message")
    assert visitor.text("one_fetching") == ""


@pytest.mark.usefixtures("with_usual")
def test_pictures_are_refused_by_name_while_files_are_missing(visit: Visit) -> None:
    visitor = with_photo(visit, "1b" * 16)
    visitor.click("one_start")
    assert "Files for IP-Adapter FaceID are missing." in visitor.text("one_message")
    assert "Download them in this panel" in visitor.text("one_message")


def test_new_pictures_of_the_person_come_ranked_among_the_results(visit: Visit, equipped: Studio) -> None:
    visitor = with_photo(visit, "2a" * 16, GOOD[0], GOOD[1])
    assert "IP-Adapter FaceID: ready" in visitor.text("one_possible")
    assert visitor.prop("one_download", "visible") is False
    visitor.upload("one_files")
    assert visitor.value("one_shown").count("<img") == 2
    visitor.enter(one_set_adapter_weight=0.65, one_set_method="faceid")
    request = made(visitor, equipped)
    assert request.identity is not None and request.image is None
    assert [len(person.photos) for person in request.identity.people] == [2]
    settings = request.identity.settings
    assert (settings.method, settings.adapter_weight, settings.identitynet_weight) == ("faceid", 0.65, 0.8)
    assert "woman" in request.prompt and len(request.seeds) == 4
    assert visitor.value("one_made").count("<img") == 4
    numbers = re.findall(r'class="pa-caption">likeness (-?[\d.]+)', visitor.value("gallery"))
    assert numbers == sorted(numbers, key=float, reverse=True) and float(numbers[0]) > 0.9
    assert "肖像 · 单张照片" in visit(key="2a" * 16, accept="zh").text("jobs")
    assert visitor.value("create_made") == "" and "Choose styles" not in visitor.text("one_progress")


def test_a_run_is_erased_with_the_photos_that_were_given_for_it(visit: Visit, equipped: Studio) -> None:
    visitor = with_photo(visit, "2e" * 16, GOOD[2])
    made(visitor, equipped)
    (view, *_) = equipped.gallery.runs()
    folder = equipped.jobs.folder(view.job.id)
    assert (folder / "photos").is_dir()
    visitor.click("erase_run")
    assert "Nothing of One photo was erased." in visitor.text("erase_run_message") and folder.exists()
    visitor.enter(erase_run_sure=True)
    visitor.click("erase_run")
    assert "One photo was erased." in visitor.text("erased_run") and visitor.value("erase_run_sure") is False
    assert not folder.exists() and view.job.id not in [one.job.id for one in equipped.gallery.runs()]
    assert view.job.id[:4] not in str(visitor.prop("run", "choices"))


def test_a_photo_is_restyled_and_gives_pose_and_expression_itself(visit: Visit, equipped: Studio) -> None:
    visitor = with_photo(visit, "2b" * 16, GOOD[0])
    assert visitor.prop("one_photo", "visible") is False
    visitor.enter(one_do="restyle", one_strength=0.7)
    visitor.refresh()
    assert visitor.prop("one_photo", "visible") is True and visitor.prop("one_strength", "visible") is True
    request = made(visitor, equipped)
    assert request.image is not None and request.identity is not None and request.strength == 0.7
    assert np.array_equal(request.identity.keypoints_image, request.image)
    visitor.choose_files(SAMPLES / "no-face.jpg", into="one_pose")  # and out of sight: it was not asked for
    visitor.choose_files(OTHER, into="one_photo")
    chosen = made(visitor, equipped)
    assert chosen.image is not None and chosen.image.tobytes() != request.image.tobytes()
    assert chosen.identity is not None and len(chosen.identity.people[0].photos) == 1
    assert np.array_equal(chosen.identity.keypoints_image, chosen.image)


@pytest.mark.parametrize(
    ("layout", "places"), [("boxes", [(0.0, 0.0, 0.5, 1.0), (0.5, 0.25, 1.0, 1.0)]), ("left-to-right", [None, None])]
)
def test_two_people_stand_in_their_places(
    visit: Visit, equipped: Studio, layout: str, places: list[tuple[float, ...] | None]
) -> None:
    visitor = with_photo(visit, "2c" * 16, GOOD[0])
    visitor.choose_files(OTHER, into="one_second")
    visitor.enter(one_second_noun="man", one_layout=layout, one_second_top=0.25)
    visitor.refresh()
    assert visitor.prop("one_second_box", "visible") is (layout == "boxes")
    request = made(visitor, equipped)
    assert request.identity is not None and request.identity.settings.layout == layout
    assert [person.box for person in request.identity.people] == places
    assert "woman and man" in request.prompt


def test_an_avatars_own_photos_serve(visit: Visit, equipped: Studio) -> None:
    avatar = equipped.avatars.open("Anna", user_id="local", class_noun="woman", statement="she agreed")
    equipped.avatars.save(avatar)
    equipped.avatars.add_photos(avatar, GOOD[:1])
    point = Checkpoint(Path("/x/anna.safetensors"), "", 5, Method.LORA, Family.SDXL, avatar.trigger)
    equipped.avatars.save(replace(avatar, checkpoints=(point,)))
    visitor = visit(key="2d" * 16)
    assert visitor.prop("one_avatar", "choices")[0] == visitor.value("one_avatar") == "None, only the photos"
    assert "Anna" in visitor.prop("one_avatar", "choices")
    visitor.enter(one_avatar="Anna", **STYLE)
    request = made(visitor, equipped)
    assert request.identity is not None and [len(one.photos) for one in request.identity.people] == [1]


def test_what_is_missing_from_a_wish_is_named(visit: Visit, equipped: Studio) -> None:
    visitor = visit(key="3a" * 16)
    visitor.enter(**STYLE)
    asked = {"There is no photo of the person.": {}, "There is no photo to restyle.": {"one_do": "restyle"}}
    for sentence, entered in asked.items():
        visitor.enter(**entered)
        visitor.click("one_start")
        assert sentence in visitor.text("one_message")
    visitor = with_photo(visit, "3b" * 16, consent=False)
    visitor.click("one_start")
    assert "Nobody stated that the people in the photos agreed." in visitor.text("one_message")
    visitor.enter(one_consent=True, one_set_keypoints="image")
    visitor.click("one_start")
    assert "There is no picture with the pose." in visitor.text("one_message")
    visitor.choose_files(*[GOOD[0]] * (MAX_REFERENCES + 1), into="one_files")
    visitor.click("one_start")
    assert "21 photos were given, the limit is 20." in visitor.text("one_message")
    assert CreateRequest.strength == visitor.value("one_strength")


def test_a_photo_without_a_face_is_refused_in_words(visit: Visit, equipped: Studio) -> None:
    visitor = with_photo(visit, "3c" * 16, SAMPLES / "no-face.jpg")
    visitor.click("one_start")
    assert "No face was found" in visitor.text("one_message")


def test_the_choices_speak_the_language_of_the_page_and_what_is_chosen_stays(visit: Visit, equipped: Studio) -> None:
    visitor = visit(key="3d" * 16, accept="vi")
    assert ["Ảnh mới: người này trong các phong cách bên dưới.", "new"] in visitor.prop("one_do", "choices")
    visitor.enter(one_do="restyle", one_set_keypoints="none")
    visitor.speak("中文")
    assert ["不限制", "none"] in visitor.prop("one_set_keypoints", "choices")
    assert (visitor.value("one_do"), visitor.value("one_set_keypoints")) == ("restyle", "none")
    assert "IP-Adapter FaceID：就绪" in visitor.text("one_possible")
