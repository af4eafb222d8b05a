"""Boxes of errors: first what happened and what to do in the user's language, below it the exact words, in English."""

from __future__ import annotations

import logging
import re
from html import unescape
from pathlib import Path

import pytest
from personal_avatar import errors
from personal_avatar.commandline import named_here
from personal_avatar.errors import (
    AvatarError,
    BaseUnsupported,
    Cancelled,
    Crashed,
    DiskFull,
    EngineMissing,
    GenerationFailed,
    InvalidSettings,
    JobDamaged,
    Killed,
    NanLoss,
    NotAlike,
    OutOfVram,
    PageFailed,
    WeightsMissing,
)
from personal_avatar.identity.shelf import Shelf
from personal_avatar.params import Settings, validated
from personal_avatar.problems import known
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.training.planning import needs
from personal_avatar.training.planning.plan import LoraPlan
from personal_avatar.ui.failures import ENDINGS, OWN_HINTS
from personal_avatar.ui.labels import label, labelled
from personal_avatar.ui.markup import error_box, stored_error_box, words_of
from personal_avatar.ui.refusal import failed_here
from personal_avatar.ui.texts import DEFAULT, LANGUAGES, text
from personal_avatar.weights import fetch
from personal_avatar.weights.registry import SETS, YUNET

KINDS = [kind for kind in errors._all_errors(AvatarError) if kind.__module__ == errors.__name__]


def lines(html: str) -> list[str]:
    """What a box says, from above; the sign before its title is left out."""
    found = re.findall(r"<(?:strong|p)[^>]*>(?:<span.*?</span>)?(.*?)</(?:strong|p)>", html)
    return [unescape(line) for line in found]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.code))
def test_every_failure_begins_in_the_users_language_and_keeps_its_words(kind: type[AvatarError]) -> None:
    error = kind("a.safetensors broke at step 12.", "Do this with a.safetensors.")
    for language in LANGUAGES:
        said = lines(error_box(error, language))
        assert said[0] == text(f"error.{kind.code}.title", language)
        assert "a.safetensors broke at step 12." in " ".join(said[1:])
        assert "Do this with a.safetensors." in said[-1]
        assert stored_error_box(error.to_json(), language) == error_box(error, language)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.default_hint], ids=lambda kind: str(kind.code))
def test_what_is_usually_done_is_said_in_the_users_language_alone(kind: type[AvatarError]) -> None:
    for language in LANGUAGES:
        said = lines(error_box(kind("It broke at step 12."), language))
        hint = text(f"error.{kind.code}.hint", language)
        order = ["It broke at step 12.", hint] if language == DEFAULT else [hint, "It broke at step 12."]
        assert said[1:] == order


def test_english_within_another_language_is_marked_as_english() -> None:
    error = NanLoss("The loss became infinite at step 12.")
    assert '<p lang="en">The loss became infinite' in error_box(error, "zh")
    assert "lang=" not in error_box(error, DEFAULT)


def test_nothing_is_said_twice() -> None:
    error = OutOfVram("The graphics card ran out of memory.")
    assert lines(error_box(error, DEFAULT)) == ["The graphics card ran out of memory", error.default_hint]
    assert lines(error_box(error, "zh"))[0] == "显存不足"


def test_advice_that_fits_better_stands_in_place_of_the_usual() -> None:
    for error in (Killed("It was ended."), Killed("It was ended.", "Start it again.")):
        assert lines(error_box(error, "vi", "Bấm Tiếp tục."))[1:] == ["Bấm Tiếp tục.", "It was ended."]


@pytest.mark.parametrize("error", [
    EngineMissing("It is not here.", named_here(EngineMissing.default_hint, Path("/d"))),
    Shelf((Path("/d/models/identity"),)).missing(*SETS["faceid-sd15"]),
    WeightsMissing("It could not be fetched.", fetch._hint(YUNET, Path("/d/weights"))),
])
def test_commands_of_an_errors_own_hint_stand_in_the_language_of_the_page(error: AvatarError) -> None:
    (command,) = re.findall("`[^`]+`", error.hint)
    for language in ("vi", "zh"):
        told = lines(error_box(error, language))[1:]
        assert any(command in one for one in told) and not any(one.startswith(error.hint[:9]) for one in told)


def test_what_is_usually_done_does_not_stand_before_what_is_done_about_this() -> None:
    error = GenerationFailed("The LoRA ink does not fit.", "Take it out of the prompt.")
    for language in ("vi", "zh"):
        assert lines(error_box(error, language))[1:] == ["The LoRA ink does not fit. Take it out of the prompt."]


def test_how_a_job_ended_and_what_is_kept_is_looked_for_in_the_table() -> None:
    assert {*known("ending")} <= {*ENDINGS, *OWN_HINTS}


@pytest.mark.parametrize(("error", "chinese"), [
    (Cancelled("The job was cancelled.", "The best checkpoint until then was kept."),
     ["任务已取消。", "此前最好的存档已保留。"]),
    (Cancelled("The job was cancelled before it began."), ["任务在开始前已取消。", "可随时重新开始。"]),
    (Cancelled("The job was cancelled.", text("jobs.keptnothing")),
     ["任务已取消。", "尚未保存任何内容，因此没有内容可保留。"]),
    (Cancelled("The job was cancelled.", "What was kept of it is of no use: it is torn."),
     ["任务已取消。", "已保留的内容无法使用：it is torn."]),
    (NanLoss("The loss became infinite at step 12, also at 0.1 times the learning rate.", text("ending.hint.fp16")),
     ["第 12 步时损失变为无穷大，学习率乘以 0.1 后依然如此。",
      "请降低学习率，或将数值精度设为 fp32：某些显卡（如 GTX 16 系列）在 fp16 下会算出 NaN 或无穷大的值。"]),
    (Killed("The program was closed while this job ran.", "Start the job again."),
     ["此任务运行时程序被关闭。", "请重新开始任务。"]),
    (Killed("sd-scripts was ended.", text("ending.hint.resume")),
     ["请继续该任务：它会从最近保存的状态接着运行。若反复发生，请查看日志和可用内存。", "sd-scripts was ended."]),
    (JobDamaged("The file that says what the job was to do was damaged or lost."),
     ["说明任务内容的文件已损坏或丢失。", text("error.JOB_DAMAGED.hint", "zh")]),
])
def test_a_box_of_a_job_that_ended_speaks_one_language(error: AvatarError, chinese: list[str]) -> None:
    said = error_box(error, "zh")
    assert lines(said)[1:] == chinese
    assert ('lang="en"' in said) == any(line.isascii() for line in chinese)
    told = [] if error.message == "The job was cancelled." and not error.hint else [error.message]
    assert lines(error_box(error, DEFAULT))[1 : 1 + len(told)] == told


def refused(kind: type[Settings], **values: object) -> InvalidSettings:
    with pytest.raises(InvalidSettings) as caught:
        validated(kind, values)
    return caught.value


@pytest.mark.parametrize(("error", "english", "chinese"), [
    (refused(LoraPlan, rank=3.7), "“Rank” must be a whole number in [1, 256], got 3.7.",
     "“秩 (rank)”必须是 [1, 256] 之内的整数，而不是 3.7。"),
    (refused(CreateSettings, loras="<ink>", count=0),
     "“Number of pictures” must be in [1, 200], got 0; "
     "“Style LoRAs” must be names with weights, such as film-grain:0.6, got '<ink>'.",
     "“图片数量”必须在 [1, 200] 之内，而不是 0; “风格 LoRA”应写成名称与权重，例如 film-grain:0.6，而不是 '<ink>'。"),
])
def test_what_is_wrong_with_settings_is_told_under_their_labels_in_the_language_of_the_page(
    error: InvalidSettings, english: str, chinese: str
) -> None:
    assert lines(error_box(error, DEFAULT))[1] == english
    assert lines(error_box(error, "zh"))[1:] == [chinese, text("error.INVALID_SETTINGS.hint", "zh")]


@pytest.mark.parametrize("cause", ["No module named 'triton'", "libcudart.so.12: cannot open", "a (b); c"])
@pytest.mark.parametrize(("language", "said"), [("vi", "không nạp được gói này"), ("zh", "无法加载它")])
def test_a_package_that_cannot_be_loaded_is_told_in_the_language_of_the_page(
    language: str, said: str, cause: str
) -> None:
    error = needs.broken("adamw8bit", cause)
    told = " ".join(words_of(error, language)[:2])
    assert said in told and cause in told and "cannot be loaded here" not in told


def test_a_training_without_likeness_is_no_broken_file() -> None:
    said = [lines(error_box(NotAlike("No more like her (0.2, 0.3 before)."), language))[0] for language in LANGUAGES]
    assert said == ["The likeness did not rise", "Độ giống không tăng", "相似度没有提高"]


def test_the_remedy_for_a_training_that_was_too_strong_is_told_in_the_language_of_the_page() -> None:
    remedy = text("error.NOT_ALIKE.damaged", setting="learning_rate", value="2.5")
    error = NotAlike("No more like her (0, 0.5 before).", remedy)
    for language in ("vi", "zh"):
        rate = text("plan.learning_rate", language)
        hint = text("error.NOT_ALIKE.damaged", language, setting=f"“{rate}”", value="2.5")
        assert lines(error_box(error, language))[1:] == [hint, error.message]


def test_test_pictures_without_a_face_are_told_in_the_language_of_the_page() -> None:
    remedy = text("error.NOT_ALIKE.faceless", changes="resolution_px 192, sample_steps 16")
    error = NotAlike(text("failure.no_face_made", place="/x/a.safetensors"), remedy)
    _, told, hint = lines(error_box(error, "vi"))
    assert told == text("failure.no_face_made", "vi", place="/x/a.safetensors")
    side, steps = (label(name, "vi") for name in ("resolution_px", "sample_steps"))
    assert hint == text("error.NOT_ALIKE.faceless", "vi", changes=f"{side} 192, {steps} 16")


def test_what_failed_on_the_page_ended_no_job(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = failed_here(KeyError("losses"))
    assert type(found) is PageFailed and "KeyError: 'losses'" in found.message
    assert "KeyError" in caplog.text
    assert "job again" not in found.hint and Crashed.default_hint not in error_box(found, DEFAULT)


def test_what_has_a_name_keeps_it_on_the_page() -> None:
    assert type(failed_here(OSError(28, "No space left on device"))) is DiskFull
    known = BaseUnsupported("It is a LoRA.")
    assert failed_here(known) is known


def test_a_setting_is_found_between_words_of_any_script() -> None:
    assert labelled("请将rank设为 8", "zh") == f"请将“{text('plan.rank', 'zh')}”设为 8"


def test_settings_are_called_as_on_the_page_and_paths_keep_their_words() -> None:
    error = InvalidSettings("A style has no class.", "Set prior_from to prediction, not /a/held_out/b.")
    for language in LANGUAGES:
        said = " ".join(lines(error_box(error, language)))
        assert f"Set “{text('plan.prior_from', language)}” to prediction, not /a/held_out/b." in said


def test_an_error_that_a_job_keeps_has_the_labels_of_the_page_too() -> None:
    with pytest.raises(InvalidSettings) as caught:
        validated(LoraPlan, {"resolution_px": 500})
    for language in LANGUAGES:
        told = stored_error_box(caught.value.to_json(), language)
        assert text("plan.resolution", language) in unescape(told) and "resolution_px" not in told
