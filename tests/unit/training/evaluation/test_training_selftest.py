from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.errors import BaseUnsupported, NotAlike, SelfTestFailed
from personal_avatar.training import compute
from personal_avatar.training.evaluation import selftest
from personal_avatar.training.evaluation.samples import SampleSettings, Shot
from personal_avatar.training.families import registry as families
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods import registry
from personal_avatar.training.methods.base import State, TrainingMethod
from personal_avatar.training.planning.plan import DreamboothPlan, LoraPlan, TextualInversionPlan, TrainPlan
from personal_avatar.training.results.document import Numbers
from personal_avatar.wording import LANGUAGES, text

pytestmark = pytest.mark.slow

SHOTS = (Shot("sks man", 1), Shot("a photo of sks man", 2))
SETTINGS = SampleSettings(64, steps=2)
TRAINED = Numbers({"plan": {"learning_rate": 5.0, "steps": 2}})
GENTLER = text("error.NOT_ALIKE.damaged", setting="learning_rate", value="2.5")
LORA = LoraPlan(rank=2, conv_rank=2, text_encoder_learning_rate=1e-4)
CASES: dict[str, tuple[Method, TrainPlan]] = {
    "lora": (Method.LORA, LORA),
    "dora": (Method.DREAMBOOTH_LORA, LoraPlan(rank=2, text_encoder_learning_rate=1e-4, dora=True)),
    "dreambooth": (Method.DREAMBOOTH, DreamboothPlan(text_encoder_learning_rate=1e-6)),
    "textual-inversion": (Method.TEXTUAL_INVERSION, TextualInversionPlan(vectors=2)),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in Family}


def started(base: BaseModelFile, case: str) -> tuple[DiffusionModel, selftest.BarePictures, TrainingMethod]:
    """A model, pictures of it, and then a method on it."""
    torch.set_num_threads(1)
    model = families.load(base, compute.choose("fp32"), 64)
    bare = selftest.bare_pictures(model, SHOTS, SETTINGS)
    method, plan = CASES[case]
    return model, bare, registry.attach(method, model, plan, trigger="sks man", class_noun="man")


def change(method: TrainingMethod, how: Callable[[torch.Tensor], torch.Tensor]) -> State:
    state = {key: how(weight) for key, weight in method.state().items()}
    method.load(state)
    return state


def test_a_checkpoint_of_values_that_are_no_numbers_is_named(bases: dict[Family, BaseModelFile]) -> None:
    model = families.load(bases[Family.SD1], compute.choose("fp32"), 64)
    with torch.no_grad():
        next(model.unet.parameters()).fill_(float("nan"))
    with pytest.raises(BaseUnsupported, match=r"safetensors answers with NaN or infinite values\. Download"):
        selftest.bare_pictures(model, SHOTS, SETTINGS)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("case", CASES)
def test_a_trained_file_passes_and_its_weights_stay_loaded(
    bases: dict[Family, BaseModelFile], family: Family, case: str, tmp_path: Path
) -> None:
    model, bare, method = started(bases[family], case)
    generator = torch.Generator().manual_seed(2)
    change(method, lambda weight: weight + 0.2 * torch.randn(weight.shape, generator=generator))
    method.save(tmp_path / "a.safetensors", {})
    assert selftest.check_file(tmp_path / "a.safetensors", model, method, bare) > 0
    read = method.read(tmp_path / "a.safetensors")
    assert all(torch.equal(weight, read[key].float()) for key, weight in method.state().items())


@pytest.mark.parametrize("case", ["lora", "dora", "dreambooth"])
def test_a_file_that_was_not_trained_fails(bases: dict[Family, BaseModelFile], case: str, tmp_path: Path) -> None:
    model, bare, method = started(bases[Family.SD1], case)
    method.save(tmp_path / "a.safetensors", {})
    with pytest.raises(SelfTestFailed, match="changes nothing"):
        selftest.check_file(tmp_path / "a.safetensors", model, method, bare)


@pytest.mark.parametrize("case", CASES)
def test_a_file_with_infinite_numbers_fails(bases: dict[Family, BaseModelFile], case: str, tmp_path: Path) -> None:
    model, bare, method = started(bases[Family.SD1], case)
    change(method, lambda weight: weight * torch.inf)
    method.save(tmp_path / "a.safetensors", {})
    with pytest.raises(SelfTestFailed, match="NaN or infinite"):
        selftest.check_file(tmp_path / "a.safetensors", model, method, bare)


def test_a_checkpoint_that_changes_at_weight_zero_fails(bases: dict[Family, BaseModelFile], tmp_path: Path) -> None:
    model, bare, method = started(bases[Family.SD1], "dreambooth")
    change(method, lambda weight: weight * 1.05)
    method.save(tmp_path / "a.safetensors", {})
    other = selftest.bare_pictures(model, SHOTS, SETTINGS)
    with pytest.raises(SelfTestFailed, match="weight 0"):
        selftest.check_file(tmp_path / "a.safetensors", model, method, other)


def test_likeness_that_did_not_rise_fails(tmp_path: Path) -> None:
    selftest.check_likeness(tmp_path / "a", 0.30, 0.31, TRAINED)
    with pytest.raises(SelfTestFailed, match=r"0\.300"):
        selftest.check_likeness(tmp_path / "a", 0.30, 0.30, TRAINED)
    with pytest.raises(NotAlike, match=r"\(0\.000, 0\.000 before\)"):
        selftest.check_likeness(tmp_path / "a", -0.0001, -0.0002, TRAINED)


@pytest.mark.parametrize(("floor", "after", "hint"), [
    (0.30, 0.30, NotAlike.default_hint), (0.30, 0.24, NotAlike.default_hint), (0.05, 0.0, NotAlike.default_hint),
    (0.498, 0.0, GENTLER), (0.498, 0.3, GENTLER), (0.05, -0.1, GENTLER),
])
def test_a_training_that_took_the_likeness_away_is_advised_to_be_gentler(
    floor: float, after: float, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(NotAlike) as caught:
        selftest.check_likeness(tmp_path / "a", floor, after, TRAINED)
    assert caught.value.hint == hint


def test_where_the_rate_was_many_times_the_usual_one_that_one_is_advised(tmp_path: Path) -> None:
    fast = Numbers({**TRAINED.document, "usual_learning_rate": 0.25})
    with pytest.raises(NotAlike) as caught:
        selftest.check_likeness(tmp_path / "a", 0.30, 0.29, fast)
    assert caught.value.hint == text("error.NOT_ALIKE.damaged", setting="learning_rate", value="0.25")


@pytest.mark.parametrize(("before", "after", "hint"), [
    (1.0, 0.5, GENTLER), (None, 0.5, GENTLER), (1.0, 0.8, NotAlike.default_hint), (0.5, 0.5, NotAlike.default_hint),
])
def test_a_training_that_took_the_faces_away_is_advised_to_be_gentler(
    before: float | None, after: float, hint: str, tmp_path: Path
) -> None:
    rows = {"scores": [{"step": 1, "merit": 0.0, "faces_found": after}], "untrained": {"faces_found": before}}
    with pytest.raises(NotAlike) as caught:
        selftest.check_likeness(tmp_path / "a", 0.05, 0.04, Numbers({**TRAINED.document, **rows}))
    assert caught.value.hint == hint


@pytest.mark.parametrize(("side", "steps", "hint"), [
    (64, 2, "set resolution_px 192, sample_steps 16, and train again"), (64, 16, "set resolution_px 192, and train"),
    (192, 2, "set sample_steps 16, and train"), (192, 16, "use a checkpoint that draws people better"),
])
def test_test_pictures_without_a_face_are_not_told_as_too_little_learned(
    side: int, steps: int, hint: str, tmp_path: Path
) -> None:
    plan = {**TRAINED.document["plan"], "resolution_px": side, "sample_steps": steps}
    numbers = Numbers({"plan": plan, "native_px": 192})
    with pytest.raises(NotAlike, match="^No face was found in any of the test pictures") as caught:
        selftest.check_likeness(tmp_path / "a", 0.0, 0.0, numbers)
    assert hint in caught.value.hint
    with pytest.raises(NotAlike, match="look no more like the person"):
        selftest.check_likeness(tmp_path / "a", 0.01, 0.0, numbers)


def test_an_optimiser_that_chooses_its_own_rate_is_given_fewer_steps(tmp_path: Path) -> None:
    numbers = Numbers({"plan": {"steps": 1000, "learning_rate": 1.0, "optimiser": "prodigy"}})
    with pytest.raises(NotAlike, match="set steps to 600, and train again"):
        selftest.check_likeness(tmp_path / "a", 0.5, 0.0, numbers)


def test_all_remedies_for_a_likeness_that_did_not_rise_are_said_in_every_language() -> None:
    for part in ("hint", "damaged", "faceless", "no_people"):
        said = [text(f"error.NOT_ALIKE.{part}", language) for language in LANGUAGES]
        assert len(set(said)) == len(LANGUAGES)
