"""The same photos through several methods, and through none: what is begun, what is left out, what is not begun."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ldm_layout import usual
from miniatures import make as make_checkpoint
from personal_avatar.domain import Family, Method, from_json
from personal_avatar.errors import (
    BaseUnsupported,
    ConsentMissing,
    InvalidSettings,
    TooFewPhotos,
    WeightsMissing,
    WrongState,
)
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.compared import beside
from personal_avatar.training.planning.task import OnePhotoTask

from tests.unit.api.house import GOOD, LEARN, SAMPLES, build_studio, failing
from tests.unit.jobs.children import PATIENT

REQUEST = TrainRequest("Anna", tuple(GOOD[:3]), "woman", consent="she agreed")
Make = Callable[..., Studio]


@pytest.fixture()
def make(tmp_path: Path, face_weights: Path) -> Make:
    return lambda *learn: build_studio(tmp_path / "data", face_weights, *learn)


@pytest.fixture()
def equipped(make: Make, faceid: Path) -> Iterator[Make]:
    """Studios whose host has FaceID for SD 1."""
    def made(*learn: str) -> Studio:
        studio = make(*learn)
        folder = studio.host.folders().identity_folders[0]
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(faceid, target_is_directory=True)
        return studio

    yield made


def test_a_comparison_trains_every_method_once_on_the_same_photos(make: Make) -> None:
    studio = make()
    methods = (Method.LORA, Method.TEXTUAL_INVERSION)
    started = studio.comparing.start(replace(REQUEST, plan={"steps": 7, "rank": 4, "vectors": 2}), methods)
    views = [studio.queue.wait(job.id, 60) for job in started.jobs]
    assert started.left_out == {}
    assert [view.status.state for view in views] == [State.SUCCEEDED] * 2
    assert [view.job.payload["plan"] for view in views] == [{"steps": 7, "rank": 4}, {"steps": 7, "vectors": 2}]
    assert views[0].job.payload["photos"] == views[1].job.payload["photos"]
    assert {point.method for point in studio.avatars.load(views[0].job.avatar_id).checkpoints} == set(methods)
    assert studio.comparing.rows(views[0].job.avatar_id)[0].method in {method.value for method in methods}


def compared(studio: Studio, learn: str, request: TrainRequest = REQUEST) -> list[tuple[str, str]]:
    """Method and error of each row after a LoRA and new words were compared."""
    studio.host.learn = learn  # type: ignore[attr-defined]
    jobs = studio.comparing.start(request, (Method.LORA, Method.TEXTUAL_INVERSION)).jobs
    for job in jobs:
        studio.queue.wait(job.id, 60)
    rows = studio.comparing.rows(jobs[0].avatar_id)
    return [(row.method, row.error.code if row.error else "") for row in rows]


def test_a_method_that_failed_has_a_row_that_says_why_and_nothing_older_stands_for_it(make: Make) -> None:
    studio = make()
    assert set(compared(studio, LEARN)) == {("lora", ""), ("textual-inversion", "")}
    assert compared(studio, failing("lora")) == [("textual-inversion", ""), ("lora", "OUT_OF_VRAM")]
    assert compared(studio, failing("textual-inversion")) == [("lora", ""), ("textual-inversion", "OUT_OF_VRAM")]
    assert studio.comparing.sheet(studio.avatars.load("anna")).startswith(b"\x89PNG")
    assert set(compared(studio, LEARN)) == {("lora", ""), ("textual-inversion", "")}


def cutting_short(method: str) -> str:
    """`LEARN`, where trainings by `method` are cancelled and keep what was done."""
    kept = (
        f'if payload["method"] == "{method}":\n'
        '    point = {"path": "/x/half.safetensors", "sha256": "", "step": 5, "method": payload["method"],\n'
        '             "family": "sd1", "trigger": "sks woman"}\n'
        '    result = {"files": [point["path"]], "checkpoints": [point], "reference": [1.0], "recogniser": "r",\n'
        '              "dataset_fingerprint": "f", "method": payload["method"], "engine": payload["engine"],\n'
        '              "base": payload["base"]["title"]}\n'
        '    emit(Failed({"code": "CANCELLED", "message": "m", "hint": "", "result": result}))\n'
        "    sys.exit(1)\n"
    )
    return LEARN.replace('if job["kind"] == "one-photo":', kept + 'if job["kind"] == "one-photo":', 1)


def test_a_method_that_was_cut_short_has_a_row_unless_it_was_measured_before(make: Make) -> None:
    studio = make()
    assert compared(studio, cutting_short("lora")) == [("textual-inversion", ""), ("lora", "")]
    files = [row.file for row in studio.comparing.rows("anna")]
    assert files == ["anna.safetensors", "half.safetensors"]
    compared(studio, LEARN)
    compared(studio, cutting_short("lora"))
    assert {row.file for row in studio.comparing.rows("anna")} == {"anna.safetensors"}


def test_results_on_other_photos_do_not_stand_beside_a_failure(make: Make) -> None:
    studio = make()
    compared(studio, LEARN)
    studio.host.learn = failing("lora")  # type: ignore[attr-defined]
    job = studio.trainings.start(replace(REQUEST, photos=(GOOD[1],)))
    studio.queue.wait(job.id, 60)
    rows = studio.comparing.rows(job.avatar_id)
    assert [(row.method, row.error.code if row.error else "") for row in rows] == [("lora", "OUT_OF_VRAM")]


def test_what_stands_beside_a_job_stays_when_other_photos_were_trained_on_since(make: Make) -> None:
    studio = make()
    compared(studio, LEARN)
    first, second = studio.jobs.views()
    later = studio.trainings.start(replace(REQUEST, photos=(GOOD[1],)))
    assert beside(studio.jobs.view(later.id), studio.jobs.views()) == [], "it has not ended"
    studio.queue.wait(later.id, 60)
    views = studio.jobs.views()
    for view in (first, second):
        assert {row.method for row in beside(view, views)} == {"lora", "textual-inversion"}
    assert [row.method for row in beside(studio.jobs.view(later.id), views)] == ["lora"]


def test_a_method_leaves_what_is_meant_for_another_and_that_is_told(make: Make) -> None:
    plan = {"optimiser": "muon", "learning_rate": 4e-3, "dreambooth.steps": 9}
    started = make().comparing.start(replace(REQUEST, plan=plan), (Method.LORA, Method.DREAMBOOTH))
    of_lora = {"optimiser": "muon", "learning_rate": 4e-3}
    assert [job.payload["plan"] for job in started.jobs] == [of_lora, {"steps": 9}]
    assert {way: share.left for way, share in started.shares.items()} == {"lora": {}, "dreambooth": of_lora}


def test_new_words_have_no_prior_whatever_the_others_have(make: Make) -> None:
    started = make().comparing.start(
        replace(REQUEST, plan={"prior_weight": 0.5}), (Method.LORA, Method.TEXTUAL_INVERSION)
    )
    assert [job.payload["plan"] for job in started.jobs] == [{"prior_weight": 0.5}, {}]


def test_the_sheet_is_in_the_language_of_whoever_compared_last(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from personal_avatar.reports import comparison_sheet as sheets

    asked: list[str] = []
    written = sheets.comparison_sheet

    def sheet(title: str, rows: Any, language: str) -> Any:
        asked.append(language)
        return written(title, rows, language)

    monkeypatch.setattr(sheets, "comparison_sheet", sheet)
    studio = make()
    for language in ("vi", "en", "zh"):
        started = studio.comparing.start(replace(REQUEST, language=language), ("lora",))
        studio.queue.wait(started.jobs[-1].id, 60)
        assert studio.comparing.sheet(studio.avatars.load("anna")).startswith(b"\x89PNG")
    assert asked == ["vi", "en", "zh"]


def test_a_language_that_there_is_not_is_refused(make: Make) -> None:
    studio, request = make(), replace(REQUEST, language="fr")
    for start in (studio.trainings.start, studio.comparing.start):
        with pytest.raises(InvalidSettings, match="language must be one of en, vi, zh, got 'fr'"):
            start(request)
    assert studio.jobs.ids() == []


@pytest.mark.parametrize(("plan", "methods"), [
    ({"speed": 1}, (Method.LORA,)), ({"vectors": 2}, (Method.LORA,)), ({"rank": 0}, (Method.LORA,)), ({}, ()),
    ({"optimiser": "prodigy", "text_encoder_learning_rate": 1e-4}, (Method.LORA,)),
    ({}, ("no-such",)), ({"rank": 4}, ("one-photo",)),
])
def test_a_comparison_that_cannot_work_starts_nothing(
    make: Make, plan: dict[str, object], methods: tuple[str, ...]
) -> None:
    studio = make()
    with pytest.raises(InvalidSettings):
        studio.comparing.start(replace(REQUEST, plan=plan), methods)
    assert studio.jobs.ids() == []


@pytest.mark.parametrize(("photos", "said"), [
    (GOOD[:2], "Found 2 usable photos, need 3."),
    ([*GOOD[:2], SAMPLES / "no-face.jpg"], "Found 2 usable photos, need 3 (1 no face)."),
])
def test_a_comparison_of_too_few_photos_is_refused_once_before_there_is_any_job(
    make: Make, photos: list[Path], said: str
) -> None:
    studio = make()
    with pytest.raises(TooFewPhotos) as caught:
        studio.comparing.start(replace(REQUEST, photos=tuple(photos)), [method.value for method in Method])
    assert caught.value.message == said and caught.value.hint
    assert studio.jobs.ids() == [] and studio.avatars.all() == []


def test_photos_are_looked_at_when_nothing_else_speaks_against_a_comparison(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = make()
    studio.queue.start_lane = lambda kind: None  # type: ignore[method-assign]
    studio.trainings.start(REQUEST)
    monkeypatch.setattr(studio, "check_photos", lambda *_, **__: pytest.fail("looked at"))
    few = replace(REQUEST, photos=tuple(GOOD[:2]))
    with pytest.raises(WrongState, match="already"):
        studio.comparing.start(few, ["lora"])
    with pytest.raises(ConsentMissing):
        studio.comparing.start(replace(few, name="Berta", consent=""), ["lora"])


def test_as_many_photos_are_needed_as_goal_and_settings_say(make: Make) -> None:
    studio = make(PATIENT)
    one = replace(REQUEST, photos=(GOOD[0],))
    with pytest.raises(TooFewPhotos, match="need 5"):
        studio.comparing.start(replace(REQUEST, plan={"min_photos": 5}), ["lora"])
    assert studio.comparing.start(replace(one, plan={"goal": "one-photo"}), ["lora"]).jobs


def test_what_the_photos_alone_lack_is_told_with_the_remedy_and_the_trainings_go_on(make: Make) -> None:
    studio = make(PATIENT)
    started = studio.comparing.start(
        replace(REQUEST, checkpoint=usual(studio.host.folders().checkpoints)), ["lora", "one-photo"]
    )
    assert [job.kind for job in started.jobs] == ["train"]
    (lacking,) = started.left_out.values()
    assert isinstance(lacking, WeightsMissing) and "buffalo_l" in lacking.message
    assert "doctor --fetch faceid-sd15 --data " in lacking.hint
    studio.queue.cancel(started.jobs[0].id, keep_checkpoint=False)


def test_nothing_is_begun_when_the_photos_alone_were_wanted_and_something_is_missing(make: Make) -> None:
    studio = make()
    with pytest.raises(BaseUnsupported, match="avatar-tiny.safetensors has not the size"):
        studio.comparing.start(REQUEST, ["one-photo"])
    wanted = replace(REQUEST, checkpoint=usual(studio.host.folders().checkpoints))
    with pytest.raises(WeightsMissing):
        studio.comparing.start(wanted, ["one-photo"])
    assert studio.jobs.ids() == [] and studio.avatars.all() == []


def test_families_and_goals_without_adapters_are_left_out_by_name(equipped: Make) -> None:
    studio = equipped()
    assert studio.comparing.lacks_one_photo(REQUEST) is None
    make_checkpoint(Family.SD2, studio.host.folders().checkpoints, name="second")
    other = studio.comparing.lacks_one_photo(replace(REQUEST, checkpoint="second"))
    assert isinstance(other, BaseUnsupported) and "Stable Diffusion 2" in other.message
    style = studio.comparing.lacks_one_photo(replace(REQUEST, plan={"goal": "style"}))
    assert isinstance(style, InvalidSettings) and "neither a style" in style.message


@pytest.mark.slow
def test_the_photos_alone_come_last_and_stand_in_the_same_table(equipped: Make) -> None:
    studio = equipped()
    started = studio.comparing.start(replace(REQUEST, plan={"steps": 7, "rank": 4}), ["one-photo", "lora"])
    assert [job.kind for job in started.jobs] == ["train", "one-photo"] and started.left_out == {}
    views = [studio.queue.wait(job.id, 60) for job in started.jobs]
    task = from_json(OnePhotoTask, views[1].job.payload)
    assert [str(photo) for photo in task.training.photos] == views[0].job.payload["photos"]
    assert task.training.plan == {"steps": 7}  # it has no rank
    assert task.identity_folders == studio.host.folders().identity_folders
    rows = studio.comparing.rows(views[0].job.avatar_id)
    assert [(row.method, row.numbers["recovered"]) for row in rows] == [("lora", 0.5), ("one-photo", 0.3)]
    assert studio.avatars.load("anna").best is not None
    assert studio.comparing.sheet(studio.avatars.load("anna")).startswith(b"\x89PNG")


@pytest.mark.parametrize(("state", "hint"), [
    (State.RUNNING, "Wait, or cancel it."), (State.QUEUED, "Wait, or cancel it."), (State.PAUSED, "Resume it (`"),
])
def test_of_several_jobs_the_one_that_is_furthest_stands_in_the_way_of_another(
    make: Make, state: State, hint: str
) -> None:
    studio = make()
    studio.queue.start_lane = lambda kind: None  # type: ignore[method-assign]
    jobs = studio.comparing.start(REQUEST, [method.value for method in Method]).jobs
    for job in jobs if state is State.PAUSED else [*jobs[:2], jobs[3]]:
        studio.queue.hold(job.id)
    named = jobs[0] if state is State.PAUSED else jobs[2]
    if state is State.RUNNING:
        studio.jobs.move(named.id, state)
    with pytest.raises(WrongState) as caught:
        studio.trainings.start(REQUEST)
    assert caught.value.details == {"job_id": named.id} and caught.value.hint.startswith(hint)


@pytest.mark.parametrize("name", ["", "A\nB"])
def test_all_that_is_wrong_with_what_was_written_is_told_at_once(make: Make, name: str) -> None:
    wrong = replace(REQUEST, name=name, class_noun="ink style", plan={"goal": "anime", "rank": "ten", "steps": -1})
    studio = make()
    for start in (studio.trainings.start, studio.comparing.start):
        with pytest.raises(InvalidSettings) as caught:
            start(wrong)
        for words in ("The name ", "rank must be a whole number in [1, 256]", "steps must be in", "means a style"):
            assert words in caught.value.message


def test_it_waits_for_the_trainings_of_the_same_person_and_hinders_new_ones(equipped: Make) -> None:
    studio = equipped(PATIENT)
    studio.queue.start_lane = lambda kind: None  # type: ignore[method-assign]
    first, second = studio.comparing.start(REQUEST, ["lora", "one-photo"]).jobs
    assert studio.jobs.claim(first.id)
    assert not studio.queue._has_room(second)
    studio.jobs.release(first.id)
    assert not studio.queue._has_room(second), "the other one is next"
    studio.queue.cancel(first.id)
    assert studio.queue._has_room(second)
    with pytest.raises(WrongState, match="already"):
        studio.trainings.start(REQUEST)
    assert [view.job.id for view in studio.jobs.views(states=ACTIVE)] == [second.id]
