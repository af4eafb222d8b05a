"""What ends a job that runs is told in the language of the page: each error that one can raise has its texts there."""
from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
from personal_avatar import errors
from personal_avatar.naming import named
from personal_avatar.problems import known
from personal_avatar.ui.failures import ENDINGS, KEPT, PERSON, WORDS, happened, remedied
from personal_avatar.ui.markup import stored_error_box, words_of
from personal_avatar.ui.remarks import told
from personal_avatar.ui.texts import DEFAULT, LANGUAGES, has, text

from tests.unit.ui.sources import MODULES, Module

VRAM = f"error.{errors.OutOfVram.code}"
OTHERS = [one for one in LANGUAGES if one != DEFAULT]
TOLD = ("failure.", "base.", "trainer.", "error.", "problem.", "ending.")  # what happened, and what to do:
DONE = ("remedy.", "ending.hint.", "error.")


def test_the_errors_of_jobs_are_found_in_the_sources() -> None:
    found = {(module.name, kind) for module in MODULES for kind, *_ in module.told()}
    assert len(found) > 60
    assert {
        ("training/evaluation/selftest.py", "NotAlike"), ("training/engines/kohya/child.py", "OutOfVram"),
        ("jobs/endings.py", "Crashed"), ("worker/cluster/ray_cluster.py", "ClusterUnreachable"),
        ("webui/selftest_lora.py", "SelfTestFailed"), ("identity/references.py", "NoFace"),
    } <= found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_error_of_a_job_is_made_of_texts_of_the_table(module: Module) -> None:
    fitting = {"message": TOLD, "hint": DONE}
    told = [(kind, line, part, said) for kind, line, part, said in module.told()]
    assert [one for one in told if not (has(one[3]) and one[3].startswith(fitting[one[2]]))] == []


def test_an_error_in_words_of_its_own_is_found(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        'WHY = "It blew up."\ndef work(step):\n    if step: raise NanLoss(WHY, f"Go back to {step}.")\n'
        '    raise stated(Killed, "failure.no_such_key", "remedy.again" if step else "remedy.list_of_jobs")\n'
    )
    assert {said for *_, said in Module(source).told()} == {
        "It blew up.", "Go back to 7.", "failure.no_such_key", "remedy.again", "remedy.list_of_jobs",
    }


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("error", [
    MemoryError(), RuntimeError("CUDA out of memory"), RuntimeError("CUDNN_STATUS_NOT_SUPPORTED"), OSError(28, "Full"),
    OSError(28, "Full", "/d/a"), OSError(30, "Read-only", "/d/a"), RuntimeError("invalid device function"), KeyError(1),
], ids=repr)
def test_what_libraries_raise_is_told_in_the_language_of_the_page(error: Exception, language: str) -> None:
    assert not words_of(named(error), language)[2]


NUMBERS = dict.fromkeys(
    ("count", "number", "width", "height", "needed", "free", "total", "step", "low", "high", "multiple"), "7",
)
CODE = {"code": "-11 (SIGSEGV)"}
PATHS = dict.fromkeys(("place", "folder"), "/d/x y.safetensors")


@pytest.mark.parametrize("language", OTHERS)
def test_every_failure_of_the_table_is_found_again_by_its_english_words_and_by_no_others(language: str) -> None:
    for key in (*known("failure"), *ENDINGS):
        if key not in (WORDS, PERSON, KEPT):
            filled = dict.fromkeys(re.findall(r"\{(\w+)\}", text(key)), "x.y") | NUMBERS | CODE | PATHS
            filled |= {"words": ""} if "words" in filled else {}
            assert happened(text(key, **filled), language) == text(key, language, **filled), key


@pytest.mark.parametrize(("message", "chinese"), [
    ("The job's process ended with exit code -11 (SIGSEGV). Its last words: a | b",
     "任务的进程以退出代码 -11 (SIGSEGV) 结束。最后的输出：a | b"),
    ("The job's process ended with exit code 1.", "任务的进程以退出代码 1 结束。"),
    ("Anna: No face was found in any of the 3 photos.", "Anna：在 3 张照片中都没有找到人脸。"),
    ("lora.safetensors is a LoRA, not an adapter for faces.", "lora.safetensors 是 LoRA，不是人脸模型文件。"),
    ("Without a.safetensors the WebUI makes pictures; with it, it fails: The WebUI made no picture.",
     "没有 a.safetensors 时 WebUI 能生成图片；有它时则失败：WebUI 没有生成图片。"),
    ("The job's process ended with exit code -11 (SIGSEGV). Its last words: exit code 1. Its last words: c",
     "任务的进程以退出代码 -11 (SIGSEGV) 结束。最后的输出：exit code 1. Its last words: c"),
    ("a.png cannot be read: the mask cannot be read: b (c).", "无法读取 a.png：the mask cannot be read: b (c)。"),
    ("The moon is round: it is far.", ""),
    ("Anna: Ben: No face was found in the photo.", ""),  # of one person at a time
])
def test_what_stands_within_a_sentence_is_told_in_the_language_of_the_page(message: str, chinese: str) -> None:
    assert happened(message, "zh") == chinese


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("key", "values"), [
    ("failure.kohya_vram", {}), ("ending.nan.kohya", {"step": "120"}), ("failure.kohya_crashed", {"code": "1"}),
])
def test_what_sd_scripts_had_saved_is_told_after_what_ended_it(
    key: str, values: dict[str, str], language: str
) -> None:
    words = {"words": text(WORDS, tail="a | b: c (d).")} if "{words}" in text(key) else {}
    said = {"words": text(WORDS, language, tail="a | b: c (d).")} if words else {}
    saved = {"step": "100", "place": "/d/x: y/anna-step00000100.safetensors"}
    message = (text(key, **values, **words) if values else text(key)) + text(KEPT, **saved)
    told = (text(key, language, **values, **said) if values else text(key, language)) + text(KEPT, language, **saved)
    assert happened(message, language) == told


@pytest.mark.parametrize("key", [f"{VRAM}.hint", f"{VRAM}.cudnn"])
def test_the_smaller_plan_of_a_training_without_room_is_told_under_the_labels_of_the_page(key: str) -> None:
    usual = text(key)
    hint = text("ending.hint.smaller", changes="batch_size 1, accumulate 4", usual=usual)
    rank, times = text("plan.batch_size", "vi"), text("plan.accumulate", "vi")
    said = text("ending.hint.smaller", "vi", changes=f"“{rank}” 1, “{times}” 4", usual=text(key, "vi"))
    assert remedied(hint, "vi") == said


MISFITS = "Error(s) in loading state_dict for UNet2DConditionModel:\n" + "\n".join(
    f"\tsize mismatch for down_blocks.{at}.attn.to_k.weight: copying a param with shape torch.Size([320, 768]) from "
    f"checkpoint, the shape in current model is torch.Size([320, 1024])." for at in range(200)
)
# Texts of failures: what stands between their places, and what looks as if one stood in another.
PIECES = [*{part for key in known("failure") for part in re.split(r"\{\w+\}", text(key))}, ": ", "\n", "x", " (", "%s{"]


def hostile() -> list[str]:
    draw = random.Random(5)
    repeated = [piece * (size // len(piece)) for piece in PIECES if piece for size in (1990, 100_000)]
    mixed = ["".join(draw.choices(PIECES, k=count)) for count in (3, 10, 30, 100, 4000) for _ in range(10)]
    nested = [text("failure.unexpected", cause="x") * 50, "x is broken: " * 150, "a: " * 666, "a: " * 33_000, MISFITS]
    return [*repeated, *mixed, *nested]


def test_any_text_of_a_library_or_log_is_answered_at_once() -> None:
    """Up to 100 kB: while it is looked for in the table, the whole WebUI waits."""
    slowest = 0.0
    for message in hostile():
        began = time.process_time()
        happened(message, "vi")
        told(message, "vi")
        remedied(message, "vi")
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 1.0


def test_what_a_library_says_at_length_is_told_by_its_first_line_and_its_box_is_there_at_once() -> None:
    kept = named(RuntimeError(MISFITS)).to_json()
    began = time.process_time()
    box = stored_error_box(kept, "zh")
    assert time.process_time() - began < 0.5
    assert text("failure.unexpected", "zh", cause=kept["message"].partition(": ")[2].rstrip(".")) in box
    assert "UNet2DConditionModel" in box and "size mismatch" not in box


