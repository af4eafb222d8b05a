"""What speaks against a checkpoint, the trainer or the other engine is told in the language of the page."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ldm_layout import STANDARD, STANDARD_SDXL, Shapes, header_only, shapes_of
from personal_avatar import errors
from personal_avatar.domain import BaseModelFile, Family, Goal, Method
from personal_avatar.environment import kohya, trainer
from personal_avatar.errors import AvatarError, BaseUnsupported
from personal_avatar.problems import known
from personal_avatar.standalone.checkpoints import CheckpointShelf
from personal_avatar.training.engines.kohya.limits import fitted
from personal_avatar.training.families import detect
from personal_avatar.training.families.detect import FIRST_LAYER, UNET, VAE
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.planning.fitness import refuse_unfit
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.ui.labels import of_base, problem, reasons
from personal_avatar.ui.markup import error_box, stored_error_box
from personal_avatar.ui.texts import text

from tests.miniatures import MINIATURE
from tests.unit.ui.test_ui_start_errors import OTHERS, told_without_english

PACKAGE = Path(errors.__file__).parent
FULL = shapes_of(STANDARD)
# Words of English sentences; none of them is a name, or a word of the other languages.
ENGLISH = re.compile(r"\b(?:is|are|has|have|the|not|cannot|it|its|of|missing|must|needs|which|there)\b")


def refused_by(check: Callable[[], object]) -> AvatarError:
    try:
        check()
    except AvatarError as error:
        return error
    raise AssertionError("nothing was refused")


def without(*prefixes: str) -> Shapes:
    return {name: shape for name, shape in FULL.items() if not name.startswith(prefixes)}


def of_shapes() -> Iterator[Shapes]:
    """Of everything that is taken for a checkpoint and is none that can be trained."""
    for mark in (*detect._OTHER_PARTS, f"model.{FIRST_LAYER}", "x"):
        yield {mark: (1,)}
    for mark in (*detect._VIDEO, *detect._EDM):
        yield {**shapes_of(STANDARD_SDXL), f"{mark}x": (1,)}
    for channels in (*detect._OTHER_INPUTS, 6):
        yield {**FULL, FIRST_LAYER: (320, channels, 3, 3)}
    bare = {name: shape for name, shape in FULL.items() if name.startswith(UNET)}
    refiner, numbers = {"conditioner.embedders.0.model.x": (1,)}, {f"{UNET}label_emb.0.0.weight": (1,)}
    yield from ({**FULL, FIRST_LAYER: (4,)}, {**bare, **refiner}, bare, without("cond_stage_model."))
    yield {**bare, **numbers, "conditioner.embedders.0.transformer.x": (1,)}
    yield from (without(VAE), without(f"{UNET}out.2.weight"), without(f"{UNET}middle_block.1."), shapes_of(MINIATURE))
    yield {**FULL, f"{UNET}middle_block.1.proj_in.weight": ()}
    yield {**FULL, f"{UNET}out.2.weight.absmax": (1,)}


@pytest.mark.parametrize("language", OTHERS)
def test_what_a_checkpoint_is_instead_is_told_without_english(language: str, tmp_path: Path) -> None:
    for number, shapes in enumerate(of_shapes()):
        path = header_only(tmp_path / f"{number}.safetensors", shapes)
        error = refused_by(lambda path=path: refuse_unfit(BaseModelFile(path, "a", Family.SD1)))  # type: ignore[misc]
        assert isinstance(error, BaseUnsupported)
        assert not ENGLISH.search(told_without_english(error, language)), error
        assert stored_error_box(error.to_json(), language) == error_box(error, language)


CONTENTS = (
    b"", b"<html>", b"GGUF\x03" + bytes(200), b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    b'{"metadata": {"total_size": 9},\n"weight_map": {"a": "b"}}', b'{"_class_name": "StableDiffusionPipeline"}',
    b"Zugriff verweigert", b"\xff" * 99, (9**9).to_bytes(8, "little") + b"{}", (99).to_bytes(8, "little") + b"{}",
    b"PK\x03\x04" + bytes(99),
)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_what_a_file_holds_instead_of_weights_is_told_without_english(
    language: str, suffix: str, tmp_path: Path
) -> None:
    for number, content in enumerate(CONTENTS):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        told_without_english(refused_by(lambda path=path: read_shapes(path)), language)  # type: ignore[misc]


@pytest.mark.parametrize("language", OTHERS)
def test_a_checkpoint_that_is_not_there_is_told_without_english(language: str, tmp_path: Path) -> None:
    shelf = CheckpointShelf(tmp_path, tmp_path / "settings.json", tmp_path / "cache")
    (tmp_path / "settings.json").write_text('{"checkpoint": "of old"}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model_index.json").write_text("{}")
    (tmp_path / "a-00001-of-00002.ckpt").write_bytes(b"x")
    for check in (
        lambda: read_shapes(tmp_path / "it is gone.ckpt"), lambda: read_shapes(tmp_path / "folder"),
        lambda: read_shapes(tmp_path / "a-00001-of-00002.ckpt"), lambda: shelf.find("at home"), shelf.current,
        lambda: shelf.install(tmp_path / "nowhere"),
    ):
        told_without_english(refused_by(check), language)


@pytest.mark.parametrize("language", OTHERS)
def test_a_trainer_or_an_engine_that_is_missing_is_told_without_english(language: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "lock").write_text("")
    for check in (
        lambda: trainer.find(tmp_path, tmp_path / "lock"), lambda: kohya.find(tmp_path),
        lambda: kohya.find(tmp_path, str(tmp_path / "empty"), {}),
    ):
        told_without_english(refused_by(check), language)


def kohya_plans() -> Iterator[tuple[Method, Family, dict[str, object]]]:
    """Every setting that the other engine may lack, by itself."""
    choices: list[dict[str, object]] = [
        {"ema_decay": 0.9}, {"stop_at": 0.8}, {"timesteps": "middle"}, {"low_first": 0.5}, {"gpus": 2, "accumulate": 2},
        {"compile": "on"}, {"clip_skip": 2}, {"caption_dropout": 0.1}, {"dora": True}, {"words_factor": 4.0},
        {"blocks": "late"}, {"conv_rank": 8}, {"prior_weight": 0.5}, {"prior_from": "both"}, {"prior_styles": 0.3},
        {"prior_after": 0.3}, {"text_encoder_learning_rate": 1e-5, "prior_from": "both", "prior_weight": 1.0},
        *({"optimiser": name} for name in OPTIMISERS), *({"goal": goal.value} for goal in Goal),
    ]
    for method, family, values in itertools.product(Method, Family, choices):
        known_to = PLANS[method].__fields__
        new_words = method is Method.TEXTUAL_INVERSION and "prior_weight" in values
        if all(name in known_to for name in values) and not new_words:
            yield method, family, values


@pytest.mark.parametrize("language", OTHERS)
def test_what_the_other_engine_cannot_do_is_told_without_english(language: str, tmp_path: Path) -> None:
    sizes = {family: header_only(tmp_path / f"{family.value}.safetensors", FULL) for family in Family}
    said: set[str] = set()
    for (method, family, values), version in itertools.product(kohya_plans(), ("0.9.1", "0.10.1")):
        plan, base = PLANS[method](**values), BaseModelFile(sizes[family], "a", family)
        for chosen in ((), tuple(values)):
            try:
                said |= set(fitted(plan, base, method, chosen, version)[1])
            except errors.InvalidSettings as error:
                assert not ENGLISH.search(told_without_english(error, language)), error
    for sentence in said:
        assert problem(sentence, language) and not ENGLISH.search(problem(sentence, language)), sentence
    assert len(said) > 20


@pytest.mark.parametrize("shapes", [
    {**FULL, FIRST_LAYER: (320, 9, 3, 3)}, without(VAE), shapes_of(MINIATURE), {"lora_unet_x": (1,)},
])
def test_a_checkpoint_that_the_other_engine_cannot_train_is_told_without_english(
    shapes: Shapes, tmp_path: Path
) -> None:
    base = BaseModelFile(header_only(tmp_path / "a.safetensors", shapes), "a", Family.SD1)
    error = refused_by(lambda: fitted(PLANS[Method.LORA](), base, Method.LORA, ()))
    for language in OTHERS:
        assert not ENGLISH.search(told_without_english(error, language)), error


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_the_table_is_found_again_by_its_english_words(language: str) -> None:
    places = {"content": "a LoRA", "unusual": "unusual attention", "format": "a scale", "cause": "it is empty",
              "path": "/a/b", "wanted": "'a b'", "file": "It is a file of mine.ckpt"}
    meant = {**places, **{name: of_base(places[name], language) for name in ("content", "unusual", "format", "cause")}}
    for key in (*known("base"), *known("trainer")):
        others = dict.fromkeys(re.findall(r"\{(\w+)\}", text(key)), "7")
        assert of_base(text(key, **others | places), language) == text(key, language, **others | meant), key


@pytest.mark.parametrize(("sentence", "said"), [
    ("mine.ckpt is quantised: t.weight is a scale.", "mine.ckpt 已被量化：t.weight（缩放系数）。"),
    ("a.ckpt has unusual attention, levels of attention.", "a.ckpt 有"),
    ("There is no checkpoint at of mine.", "of mine 处没有底模。"),
    ("There is no checkpoint at a.ckpt.", "a.ckpt 处没有底模。"),
    ("two\nlines.ckpt has no VAE in it.", "two\nlines.ckpt 中没有 VAE。"),
])
def test_a_sentence_is_told_in_chinese_whatever_its_file_is_called(sentence: str, said: str) -> None:
    assert of_base(sentence, "zh").startswith(said)


def test_a_list_stands_in_chinese_with_its_own_commas() -> None:
    assert reasons(" (2 blurred, 1 no face)", "zh").count("、") == 1 and ", " not in reasons(" (2 x, 1 no face)", "zh")


ROOMS = ("training", "standalone/checkpoints.py", "webui/checkpoints.py", "webui/describe.py", "webui/borrowed.py",
         "webui/generation.py", "environment/trainer.py", "environment/kohya.py", "pickles.py")
KINDS = {"BaseUnsupported", "BaseNotFound", "NoCheckpoint", "TrainerMissing", "EngineMissing"}


def test_all_that_is_said_of_them_comes_from_the_table() -> None:
    files = [path for room in ROOMS for path in ([PACKAGE / room] if "." in room else (PACKAGE / room).rglob("*.py"))]
    written = [
        f"{path.name}: {ast.unparse(node)}" for path in files for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS
        and any(isinstance(part, ast.Constant | ast.JoinedStr) for part in node.args)
    ]
    assert written == []
