from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from personal_avatar import publishing
from personal_avatar.domain import Avatar, BaseModelFile, Engine, Family, Method, from_json, to_json
from personal_avatar.environment import free
from personal_avatar.errors import InvalidSettings, NotWritable
from personal_avatar.networks import alias_of
from personal_avatar.training import files, optimisers
from personal_avatar.training.evaluation import grid
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.files import free_stem, write_tensors
from personal_avatar.training.methods.base import State
from personal_avatar.training.planning.counts import file_bytes
from personal_avatar.training.planning.estimate import estimate
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS, LoraPlan, TextualInversionPlan, plan_for
from personal_avatar.training.planning.presets import preset_for
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.results.kohya_texts import Shown
from personal_avatar.training.results.publish import Facts, card, metadata, publish, published_trigger
from safetensors import SafetensorError, safe_open

from tests.unit.locks import lock

AVATAR = Avatar("linh", "Linh Đào", "local", "woman", "sks woman", "2026-01-01T00:00:00Z")
SHOWN = (
    Shown("sks woman, smiling, Red hat", (128, 64)),
    Shown("sks woman, smiling", (128, 128)),
    Shown("sks woman", (128, 128), 3),
)
FACTS = Facts(
    Family.SD1, "sks woman", 128, 8, 300, 300, "Likeness 0.50", mixed_precision="bf16", shown=SHOWN, started_s=1e9
)


class OneTensor:
    """The part of a method that publishing needs."""

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        import torch

        write_tensors(path, {"x": torch.zeros(1)}, metadata)

    def state(self) -> State:
        return {}


def task(
    folder: Path, base: BaseModelFile, plan: dict[str, Any] | None = None, method: Method = Method.LORA
) -> TrainTask:
    made = TrainTask(AVATAR, folder / "avatar", (), base, method, plan or {}, folder / "Lora", folder)
    return from_json(TrainTask, to_json(made))


def put(
    folder: Path, base: BaseModelFile, method: Method = Method.LORA, job: str = "", saves: OneTensor | None = None
) -> tuple[Path, list[Path]]:
    """By a job of its own, where none is named."""
    preview = folder / "sample.png"
    preview.write_bytes(b"png")
    plan = PLANS[method](**({"conv_rank": 8} if method is Method.LORA else {}))
    place = folder / "jobs" / (job or uuid4().hex)
    return publish(saves or OneTensor(), task(folder, base, method=method), plan, FACTS, preview, place)  # type: ignore[arg-type]


def header(file: Path) -> dict[str, str]:
    with safe_open(str(file), "pt") as opened:
        return dict(opened.metadata())


def test_a_published_file_has_a_preview_and_a_card(tmp_path: Path, tiny: BaseModelFile) -> None:
    file, files = put(tmp_path, tiny)
    assert [path.name for path in files] == ["linh-dao.safetensors", "linh-dao.json", "linh-dao.png"]
    written = json.loads(file.with_suffix(".json").read_text())
    assert (written["activation text"], written["sd version"], written["preferred weight"]) == ("sks woman", "SD1", 1.0)


def test_a_file_of_the_user_is_never_replaced(tmp_path: Path, tiny: BaseModelFile) -> None:
    (tmp_path / "Lora").mkdir()
    (tmp_path / "Lora" / "linh-dao.png").write_text("mine")
    files = [put(tmp_path, tiny)[0] for _ in range(2)]
    assert [file.name for file in files] == ["linh-dao-2.safetensors", "linh-dao-3.safetensors"]
    assert (tmp_path / "Lora" / "linh-dao.png").read_text() == "mine"


WRITES = """
import sys
from pathlib import Path
import torch
from personal_avatar.training.files import write_tensors
write_tensors(Path(sys.argv[1]), {str(number): torch.zeros(2**18) for number in range(400)})
"""


def killed_while_writing(path: Path) -> None:
    """A process that writes 400 MB to `path` ends when the first of it is there."""
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(path)])
    while not any(found.is_file() and found.stat().st_size for found in path.parent.rglob("*")):
        assert writer.poll() is None
        time.sleep(0.001)
    writer.kill()
    writer.wait()
    assert not path.exists()


class Killed(OneTensor):
    """Whose process ends when the file is written that is published, or before that."""

    def __init__(self, half: bool) -> None:
        self.half = half

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        if path.parent.name != "Lora":
            return super().save(path, metadata)
        if self.half:
            killed_while_writing(path)
        else:
            super().save(path, metadata)
        raise SystemExit


@pytest.mark.parametrize("half", [False, True])
def test_what_an_attempt_left_that_was_killed_while_it_published_is_replaced(
    tmp_path: Path, tiny: BaseModelFile, half: bool
) -> None:
    with pytest.raises(SystemExit):
        put(tmp_path, tiny, job="one", saves=Killed(half))
    put(tmp_path, tiny, job="one")
    assert sorted(path.name for path in (tmp_path / "Lora").iterdir()) == [
        "linh-dao.json", "linh-dao.png", "linh-dao.safetensors",
    ]


def test_a_file_is_for_everybody_whom_its_folder_is_for(tmp_path: Path) -> None:
    OneTensor().save(tmp_path / "a.safetensors", {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_file_that_could_not_be_removed_stays_noted_beside_the_next_one(
    tmp_path: Path, tiny: BaseModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        put(tmp_path, tiny, job="one", saves=Killed(half=False))
    with monkeypatch.context() as patch:
        lock(patch, "linh-dao.safetensors")
        put(tmp_path, tiny, job="one")
    left = publishing.begun(tmp_path / "jobs" / "one")
    assert [path.name for path in left] == ["linh-dao.safetensors", "linh-dao-2.safetensors"]


def test_a_file_of_another_job_that_took_the_name_meanwhile_stays(tmp_path: Path, tiny: BaseModelFile) -> None:
    with pytest.raises(SystemExit):
        put(tmp_path, tiny, job="one", saves=Killed(half=True))
    other = put(tmp_path, tiny, Method.DREAMBOOTH, job="other")[0]
    assert put(tmp_path, tiny, job="one")[0].name == "linh-dao-2.safetensors"
    assert other.is_file() and other.with_suffix(".json").is_file()


def test_the_alias_in_the_file_is_its_name(tmp_path: Path, tiny: BaseModelFile) -> None:
    """The WebUI takes `ss_output_name` as a second name: two files with one alias would be taken for each other."""
    put(tmp_path, tiny)
    metadata = header(put(tmp_path, tiny)[0])
    assert metadata["ss_output_name"] == "linh-dao-2"
    assert metadata["ss_base_model_version"] == "sd_v1"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert json.loads(metadata["ss_network_args"]) == {"conv_dim": 8, "conv_alpha": 4.0}


def test_the_tags_of_the_pictures_are_counted_and_nobodys_files_are_named(tmp_path: Path, tiny: BaseModelFile) -> None:
    metadata = header(put(tmp_path, tiny)[0])
    assert json.loads(metadata["ss_tag_frequency"]) == {
        "1_pictures": {"sks woman": 2, "smiling": 2, "red hat": 1}, "3_pictures": {"sks woman": 1},
    }
    assert json.loads(metadata["ss_dataset_dirs"]) == {
        "1_pictures": {"n_repeats": 1, "img_count": 2}, "3_pictures": {"n_repeats": 3, "img_count": 1},
    }
    assert json.loads(metadata["ss_bucket_info"]) == {
        "buckets": {"0": {"resolution": [128, 64], "count": 1}, "1": {"resolution": [128, 128], "count": 4}}
    }
    assert metadata["ss_num_train_images"] == "5"  # with repeats, as sd-scripts counts
    assert not any(str(tmp_path) in text for text in metadata.values())
    words = header(put(tmp_path, tiny, Method.TEXTUAL_INVERSION)[0])
    assert json.loads(words["ss_tag_frequency"])["3_pictures"] == {"pa-linh-dao woman": 1}


def test_a_file_says_how_it_was_trained_in_the_words_of_sd_scripts(tmp_path: Path, tiny: BaseModelFile) -> None:
    before, plan = time.time(), LoraPlan(batch_size=2, accumulate=4, gpus=2, prior_weight=0.5, flip=True)
    found = metadata("a", task(tmp_path, tiny), plan, FACTS)
    assert {name: found[name] for name in (
        "ss_training_started_at", "ss_optimizer", "ss_lr_scheduler", "ss_lr_warmup_steps", "ss_unet_lr",
        "ss_text_encoder_lr", "ss_num_epochs", "ss_batch_size_per_device", "ss_gradient_accumulation_steps",
        "ss_total_batch_size", "ss_mixed_precision", "ss_noise_offset", "ss_min_snr_gamma", "ss_prior_loss_weight",
    )} == {
        "ss_training_started_at": "1000000000.0", "ss_optimizer": "torch.optim.adamw.AdamW",
        "ss_lr_scheduler": "cosine_with_min_lr", "ss_lr_warmup_steps": "0", "ss_unet_lr": "0.0001",
        "ss_text_encoder_lr": "None", "ss_num_epochs": "240", "ss_batch_size_per_device": "2",
        "ss_gradient_accumulation_steps": "2", "ss_total_batch_size": "8", "ss_mixed_precision": "bf16",
        "ss_noise_offset": "None", "ss_min_snr_gamma": "5.0", "ss_prior_loss_weight": "0.5",
    }
    assert before <= float(found["ss_training_finished_at"]) <= time.time()
    assert all(isinstance(text, str) for text in found.values())


def test_what_nobody_knows_of_a_training_is_left_out(tmp_path: Path, tiny: BaseModelFile) -> None:
    plain = task(tmp_path, tiny)
    found = metadata("a", plain, LoraPlan(optimiser="schedulefree"), replace(FACTS, shown=(), started_s=None))
    assert not found.keys() & {
        "ss_training_started_at", "ss_lr_scheduler", "ss_prior_loss_weight", "ss_num_epochs", "ss_tag_frequency",
        "ss_bucket_info", "ss_dataset_dirs",
    }
    elsewhere = metadata("a", replace(plain, engine=Engine.KOHYA), LoraPlan(), FACTS)
    assert not elsewhere.keys() & {"ss_batch_size_per_device", "ss_gradient_accumulation_steps", "ss_num_epochs"}
    words = metadata("a", replace(plain, method=Method.TEXTUAL_INVERSION), TextualInversionPlan(), FACTS)
    assert not words.keys() & {"ss_unet_lr", "ss_text_encoder_lr"}


@pytest.mark.parametrize("optimiser", [name for name in OPTIMISERS if name != "adamw8bit"])
def test_an_optimiser_is_called_by_its_class(optimiser: str, tmp_path: Path, tiny: BaseModelFile) -> None:
    import torch

    plan = LoraPlan(optimiser=optimiser)
    kind = type(optimisers.make([{"params": [torch.zeros(2, 2, requires_grad=True)], "lr": 1e-4}], plan))
    assert metadata("a", task(tmp_path, tiny), plan, FACTS)["ss_optimizer"] == f"{kind.__module__}.{kind.__name__}"


def test_a_file_has_the_hashes_that_sd_scripts_would_give_it(tmp_path: Path, tiny: BaseModelFile) -> None:
    """As its `precalculate_safetensors_hashes` does: of the tensors, with the texts `ss_*` alone."""
    import torch
    from safetensors.torch import load_file
    from safetensors.torch import save as in_memory

    class Large(OneTensor):
        def save(self, path: Path, metadata: dict[str, str]) -> None:
            write_tensors(path, {"b": torch.arange(300_000.0), "a": torch.arange(9, dtype=torch.float16)}, metadata)

    for method in (Method.LORA, Method.TEXTUAL_INVERSION):
        file, _ = put(tmp_path, tiny, method, job=method.value, saves=Large())
        texts = header(file)
        written = in_memory(load_file(file), {name: text for name, text in texts.items() if name.startswith("ss_")})
        whole = hashlib.sha256(written[8 + int.from_bytes(written[:8], "little") :]).hexdigest()
        assert texts["sshs_model_hash"] == whole and texts["modelspec.hash_sha256"] == f"0x{whole}"
        assert texts["sshs_legacy_hash"] == hashlib.sha256(written[0x100000:0x110000]).hexdigest()[:8]
        assert not list((tmp_path / "jobs" / method.value).glob("*.safetensors"))
    assert not any("hash_sha256" in name for name in header(put(tmp_path, tiny, Method.DREAMBOOTH)[0]))


@pytest.mark.parametrize("error", [
    NotWritable("full"), OSError(28, "No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
])
def test_without_room_for_another_file_it_goes_without_hashes(
    tmp_path: Path, tiny: BaseModelFile, error: Exception
) -> None:
    class Full(OneTensor):
        def save(self, path: Path, metadata: dict[str, str]) -> None:
            if path.parent.name != "Lora":
                raise error
            super().save(path, metadata)

    assert "sshs_model_hash" not in header(put(tmp_path, tiny, saves=Full())[0])


def test_an_embedding_is_called_by_its_file_and_its_preview_cannot_be_taken_for_one(
    tmp_path: Path, tiny: BaseModelFile
) -> None:
    (tmp_path / "Lora").mkdir()
    (tmp_path / "Lora" / "PA-linh-dao.pt").touch()
    file, files = put(tmp_path, tiny, Method.TEXTUAL_INVERSION)
    stem = "pa-linh-dao-2"
    assert [path.name for path in files] == [f"{stem}.safetensors", f"{stem}.json", f"{stem}.preview.png"]
    words = task(tmp_path, tiny, method=Method.TEXTUAL_INVERSION)
    assert published_trigger(words, stem, "sks woman") == f"{stem} woman"
    assert header(file)["modelspec.architecture"] == "stable-diffusion-v1/textual-inversion"
    assert header(file)["modelspec.trigger_phrase"] == f"{stem} woman"
    written = json.loads(file.with_suffix(".json").read_text())
    assert f"{stem} woman" in written["notes"]
    assert "activation text" not in written


def test_a_checkpoint_says_what_it_is_and_keeps_the_trigger(tmp_path: Path, tiny: BaseModelFile) -> None:
    file, files = put(tmp_path, tiny, Method.DREAMBOOTH)
    assert [path.suffix for path in files] == [".safetensors", ".json", ".png"]
    assert header(file)["modelspec.architecture"] == "stable-diffusion-v1"
    assert header(file)["modelspec.trigger_phrase"] == "sks woman"
    assert not any(key.startswith("ss_") for key in header(file))


@pytest.mark.parametrize(("family", "prediction", "expected"), [
    (Family.SD1, "epsilon", ("sd_v1", "False", "stable-diffusion-v1/lora", "epsilon", "SD1")),
    (Family.SD2, "epsilon", ("sd_v2", "True", "stable-diffusion-v2-512/lora", "epsilon", "SD2")),
    (Family.SD2, "v_prediction", ("sd_v2_v", "True", "stable-diffusion-v2-768-v/lora", "v", "SD2")),
    (Family.SDXL, "epsilon", ("sdxl_base_v1-0", "False", "stable-diffusion-xl-v1-base/lora", "epsilon", "SDXL")),
    (Family.SDXL, "v_prediction", ("sdxl_base_v1-0", "False", "stable-diffusion-xl-v1-base/lora", "v", "SDXL")),
])
def test_a_file_says_for_which_checkpoints_it_is(
    tmp_path: Path, tiny: BaseModelFile, family: Family, prediction: str, expected: tuple[str, ...]
) -> None:
    facts = replace(FACTS, family=family, prediction=prediction)
    found = metadata("a", task(tmp_path, tiny), LoraPlan(), facts)
    names = ("ss_base_model_version", "ss_v2", "modelspec.architecture", "modelspec.prediction_type")
    assert (*(found[name] for name in names), card("a", task(tmp_path, tiny), facts)["sd version"]) == expected
    assert all(isinstance(value, str) for value in found.values())


@pytest.mark.parametrize(("family", "expected"), [(Family.SD1, "2"), (Family.SD2, "1"), (Family.SDXL, "1")])
def test_a_layer_is_told_where_it_was_heeded(
    tmp_path: Path, tiny: BaseModelFile, family: Family, expected: str
) -> None:
    found = metadata("a", task(tmp_path, tiny), LoraPlan(clip_skip=2), replace(FACTS, family=family))
    assert found["ss_clip_skip"] == expected


def test_a_file_says_that_what_it_makes_is_made_by_a_model(tmp_path: Path, tiny: BaseModelFile) -> None:
    found = metadata("a", task(tmp_path, tiny), LoraPlan(), FACTS)
    assert found["personal_avatar.makes"].endswith("/trainedAlgorithmicMedia")
    assert "one person or character" in found["modelspec.description"]


def test_a_file_with_magnitudes_says_so(tmp_path: Path, tiny: BaseModelFile) -> None:
    found = metadata("a", task(tmp_path, tiny), LoraPlan(dora=True), FACTS)
    assert found["ss_network_module"] == "lycoris.kohya"
    assert json.loads(found["ss_network_args"]) == {"algo": "lora", "dora_wd": True, "wd_on_output": False}
    assert "ss_network_args" not in metadata("a", task(tmp_path, tiny), LoraPlan(), FACTS)


def test_a_free_name_looks_at_every_file_whatever_its_kind(tmp_path: Path) -> None:
    assert free_stem(tmp_path, "a", of_lora=False) == "a"
    (tmp_path / "a.json").touch()
    (tmp_path / "a-2.safetensors").touch()
    assert free_stem(tmp_path, "a", of_lora=False) == "a-3"
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.safetensors").touch()
    (tmp_path / "linked").symlink_to(elsewhere, target_is_directory=True)  # the WebUI looks in there, too
    assert free_stem(tmp_path, "b", of_lora=False) == "b-2"


def test_a_free_name_means_no_other_file_wherever_the_host_looks(tmp_path: Path, tiny: BaseModelFile) -> None:
    """LoRAs are found by what they call themselves, too."""
    more = tmp_path / "LyCORIS" / "people"
    more.mkdir(parents=True)
    (more / "Linh-Dao.safetensors").touch()
    write_tensors(more / "renamed.safetensors", {}, {"ss_output_name": "linh-dao-2"})
    wanted = replace(task(tmp_path, tiny), beside=(tmp_path / "LyCORIS",))
    made = publish(OneTensor(), wanted, PLANS[Method.LORA](), FACTS, None, tmp_path / "job")[0]  # type: ignore[arg-type]
    assert made.name == "linh-dao-3.safetensors"


@pytest.fixture()
def headers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files of which the header was read."""
    read: list[str] = []

    def noted(path: Path) -> str:
        read.append(path.name)
        return alias_of(path)

    monkeypatch.setattr(files, "alias_of", noted)
    return read


def test_no_header_is_read_for_a_name_by_which_no_file_is_found(tmp_path: Path, headers: list[str]) -> None:
    """Thousands of LoRAs on a share take minutes."""
    write_tensors(tmp_path / "other.safetensors", {}, {"ss_output_name": "a"})
    assert (free_stem(tmp_path, "a", of_lora=False), headers) == ("a", [])
    assert (free_stem(tmp_path, "a", of_lora=True), headers) == ("a-2", ["other.safetensors"])


def test_headers_are_read_once_and_only_for_names_that_no_file_has(tmp_path: Path, headers: list[str]) -> None:
    for name, called in (("a", "x"), ("b", "A-2"), ("c", "y"), ("d", "a-3"), ("e", "z")):
        write_tensors(tmp_path / f"{name}.safetensors", {}, {"ss_output_name": called})
    assert free_stem(tmp_path, "a", of_lora=True) == "a-4"
    assert headers == [f"{name}.safetensors" for name in "abcde"]


def test_the_preset_fills_what_the_user_left_out(tmp_path: Path, tiny: BaseModelFile) -> None:
    plan = task(tmp_path, tiny, {"steps": 7, "learning_rate": 1e-5}).settings()
    assert (plan.steps, plan.learning_rate) == (7, 1e-5)
    assert plan.conv_rank == preset_for(tiny, Method.LORA)["conv_rank"] > 0


def test_a_standard_checkpoint_gets_the_preset_for_faces() -> None:
    base = BaseModelFile(Path("v1-5.safetensors"), "v1-5", Family.SD1)
    assert plan_for(base, Method.LORA, {}).dict() == LoraPlan(**preset_for(base, Method.LORA)).dict()


def test_every_wrong_value_is_named_at_once(tiny: BaseModelFile) -> None:
    with pytest.raises(InvalidSettings, match=r"rank must be in \[1, 256\].*speed is not a setting"):
        plan_for(tiny, Method.LORA, {"rank": 0, "speed": 3})


def test_steps_follow_the_photos_within_limits() -> None:
    assert LoraPlan(steps=5).steps_for(10) == 5
    assert [LoraPlan(batch_size=2).steps_for(photos) for photos in (3, 10, 50)] == [400, 1000, 2000]
    for batch, accumulate in ((1, 1), (4, 1), (2, 4)):
        steps = [LoraPlan(batch_size=batch, accumulate=accumulate).steps_for(photos) for photos in (3, 10, 50)]
        assert [each * batch * accumulate for each in steps] == [800, 2000, 4000], "a photo is shown as often"


@pytest.mark.slow
@pytest.mark.parametrize("more", [
    {"conv_rank": 4}, {"blocks": "late"}, {"text_encoder_learning_rate": 1e-4}, {"conv_rank": 4, "dora": True},
])
def test_the_estimated_size_is_that_of_the_file(more: dict[str, Any], tiny: BaseModelFile, tmp_path: Path) -> None:
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry
    from personal_avatar.training.methods.lora import Lora
    from personal_avatar.training.methods.lora_targets import choose_targets

    plan = LoraPlan(rank=8, **more)
    model = registry.load(tiny, compute.choose("fp32"), 128)
    alphas = 4 * len(choose_targets(model, plan))
    Lora(model, plan).save(tmp_path / "a.safetensors", {})
    guess, size = estimate(plan, tiny, 10, gpu=False), (tmp_path / "a.safetensors").stat().st_size
    assert guess["file_mb"] * 1e6 == pytest.approx(size, rel=0.1)
    header = (tmp_path / "a.safetensors").read_bytes()[:8]
    assert file_bytes(plan, read_shapes(tiny.path), tiny) == size - 8 - int.from_bytes(header, "little") - alphas


def test_steps_without_a_prior_are_reckoned_quicker(tiny: BaseModelFile) -> None:
    plans = (LoraPlan(steps=1000, prior_weight=weight, prior_after=0.5) for weight in (0.0, 1.0))
    alone, half = (estimate(plan, tiny, 10, gpu=False)["seconds"] for plan in plans)
    whole = estimate(LoraPlan(steps=1000, prior_weight=1.0), tiny, 10, gpu=False)["seconds"]
    assert alone < half < whole and half == pytest.approx((alone + whole) / 2, rel=0.01)


def test_an_estimate_grows_with_the_work(tiny: BaseModelFile) -> None:
    little, much = (estimate(LoraPlan(steps=steps), tiny, 10, gpu=False) for steps in (100, 1000))
    assert little["seconds"] < much["seconds"]
    assert (little["steps"], much["steps"]) == (100, 1000)


def test_an_estimate_of_few_steps_holds_the_start_and_the_photos(tiny: BaseModelFile) -> None:
    plan = LoraPlan(steps=1, score_pictures=1, save_count=1, sample_steps=1)
    few, many = (estimate(plan, tiny, photos, gpu=False)["seconds"] for photos in (3, 100))
    assert few > 9 and many - few > 40
    assert estimate(plan, tiny, 3, gpu=True)["seconds"] > 9, "a card is quicker in steps alone"


@pytest.mark.parametrize("there", [True, False])
def test_an_estimate_is_of_the_card_where_trainings_have_one(
    there: bool, tiny: BaseModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free, "has_card", lambda: there)
    assert estimate(LoraPlan(), tiny, 10) == estimate(LoraPlan(), tiny, 10, gpu=there)


def test_a_grid_asks_for_the_person_and_for_somebody_else(tiny: BaseModelFile) -> None:
    found = grid.grid_for(tiny, "sks woman", "woman", 6, 100)
    assert [shot.seed for shot in found.subject] == list(range(100, 106)) == [shot.seed for shot in found.other]
    assert all("sks woman" in shot.prompt for shot in found.subject)
    assert all("another woman" in shot.prompt and "sks" not in shot.prompt for shot in found.other)
    assert len({shot.prompt for shot in found.subject}) == len(grid.DRAWING_PROMPTS)
    assert all("an old man" in asked for asked in grid.grid_for(tiny, "sks old man", "old man", 4, 100).asked)
