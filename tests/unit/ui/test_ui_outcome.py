"""What a training tells of its choice and what to do better, in the language of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import Checkpoint, Family, Likeness, Method, Scores, to_json
from personal_avatar.jobs.job import Job, JobView, Status
from personal_avatar.jobs.states import State
from personal_avatar.reports.comparison import columns, row_of
from personal_avatar.studio import Studio
from personal_avatar.studio.works import TRAIN
from personal_avatar.ui import trained_files
from personal_avatar.ui.comparison import _line
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.labels import NAMED, labels
from personal_avatar.ui.outcome import _made, _told, outcome_html
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import JobWatch, Scene
from personal_avatar.ui.texts import LANGUAGES, table, text

Told = Callable[[dict[str, Any], str], str]
WRITTEN: dict[str, Any] = {"choice": "The checkpoint of step 2 was chosen.", "advice": ["Set <steps> to 600."]}
CODES = {
    "choice_codes": [
        {"code": "NO_GAIN", "values": {"step": 2.0, "count": 3}},
        {"code": "NEXT_BEST", "values": {"step": 4.0, "merit": 0.25}},
    ],
    "advice_codes": [{"code": "LEAKAGE", "values": {"leakage": 0.2, "setting": "prior_weight", "value": 0.3}}],
}


@pytest.fixture
def told(studio: Studio) -> Told:
    def said(result: dict[str, Any], language: str) -> str:
        desk = Desk(studio, ask_folder=False)
        return _told(result, Scene(studio, desk, JobWatch(studio), language, "b1" * 16, {}), Shelf("told"))

    return said


def test_choice_and_advice_are_said_in_the_language_of_the_page(told: Told) -> None:
    result = {**WRITTEN, **CODES}
    assert "Điểm tốt thứ hai là bước 4" in told(result, "vi")
    assert 'lang="en"' not in told(result, "vi") and "was chosen" not in told(result, "vi")


@pytest.mark.parametrize(("language", "said"), [
    ("en", "set “{}” to 0.3"), ("vi", "hãy đặt “{}” là 0.3"), ("zh", "请将 “{}” 设为 0.3"),
])
def test_a_setting_is_called_as_its_widget_is(told: Told, language: str, said: str) -> None:
    found = told({**WRITTEN, **CODES}, language)
    assert said.format(text("plan.prior_weight", language)) in found and "prior_weight" not in found


def test_every_setting_in_every_advice_has_a_label() -> None:
    names = {name for key in table() if key.startswith("train_advice.") for name in NAMED.findall(text(key, "en"))}
    assert {"save_count", "held_out", "min_face_px", "steps"} <= names <= labels().keys()


@pytest.mark.parametrize("codes", [
    {}, {"choice_codes": [{"code": "NEW", "values": {}}], "advice_codes": []},
    {"choice_codes": [{"code": "NO_GAIN", "values": {"step": 2.0}}]},
    {"choice_codes": [{"code": "NO_GAIN", "values": {}}]},
])
def test_a_result_of_another_version_is_shown_as_it_was_written(told: Told, codes: dict[str, Any]) -> None:
    said = told({**WRITTEN, **codes}, "vi")
    assert '<span lang="en">The checkpoint of step 2 was chosen.</span>' in said
    assert '<li><span lang="en">Set &lt;steps&gt; to 600.</span></li>' in said


def test_the_focus_stays_on_the_link_to_the_report_when_it_is_made_anew(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "0123abcd" / "report.html"
    path.parent.mkdir()
    path.write_text("<h1>Report</h1>")
    assert 'id="pa-report-told-0123abcd"' in told({"report": str(path)}, "en")


@pytest.mark.parametrize(("trained_with", "told"), [(0, False), (1, False), (2, True)])
def test_clip_skip_is_told_where_it_is_another_than_prompts_are_read_by(
    studio: Studio, trained_with: int, told: bool
) -> None:
    point = Checkpoint(
        Path("/x/anna.safetensors"), "", 2, Method.LORA, Family.SD1, "sks woman", clip_skip=trained_with
    )
    scene = Scene(studio, Desk(studio, ask_folder=False), JobWatch(studio), "en", "b1" * 16, {})
    said = dict(_made({"checkpoint": to_json(point)}, scene))
    assert (said.get("Clip skip", "").startswith(f"{trained_with}, not 1:")) is told


def ended(result: dict[str, Any], state: State = State.SUCCEEDED) -> JobView:
    """A training of Ida."""
    return JobView(Job("1", TRAIN, "Ida", "u", "ida", 0.0, {}), Status(state), result=result)


def points(tmp_path: Path, *wanted: tuple[float | None, str]) -> tuple[Checkpoint, ...]:
    """Files that are there: of this likeness, 0.1 before, None where it was not measured, and measured at this place.
    """
    made = []
    for number, (after, place) in enumerate(wanted, 1):
        path = tmp_path / f"{number}.safetensors"
        path.touch()
        scores = None if after is None else Scores(Likeness(0.1, after, 0.9))
        made.append(Checkpoint(path, "", 2, Method.LORA, Family.SD1, "sks woman", None, scores, place))
    return tuple(made)


@pytest.mark.parametrize(("wanted", "said"), [
    ([(0.5, "a"), (0.4, "a")], "better than the newest, LoRA (2.safetensors)"),
    ([(0.5, "a"), (0.1, "b")], "The best is LoRA (1.safetensors): the newest, LoRA (2.safetensors), learned nothing"),
    ([(0.5, "a"), (0.4, "b")], "LoRA (2.safetensors), trained last, is used: the others were measured differently"),
    ([(0.5, "a"), (0.6, "a"), (None, "a")], "The best is LoRA (2.safetensors): of the files that were measured as"),
    ([(0.5, "a"), (None, "a")], "As the best counts LoRA (1.safetensors): the others were not measured."),
    ([(None, "a"), (None, "a")], "(2.safetensors), which was trained last: none of the files was measured."),
])
def test_why_a_file_is_the_best_is_told_as_it_is(
    wanted: list[tuple[float | None, str]], said: str, tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = points(tmp_path, *wanted)
    scene = Scene(studio, Desk(studio, ask_folder=False), JobWatch(studio), "en", "b1" * 16, {})
    for name in ("_points", "_fitting"):
        monkeypatch.setattr(trained_files, name, lambda scene: there)
    assert said in trained_files._why(scene)
    labels = [label for label, _ in trained_files._follow(scene)["choices"][1:]]
    assert sum("not measured" in label for label in labels) == sum(after is None for after, _ in wanted)


def test_a_training_that_is_not_the_best_says_what_portraits_are_made_with(studio: Studio) -> None:
    folder = studio.host.folders().loras
    folder.mkdir(parents=True, exist_ok=True)
    better, worse = points(folder, (0.5, "a"), (0.4, "a"))
    avatar = studio.avatars.open("Ida", user_id="u", class_noun="woman", statement="yes")
    studio.avatars.save(avatar.with_checkpoints((better, worse)))

    def told(point: Checkpoint) -> str:
        view = ended({"checkpoint": to_json(point)})
        scene = Scene(studio, Desk(studio, ask_folder=False), JobWatch(studio), "en", "b1" * 16, {})
        return outcome_html(view, scene, Shelf("told"))

    said = "trained files is LoRA (1.safetensors): portraits are made with it, unless you choose LoRA (2.safetensors)"
    assert said in told(worse) and "trained files is" not in told(better)


@pytest.mark.parametrize(("measured", "kind", "words"), [
    ({"likeness": {"floor": 0.61, "after": 0.59, "ceiling": 0.83}}, "warn", "Ida is ready, but was not learned: "),
    ({"likeness": {"floor": 0.6, "after": 0.602, "ceiling": 0.83}}, "warn", "no more alike than before the training."),
    ({"resemblance": {"floor": 0.6, "after": 0.5, "ceiling": 0.8}}, "warn", "Ida is ready, but was not learned"),
    ({"likeness": {"floor": 0.6, "after": 0.7, "ceiling": 0.83}}, "good", "Ida is ready."),
    ({"resemblance": {"floor": 0.6, "after": 0.7, "ceiling": 0.8}}, "good", "Ida is ready."),
    ({"likeness": None}, "info", "Ida is ready, but how alike pictures are was not measured."),
])
def test_a_training_that_learned_nothing_is_no_success(
    studio: Studio, measured: dict[str, Any], kind: str, words: str
) -> None:
    scene = Scene(studio, Desk(studio, ask_folder=False), JobWatch(studio), "en", "b1" * 16, {})
    told = outcome_html(ended(measured), scene, Shelf("told"))
    assert f'<div class="pa-box pa-{kind}"' in told and words in told


@pytest.mark.parametrize(("likeness", "said"), [
    ({"floor": 0.1, "after": 0.5, "ceiling": 0.9}, ">LoRA<"), (None, ">LoRA, not measured<"),
])
def test_a_row_of_what_was_cut_short_says_that_it_was_not_measured(
    studio: Studio, likeness: dict[str, float] | None, said: str
) -> None:
    row = row_of({"method": "lora", "engine": "diffusers", "likeness": likeness})
    scene = Scene(studio, Desk(studio, ask_folder=False), JobWatch(studio), "en", "b1" * 16, {})
    assert said in _line(row, columns([row]), scene)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("measured", "explained"), [
    ({"likeness": {"floor": 0.6, "after": 0.7, "ceiling": 0.8}}, True),
    ({"resemblance": {"floor": 0.6, "after": 0.7, "ceiling": 0.8}}, True), ({"likeness": None}, False),
])
def test_why_numbers_of_the_choice_are_not_those_above_is_told_beside_them(
    told: Told, language: str, measured: dict[str, Any], explained: bool
) -> None:
    said = told({**WRITTEN, **CODES, **measured}, language)
    assert (text("report.seeds", language) in said) is explained
