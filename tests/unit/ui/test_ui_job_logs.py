"""What a job tells while it works is told in the language of the page."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import BaseModelFile, Family, Method, Portrait
from personal_avatar.errors import NoFace
from personal_avatar.host import Folders
from personal_avatar.networks import mismatches
from personal_avatar.photos.alike import Chosen
from personal_avatar.problems import known
from personal_avatar.restoration.everybody import RestoredPicture
from personal_avatar.studio import characters
from personal_avatar.studio.best_of import BestOf
from personal_avatar.training.planning.idle import idle
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.ui.remarks import COUNTED, OF_PHOTO, told
from personal_avatar.ui.texts import DEFAULT, LANGUAGES, has, text
from safetensors.numpy import save_file

from tests.unit.ui.sources import MODULES, Module

OTHERS = [one for one in LANGUAGES if one != DEFAULT]
BASE = BaseModelFile(Path("a"), "a", Family.SDXL, prediction="epsilon")


def test_what_jobs_tell_is_found_in_the_sources() -> None:
    found = {(module.name, said) for module in MODULES for _, said in module.logged()}
    assert found >= {
        ("training/engines/own.py", "log.compiles"), ("training/loop.py", "log.blew_up"),
        ("training/parking.py", "log.no_memory"),
        ("training/resuming.py", "log.going_on"), ("worker/cluster/sending.py", "log.working"),
        ("jobs/running.py", "log.keeping"), ("studio/characters.py", "log.character"),
        ("webui/sharing.py", "log.webui_trains"),
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_what_jobs_tell_is_made_of_texts_of_the_table(module: Module) -> None:
    assert [(line, said) for line, said in module.logged() if not (has(said) and said.startswith("log."))] == []


def test_a_sentence_that_is_none_of_the_table_is_found(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        'def work(emit, step):\n    emit(Log(f"Step {step}."))\n    emit(Log(text("log.going_on", step=step)))\n'
        '    emit(Log(_why(step)))\ndef _why(step):\n    return "Because." if step else text("log.no_such_key")\n'
    )
    assert [said for _, said in Module(source).logged()] == ["Step 7.", "log.going_on", "Because.", "log.no_such_key"]


def harms() -> Iterator[str]:
    """Sentences about settings that do nothing or harm, as many as there are, in plans that have them all."""
    chosen = {
        "clip_skip": 2, "scale_v_loss": True, "keep_tags": 3, "schedule": "constant", "steps_per_photo": 9, "steps": 40,
        "prior_dropout": 0.5, "class_pictures": 7, "prior_styles": 0.5, "warmup_steps": 39, "held_out": 0.5,
    }
    for method, prior in (("lora", 0.0), ("lora", 1.0), ("textual-inversion", 0.0)):
        kind = PLANS[Method(method)]
        values = {name: value for name, value in chosen.items() if name in kind.__fields__}
        plan = kind(**values, prior_weight=prior, optimiser="prodigy", learning_rate=0.001)
        yield from idle(plan, BASE, {*values, "learning_rate", "trigger_word", "weight_decay"})


@pytest.mark.parametrize("language", OTHERS)
def test_settings_that_do_nothing_are_told_with_the_reason_under_their_labels(language: str) -> None:
    said = set(harms())
    assert len(said) > 8
    for one in said:
        found = told(one, language)
        english = "has no effect|prior_weight|steps is|answers|only|factor|at most"
        assert found and not re.search(english, found), (one, found)


NUMBERS = dict.fromkeys(COUNTED, "7")


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_the_log_is_found_again_by_its_english_words_and_by_no_others(language: str) -> None:
    for key in (key for key in known("log") if key != OF_PHOTO):
        filled = dict.fromkeys(re.findall(r"\{(\w+)\}", text(key)), "x.y") | NUMBERS
        assert told(text(key, **filled), language) == text(key, language, **filled), key


@pytest.mark.parametrize(("sentence", "chinese"), [
    (text("log.died", cause="The disk is full (/d/a).", number=2, total=3),
     "磁盘已满（/d/a）。 正从最近保存的状态重新开始（第 2 次，共 3 次）。"),
    ("a.jpg: " + text("remark.FACE_GONE"), "a.jpg：" + text("remark.FACE_GONE", "zh")),
    ("sd-scripts has no DoRA (dora).", text("problem.all", "zh", told=text("problem.kohya.dora", "zh", name="dora"))),
    ("Pictures of man: 9. Others were made and left out: 2 without a face, 1 like the person.",
     "man 的图片：9。另有生成后被剔除的：2 张没有人脸、1 张像所训练的人物。"),
    ("a.png is left unrestored: the likeness would fall from 0.512 to 0.402.",
     "a.png 保持原样，不作修复：相似度会从 0.512 降到 0.402。"),
    (f"a.png was not restored: {NoFace(text('failure.no_face', file='a.png'))}",
     f"a.png 未被修复：{text('failure.no_face', 'zh', file='a.png')} {text('error.NO_FACE.hint', 'zh')}"),
    (text("log.replaced", file="a.ckpt", differences=", and ".join(
        [text("replaced.prediction", prediction="velocity"), text("replaced.no_snr")])),
     text("log.replaced", "zh", file="a.ckpt", differences="、".join(
        [text("replaced.prediction", "zh", prediction="velocity"), text("replaced.no_snr", "zh")]))),
    ("Something that nobody knows.", ""),
])
def test_what_stands_within_a_sentence_is_told_in_the_language_of_the_page(sentence: str, chinese: str) -> None:
    assert told(sentence, "zh").replace(f"“{text('plan.dora', 'zh')}”", "dora") == chinese


def of_pictures(folder: Path) -> Iterator[str]:
    """What jobs that make pictures tell of what they made, of what prompts name, and of faces that stay."""
    for runner_up in (None, 0.3):
        yield characters._sentence(Chosen((0, 1), (0.4, 0.6), 0.5, runner_up), 9)
    for wanted, count in ((1, 4), (2, 1), (1, 1)):
        quota = BestOf(wanted, 0.5, ["a"])
        quota.note(Portrait(folder / "a.png", 1, "", likeness=0.9, style="a"))
        yield quota.sentence(count)
    folders = Folders(folder, folder, folder, folder)
    (folder / "broken.safetensors").write_bytes(b"x")
    save_file({"a": np.zeros(1)}, folder / "other.safetensors", {"ss_base_model_version": "sd_v1"})
    yield from mismatches("<lora:broken:1> <lora:other:1> <lora:missing:1> other broken", BASE, folders, "<lora:a:1>")
    for why in (*map(text, known("unrestored")), RestoredPicture(np.zeros(1), ()).reason):
        yield text("log.unrestored", file="a.png", unrestored=why)


@pytest.mark.parametrize("language", OTHERS)
def test_what_jobs_that_make_pictures_tell_of_them_is_told_in_the_language_of_the_page(
    tmp_path: Path, language: str
) -> None:
    said = list(of_pictures(tmp_path))
    english = "pictures|stays as|it is|LoRA .* (cannot|was)|named|negative|restorer"
    assert len(said) > 13
    assert [one for one in said if not told(one, language) or re.search(english, told(one, language))] == []
