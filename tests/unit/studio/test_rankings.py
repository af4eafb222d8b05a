"""Existing pictures as a job: scored, ordered, kept when it is cancelled, gone on from, taken along, erased."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.domain import Portrait
from personal_avatar.errors import Cancelled, InvalidSettings, NotFound
from personal_avatar.jobs.control import CANCEL, Control
from personal_avatar.jobs.events import Progress
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.pictures import load_picture, save_picture
from personal_avatar.ranking import clip, clip_files
from personal_avatar.ranking.nouns import Ranked
from personal_avatar.studio import CreateRequest, Studio, TrainRequest, neighbours
from personal_avatar.studio.best_of import BestOf
from personal_avatar.studio.picking import free, table
from personal_avatar.studio.rankings import RankRequest, RankTask
from personal_avatar.studio.sortings import JUDGES, LEDGER, scored_in, sort_pictures

from tests.unit.api.house import GOOD, SAMPLES, build_studio

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> Studio:
    return build_studio(tmp_path_factory.mktemp("house") / "data", face_weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    for path in (*GOOD[3:6], SAMPLES / "someone-else.jpg", SAMPLES / "no-face.jpg"):
        shutil.copy(path, found / path.name)
    infotext = "a woman\nSteps: 20, Seed: 7, CFG scale: 5.5, Size: 512x512"
    save_picture(load_picture(GOOD[3]), found / "copy.png", infotext)
    (found / "broken.jpg").write_bytes(b"nothing")
    return found


def ranked(studio: Studio, request: RankRequest) -> JobView:
    view = studio.queue.wait(studio.rankings.start(request).id, 60)
    assert view.status.state is State.SUCCEEDED, view.status.error
    return view


@pytest.fixture(scope="module")
def done(studio: Studio, folder: Path) -> JobView:
    return ranked(studio, RankRequest(folder=folder, references=tuple(GOOD[:3])))


def test_a_folder_comes_back_best_first_with_its_parts_and_what_could_not_be_read_apart(done: JobView) -> None:
    result = done.result or {}
    names = [image["title"] for image in result["images"]]
    assert set(names[:3]) <= {*(path.name for path in GOOD[3:6]), "copy.png"}
    assert names[-2:] == ["someone-else.jpg", "no-face.jpg"]
    assert [one["title"] for one in result["unreadable"]] == ["broken.jpg"]
    first = result["images"][0]
    assert {"overall", "quality", "diversity", "sharpness", "clear"} <= set(first["scores"])
    assert (result["scored"], result["of"]) == (7, 7)
    assert any("one recogniser" in sentence for sentence in result["remarks"])


def test_a_clip_that_cannot_be_loaded_is_a_remark(
    studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise NotImplementedError("Cannot copy out of meta tensor")

    monkeypatch.setattr(clip_files, "find", lambda folders: folder / "clip.safetensors")
    monkeypatch.setattr(clip, "load", broken)
    result = ranked(studio, RankRequest((GOOD[3],), references=tuple(GOOD[:3]))).result or {}
    assert len(result["images"]) == 1 and any("Cannot copy out of meta" in one for one in result["remarks"])


def test_a_copy_of_a_better_picture_is_behind_other_pictures(done: JobView) -> None:
    names = [image["title"] for image in (done.result or {})["images"]]
    original, copy = names.index(GOOD[3].name), names.index("copy.png")
    assert max(original, copy) == 3


def test_pictures_that_were_sent_are_copied_and_erased_with_the_job(studio: Studio) -> None:
    view = ranked(studio, RankRequest((GOOD[4], SAMPLES / "someone-else.jpg"), references=tuple(GOOD[:2])))
    assert [image["place"] for image in (view.result or {})["images"]] == [0, 1]
    assert (studio.jobs.folder(view.job.id) / "photos").is_dir()
    studio.gallery.erase(view.job.id)
    with pytest.raises(NotFound):
        studio.jobs.folder(view.job.id)


def test_a_second_job_about_the_same_person_goes_on_where_the_first_one_ended(
    studio: Studio, folder: Path, done: JobView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    from personal_avatar.studio import sortings

    real = sortings.scored_files
    monkeypatch.setattr(sortings, "scored_files", lambda paths, scorer: (asked.extend(paths), real(paths, scorer))[1])
    again = ranked(studio, RankRequest(folder=folder, references=tuple(GOOD[:3])))
    assert {path.name for path in asked} == {"broken.jpg"}
    ours, before = ((view.result or {})["images"] for view in (again, done))
    assert [one["title"] for one in ours] == [one["title"] for one in before]
    ranked(studio, RankRequest((GOOD[3],), references=(GOOD[5],)))  # judged by others
    assert GOOD[3].suffix in {path.suffix for path in asked[1:]}


def test_nothing_that_a_ranking_keeps_says_who_somebody_is(studio: Studio, done: JobView) -> None:
    artifacts = studio.jobs.folder(done.job.id) / "artifacts"
    assert {path.name for path in artifacts.iterdir()} >= {LEDGER, JUDGES, "ranked.json"}
    assert "embedding" not in (artifacts / LEDGER).read_text()
    looks = [one.look for one in scored_in(studio.jobs.folder(done.job.id)).values() if one.look is not None]
    assert len(looks) == 6 and all(np.isclose(np.linalg.norm(one), 1, atol=1e-2) for one in looks)


def test_more_like_one_are_its_copy_and_what_it_was_made_with(studio: Studio, done: JobView) -> None:
    names = [image["title"] for image in (done.result or {})["images"]]
    found = studio.rankings.more_like(done.job.id, names.index("copy.png"))
    assert names[found.nearest[0][0]] == GOOD[3].name and found.nearest[0][1] > 0.8
    assert found.request["prompt"] == "a woman"
    assert found.request["settings"] == {"seed": 7, "steps": 20, "guidance": 5.5, "width_px": 512, "height_px": 512}
    for number in (6, 99):  # an unreadable picture has no number
        with pytest.raises(NotFound):
            studio.rankings.more_like(done.job.id, number)


def told_by_a_picture(studio: Studio, folder: Path, infotext: str) -> dict[str, Any]:
    """What a ranked picture with this infotext is to be asked for again with, the picture itself left out."""
    picture = save_picture(load_picture(GOOD[3]), folder / "told.png", infotext)
    view = ranked(studio, RankRequest((picture,), references=(GOOD[0],)))
    request = studio.rankings.more_like(view.job.id, 0).request
    return {name: value for name, value in request.items() if name not in ("image", "strength")}


@pytest.mark.parametrize(("infotext", "request_"), [
    ("Pumpkin Seed: 7, Steps: 9\nNegative prompt: bad,\nSize: 9x9\nSteps: 20, CFG scale: 7, Seed: 5, Size: 64x128",
     {"prompt": "Pumpkin Seed: 7, Steps: 9", "negative_prompt": "bad,\nSize: 9x9",
      "settings": {"seed": 5, "steps": 20, "guidance": 7.0, "width_px": 64, "height_px": 128}}),
    ("a\nSteps: 20, CFG scale: 1.2.3, Seed: 5", {"prompt": "a", "negative_prompt": "",
                                                 "settings": {"seed": 5, "steps": 20}}),
    (f"a\nSteps: 999, CFG scale: 900, Seed: {'9' * 9999}, Size: 99999x512",
     {"prompt": "a", "negative_prompt": "", "settings": {"height_px": 512}}),
    ("a\nSteps: 20, Seed: 4294967296, Size: 64x64x64, CFG scale: 7e3",
     {"prompt": "a", "negative_prompt": "", "settings": {"steps": 20}}),
])
def test_what_a_picture_says_of_itself_can_be_asked_for(
    studio: Studio, tmp_path: Path, infotext: str, request_: dict[str, Any]
) -> None:
    assert told_by_a_picture(studio, tmp_path, infotext) == request_


def test_what_is_alike_is_read_once_and_no_picture_again(
    studio: Studio, done: JobView, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(studio.rankings.nearest(done.job.id, 0, 9)) == 5

    def read(*_: object) -> None:
        raise AssertionError("read again")

    for name in ("load_picture", "prompt_of", "scored_in"):
        monkeypatch.setattr(neighbours, name, read)
    assert len(studio.rankings.nearest(done.job.id, 0, 9)) == 5
    assert len(studio.rankings.nearest(done.job.id, 1, 3)) == 3


def test_a_portrait_that_is_left_keeps_its_number_among_those_alike(studio: Studio, avatar: str) -> None:
    result = created(studio, avatar, count=3)
    studio.gallery.delete(result["job"], 0)
    found = studio.rankings.more_like(result["job"], 1)
    assert found.request["settings"]["seed"] == result["images"][1]["seed"]
    assert [number for number, _ in found.nearest] == [2]
    with pytest.raises(NotFound):
        studio.rankings.more_like(result["job"], 0)


def test_pictures_that_were_sent_go_by_the_names_that_they_had(studio: Studio, tmp_path: Path) -> None:
    view = ranked(studio, RankRequest((GOOD[4],), references=tuple(GOOD[:2])))
    assert f"1,{GOOD[4].name}," in studio.rankings.table(view.job.id)
    (entry,) = studio.gallery.of(view.job.id)
    assert entry.name == GOOD[4].name != entry.portrait.path.name
    (taken,) = studio.rankings.take([entry.shown], tmp_path, names=[entry.name])
    assert taken.name == f"001-{GOOD[4].name}"


def test_the_best_are_copied_in_order_and_nothing_is_overwritten(studio: Studio, done: JobView, tmp_path: Path) -> None:
    best = studio.rankings.best(done.job.id, 2, filters=("likeness>=0.6",))
    for _ in range(2):
        studio.rankings.take(best, tmp_path / "best")
    assert sorted(path.name[:3] for path in (tmp_path / "best").iterdir()) == ["001", "001", "002", "002"]
    moved = studio.rankings.take(list((tmp_path / "best").iterdir()), tmp_path / "moved", True)
    assert len(moved) == 4 and not list((tmp_path / "best").iterdir())


def test_a_name_that_is_free_and_fits_is_taken_as_it_is(tmp_path: Path) -> None:
    wanted = tmp_path / "Mr. Anna Maria Schmidt at the sea"
    assert free(wanted) == wanted
    wanted.symlink_to(tmp_path / "a disk that is away")
    assert free(wanted).name == "Mr-2. Anna Maria Schmidt at the sea"


def test_a_table_has_every_score_and_no_formula() -> None:
    broken = Ranked(Path("b.png"), None, error={"code": "UNREADABLE"})
    rows = [Ranked(Path("=evil.png"), 0.5, {"overall": 0.4}, 1), broken]
    lines = table(rows).splitlines()
    assert lines[0].startswith("place,file,overall,likeness,second")
    assert lines[1].startswith("1,'=evil.png,0.4,0.5,,") and lines[2].endswith("UNREADABLE")


@pytest.mark.parametrize(("request_", "error"), [
    (RankRequest(references=(GOOD[0],)), NotFound),
    (RankRequest((GOOD[0],)), InvalidSettings),
    (RankRequest(folder=Path("/nowhere/at/all"), references=(GOOD[0],)), NotFound),
])
def test_what_cannot_work_is_refused_at_once(studio: Studio, request_: RankRequest, error: type[Exception]) -> None:
    with pytest.raises(error):
        studio.rankings.start(request_)


def test_a_cancelled_ranking_keeps_what_was_scored(studio: Studio, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(GOOD[0], tmp_path / "photos" / "her.jpg")
    task, control, told = RankTask("", (), (), str(folder), ("her.jpg",)), Control(tmp_path), []

    def emit(event: object) -> None:
        told.append(event)
        if isinstance(event, Progress) and event.step == 2:
            control.ask(CANCEL)

    with pytest.raises(Cancelled) as caught:
        sort_pictures(studio, task, tmp_path, emit, control)  # type: ignore[arg-type]
    result = caught.value.result or {}
    assert (result["scored"], result["of"]) == (2, 7)
    assert len(result["images"]) + len(result["unreadable"]) == 2


# -- best of N


def portrait(likeness: float | None, style: str = "a", quality: float = 1.0) -> Portrait:
    return Portrait(Path("x.png"), 1, "", style, likeness, {"quality": quality}, 1)


def test_a_style_is_done_when_it_has_its_share_of_good_pictures() -> None:
    quota = BestOf(3, 0.6, ["a", "b"])
    assert (quota.missing("a", 4), quota.missing("b", 4)) == (1, 2)
    for one in (portrait(None), portrait(0.59), portrait(0.9, quality=0.1)):
        quota.note(one)
        assert quota.missing("a", 4) == 1
    quota.note(portrait(0.6))
    assert (quota.missing("a", 4), quota.missing("b", 1)) == (0, 1)
    assert quota.document(8) == {
        "keep_good": 3, "good_from": 0.6, "good": 1, "made": 4, "of": 8, "stopped_early": True
    }
    assert "4 more were not made" in quota.sentence(8)
    assert "no more than 4 are made" in quota.sentence(4)


def test_no_style_is_left_out_and_none_counts_twice() -> None:
    few = BestOf(1, 0.6, ["a", "b", "c"])
    assert [few.missing(style, 4) for style in "abc"] == [1, 1, 1]
    twice = BestOf(4, 0.6, ["a", "a"])
    assert twice.missing("a", 8) == 4


def test_without_a_number_of_good_ones_all_are_made() -> None:
    quota = BestOf(0, 0.0, ["a"])
    assert quota.missing("a", 4) == 4 and quota.document(8) is None


@pytest.fixture(scope="module")
def avatar(studio: Studio) -> str:
    """Somebody who was trained, by the first drawing."""
    job = studio.trainings.start(TrainRequest("Anna", tuple(GOOD[:4]), "woman", consent="yes"))
    view = studio.queue.wait(job.id, 60)
    assert view.status.state is State.SUCCEEDED, view.status.error
    return job.avatar_id


def created(studio: Studio, avatar: str, **settings: object) -> dict[str, Any]:
    wanted = {"restore": False, "seed": 5, **settings}
    job = studio.create(CreateRequest(avatar, prompt="{subject} in the rain", settings=wanted))
    view = studio.queue.wait(job.id, 60)
    assert view.status.state is State.SUCCEEDED, view.status.error
    return {**(view.result or {}), "job": job.id}


def test_making_pictures_stops_when_there_are_enough_good_ones_and_says_so(studio: Studio, avatar: str) -> None:
    result = created(studio, avatar, count=8, keep_good=3, good_from=0.01)
    assert len(result["images"]) == 3
    assert result["best_of"] == {
        "keep_good": 3, "good_from": 0.01, "good": 3, "made": 3, "of": 8, "stopped_early": True
    }
    said = [record.event.message for record in studio.events(result["job"]) if record.event.kind == "log"]  # type: ignore[union-attr]
    assert any("5 more were not made" in sentence for sentence in said)


def test_never_more_are_made_than_asked_for_and_what_is_good_follows_from_the_photos(
    studio: Studio, avatar: str
) -> None:
    result = created(studio, avatar, count=4, keep_good=4)
    assert len(result["images"]) == 4 and result["best_of"]["stopped_early"] is False
    assert studio.analyser().same_person_above < result["best_of"]["good_from"] < 0.95
    scores = [image["scores"].get("overall", 0.0) for image in result["images"]]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.5


def test_more_like_a_portrait_asks_for_the_same_person_style_and_seed(studio: Studio, avatar: str) -> None:
    result = created(studio, avatar, count=4)
    found = studio.rankings.more_like(result["job"], 1)
    assert found.request["avatar_id"] == avatar and found.request["prompt"] == "{subject} in the rain"
    assert found.request["settings"]["seed"] == result["images"][1]["seed"]
    assert found.request["image"] == Path(result["images"][1]["path"]) and len(found.nearest) == 3


def test_an_avatar_ranks_pictures_and_its_ranking_is_erased_with_it(studio: Studio, avatar: str, folder: Path) -> None:
    view = ranked(studio, RankRequest(folder=folder, avatar_id=avatar))
    assert (view.result or {})["images"][0]["title"] in {path.name for path in GOOD[3:6]} | {"copy.png"}
    assert not [path for path in studio.delete_avatar(avatar)["left"] if Path(path).is_relative_to(folder)]
    with pytest.raises(NotFound):
        studio.jobs.folder(view.job.id)
    assert len(list(folder.iterdir())) == 7
