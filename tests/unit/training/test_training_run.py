"""Whole trainings with real photos (drawn ones), real face models and a checkpoint of random weights."""
from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import personal_avatar
import pytest
import torch
from insightface_models import models
from painted_motifs import write_hatched
from personal_avatar.domain import (
    Avatar,
    BaseModelFile,
    Checkpoint,
    Family,
    Method,
    from_json,
)
from personal_avatar.errors import (
    BaseNotFound,
    BaseUnsupported,
    Cancelled,
    InvalidSettings,
    SelfTestFailed,
    TooFewPhotos,
)
from personal_avatar.jobs import endings
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control, PauseTaken
from personal_avatar.jobs.events import Event, EventWriter, Log, Progress, SampleMade, Score, Stage, read_events
from personal_avatar.networks import read_header
from personal_avatar.photos.kohya import Origin, keep
from personal_avatar.reports.comparison import row_of
from personal_avatar.storage import sha256_of
from personal_avatar.training import objective
from personal_avatar.training.evaluation import bench
from personal_avatar.training.evaluation.bench import Bench
from personal_avatar.training.planning.estimate import estimate
from personal_avatar.training.planning.plan import ORIGINS, PLANS, LoraPlan, plan_for
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.replaced import as_found
from personal_avatar.training.results.document import GOOD_SHARE
from personal_avatar.training.run import _plan as plan_of
from personal_avatar.training.run import run
from personal_avatar.wording import text
from PIL import Image
from safetensors.torch import load_file, save_file

SAMPLES = Path(personal_avatar.__file__).parent / "assets" / "samples"
QUICK = {
    "steps": 4, "save_count": 2, "score_pictures": 1, "sample_steps": 2, "rank": 2, "resolution_px": 64,
    "batch_size": 2, "must_rise": False, "flip": True, "class_pictures": 4, "trigger_word": "",
}
NOTHING_KEPT = "Nothing had been saved yet, so nothing was kept."
STAGES = ["check", "prepare", "cache", "class", "train", "score", "selftest"]
WITHOUT_CLASS = {"prior_weight": 0.0}  # no pictures of a class are made, none is looked at
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path, miniature: BaseModelFile, face_weights: Path) -> Start:
    return starting(tmp_path, miniature, face_weights)


def starting(home: Path, miniature: BaseModelFile, face_weights: Path) -> Start:
    """Trainings of one person, whose avatar, jobs and files lie in this folder."""
    def begin(
        photos: list[str] | None = None, after: Callable[[Event, Control], None] = lambda *_: None, job: str = "job",
        repeats: int = 1, base: BaseModelFile = miniature, weights: Path = face_weights, method: Method = Method.LORA,
        **plan: object,
    ) -> dict[str, Any]:
        quick = {name: value for name, value in QUICK.items() if name in PLANS[method].__fields__}
        names = photos or [f"{number:02d}.jpg" for number in range(1, 7)]
        avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
        task = TrainTask(
            avatar, home / "avatar", tuple(SAMPLES / name for name in names), base, method,
            {**quick, **plan}, home / "Lora", weights, photo_settings={"repeats": repeats},
        )
        folder = home / job
        folder.mkdir(exist_ok=True)
        control, write = Control(folder), EventWriter(folder)

        def emit(event: Event) -> None:
            write(event)
            after(event, control)

        return run(task, folder, emit, control)  # type: ignore[arg-type]

    return begin


@dataclass(frozen=True)
class Whole:
    """A training that was left alone, and what lay in the folder of files right then."""

    home: Path
    start: Start
    result: dict[str, Any]
    published: list[str]


PLAN_OF_WHOLE = {"score_pictures": 2, "guidance": 5.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, miniature: BaseModelFile, face_weights: Path) -> Whole:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("whole")
    start = starting(home, miniature, face_weights)
    result = start(**PLAN_OF_WHOLE)
    return Whole(home, start, result, sorted(path.name for path in (home / "Lora").iterdir()))


def test_a_recogniser_that_chose_nothing_is_asked_in_the_end_where_there_is_one(
    start: Start, tmp_path: Path, face_weights: Path, tiny: BaseModelFile
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(face_weights, weights)
    models(weights / "insightface" / "buffalo_s")
    seen = {"resolution_px": 192, "sample_steps": 4, "score_pictures": 1, "steps": 1, "save_count": 1}
    result = start(weights=weights, base=tiny, **{**WITHOUT_CLASS, **seen})
    second, first = result["second_opinion"], result["likeness"]
    assert (result["recogniser"], second["recogniser"]) == ("w600k_mbf", "sface-2021dec")
    assert all(second[part] != first[part] for part in ("after", "ceiling"))
    assert "Likeness by sface-2021dec" in Path(result["report"]).read_text(encoding="utf-8")


def read_texts(file: str | Path) -> Mapping[str, str]:
    header = read_header(Path(file))
    assert header is not None
    return header.metadata


def events(tmp_path: Path, kind: type[Event], job: str = "job") -> list[Any]:
    return [record.event for record in read_events(tmp_path / job) if isinstance(record.event, kind)]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "replaced"), [
    (Method.LORA, True), (Method.LORA, False), (Method.TEXTUAL_INVERSION, False), (Method.DREAMBOOTH, False),
])
def test_what_was_trained_is_published_whatever_became_of_its_base(
    start: Start, tmp_path: Path, miniature: BaseModelFile, method: Method, replaced: bool
) -> None:
    """A Dreambooth that has saved a checkpoint takes the rest from that."""
    base = copied(miniature, tmp_path)

    def meddle(event: Event, control: Control) -> None:
        if isinstance(event, Progress) and event.step == 3 and base.path.is_file():
            weights = load_file(base.path)
            base.path.rename(tmp_path / "moved.safetensors")
            if replaced:
                save_file({name: one * 1.25 for name, one in weights.items()}, base.path)

    result = start(after=meddle, base=base, method=method, **WITHOUT_CLASS)
    assert Path(result["checkpoint"]["path"]).is_file()
    code = "BASE_REPLACED" if replaced else "BASE_GONE"
    assert result["advice_codes"][0] == {"code": code, "values": {"base": base.path.name}}
    assert base.path.name in result["advice"][0]
    assert result["advice"][0] in Path(result["report"]).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_dreambooth_whose_base_is_gone_goes_on_when_it_is_put_back(
    start: Start, tmp_path: Path, miniature: BaseModelFile
) -> None:
    base, away = copied(miniature, tmp_path), tmp_path / "moved.safetensors"

    def meddle(event: Event, control: Control) -> None:
        if isinstance(event, Progress) and event.step == 1:
            base.path.rename(away)

    again = {"base": base, "method": Method.DREAMBOOTH, **WITHOUT_CLASS}
    with pytest.raises(BaseNotFound, match="is gone") as caught:
        start(after=meddle, **again)
    assert caught.value.hint == text("error.BASE_NOT_FOUND.back") and endings.has_state(tmp_path / "job")
    away.rename(base.path)
    assert Path(start(**again)["checkpoint"]["path"]).is_file()
    assert [event.message for event in events(tmp_path, Log)][-1] == "Going on from step 2 of 4."


@pytest.mark.slow
def test_a_training_that_is_taken_up_without_its_base_asks_for_it_and_goes_on_when_it_is_there(
    start: Start, tmp_path: Path, miniature: BaseModelFile
) -> None:
    base, away = copied(miniature, tmp_path), tmp_path / "moved.safetensors"

    def pause(event: Event, control: Control) -> None:
        if isinstance(event, Score) and event.step == 2:
            control.ask(PAUSE)

    again = {"base": base, **WITHOUT_CLASS}
    with pytest.raises(PauseTaken):
        start(after=pause, **again)
    base.path.rename(away)
    with pytest.raises(BaseNotFound) as caught:
        start(**again)
    assert caught.value.hint == text("error.BASE_NOT_FOUND.back") and endings.has_state(tmp_path / "job")
    with pytest.raises(BaseNotFound) as caught:
        start(job="new", **again)
    assert caught.value.hint == text("error.BASE_NOT_FOUND.hint")
    away.rename(base.path)
    Control(tmp_path / "job").withdraw(PAUSE)
    assert Path(start(**again)["checkpoint"]["path"]).is_file()
    assert [event.message for event in events(tmp_path, Log)][-1].startswith("Going on from step ")


@pytest.mark.slow
def test_no_report_is_no_reason_to_lose_a_training(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = FileNotFoundError(2, "No such file or directory", "report.css")
    monkeypatch.setattr("personal_avatar.training.results.report.page", raising(gone))
    result = start(**WITHOUT_CLASS)
    assert Path(result["checkpoint"]["path"]).is_file() and result["report"] is None
    assert result["advice_codes"][0]["code"] == "NO_REPORT" and "report.css" in result["advice"][0]
    assert events(tmp_path, Log)[-1].message == result["advice"][0]


@pytest.mark.slow
@pytest.mark.parametrize("method", [Method.LORA, Method.DREAMBOOTH])
def test_a_card_without_room_for_pictures_costs_no_training(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    full = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    for place in ("bench", "selftest"):
        monkeypatch.setattr(f"personal_avatar.training.evaluation.{place}.make_pictures", raising(full))
    result = start(method=method, stop_at=0.5, **WITHOUT_CLASS)
    assert Path(result["checkpoint"]["path"]).is_file() and result["likeness"] is None
    described = [Path(file).read_bytes() for file in result["files"]]
    assert not any(b"cancelled" in one for one in described)
    assert method is not Method.LORA or any(b"not measured: the graphics card" in one for one in described)
    last = events(tmp_path, Progress)[-1].total
    assert result["checkpoint"]["step"] == last and {row["likeness"] for row in result["scores"]} == {None}
    assert [found["code"] for found in result["advice_codes"]] == ["UNMEASURED_ROOM"]
    told = [event.message for event in events(tmp_path, Log)]
    assert [told.index(sentence) for sentence in told if "no room for even one picture" in sentence]
    assert f"Step {last} was saved and not judged" in told[-3]
    assert told[-2].startswith("The result was not measured") and told[-1].startswith("The file was not tried")


@pytest.mark.slow
def test_what_could_be_judged_is_taken_before_what_could_not(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, full = bench.make_pictures, raising(torch.cuda.OutOfMemoryError("CUDA out of memory."))
    judged: list[Any] = []

    def narrow(*given: Any) -> Any:
        return full() if len(judged) > 3 else judged.append(make(*given)) or judged[-1]

    monkeypatch.setattr(bench, "make_pictures", narrow)
    result = start(**WITHOUT_CLASS)
    known = [row["step"] for row in result["scores"] if row["merit"] is not None]
    assert 0 < len(known) < len(result["scores"]) and result["checkpoint"]["step"] in known


@pytest.mark.slow
def test_a_card_that_becomes_full_after_the_untrained_checkpoint_was_judged_costs_no_training(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for the photos once through the VAE, nor for anything behind that."""
    full = raising(torch.cuda.OutOfMemoryError("CUDA out of memory."))
    monkeypatch.setattr(Bench, "_reconstructed", property(full))
    result = start(**WITHOUT_CLASS)
    assert Path(result["checkpoint"]["path"]).is_file() and result["report"] is not None
    assert result["untrained"] is not None and result["ceiling"] is None and result["likeness"] is None


def raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails


def copied(base: BaseModelFile, folder: Path) -> BaseModelFile:
    """That tests may do something to."""
    shutil.copytree(base.path.parent, folder / "base")
    config = folder / "base" / base.config.name if base.config else None
    return replace(base, path=folder / "base" / base.path.name, config=config)


@pytest.mark.slow
def test_where_likeness_is_low_less_guidance_is_tried(whole: Whole) -> None:
    assert whole.result["likeness"]["recovered"] < GOOD_SHARE
    assert whole.result["less_guidance"] == {"guidance": 3.0, "likeness": 0.0}  # this checkpoint's pictures show nobody
    for guidance in (1.0, 1.5):
        unguided: Any = SimpleNamespace(settings=SimpleNamespace(guidance=guidance))
        assert Bench.less_guided(unguided) is None


@pytest.mark.slow
def test_mirrored_and_repeated_pictures_are_encoded_once_and_make_no_training_longer(
    start: Start, tmp_path: Path, miniature: BaseModelFile
) -> None:
    result = start(steps=0, steps_per_photo=5, save_count=1, repeats=7, **WITHOUT_CLASS)
    assert events(tmp_path, Progress)[-1].total == result["plan"]["steps"]
    assert result["plan"]["steps"] == estimate(LoraPlan(steps_per_photo=5), miniature, 6, gpu=False)["steps"] == 20
    (latents,) = (tmp_path / "avatar" / "cache").glob("latents-*")
    assert len(load_file(latents)) == 2 * 2 * 4  # mean and deviation, as it is and mirrored, of four


@pytest.mark.slow
def test_photos_become_a_published_file_and_everything_about_it(whole: Whole, miniature: BaseModelFile) -> None:
    home, result = whole.home, whole.result
    assert [event.name for event in events(home, Stage) if not event.within] == STAGES
    assert [event for event in events(home, Stage) if event.within] == [Stage("judge", within="train")] * 2
    judged = next(place for place, event in enumerate(events(home, Event)) if event == Stage("judge", "train"))
    again = next(event for event in events(home, Event)[judged:] if isinstance(event, Progress))
    assert again.step == 2 and (again.besides_s or 0) > 0 and again.seconds_per_step  # it makes steps again
    assert events(home, Progress)[-1].step == 4
    assert [event.step for event in events(home, Score)][:3] == [0, 2, 4]
    assert all((home / "job" / event.path).is_file() for event in events(home, SampleMade))
    assert whole.published == ["sam.json", "sam.png", "sam.safetensors"]
    point = from_json(Checkpoint, result["checkpoints"][0])
    assert (point.path, point.family, point.trigger) == (home / "Lora" / "sam.safetensors", Family.SD1, "sks man")
    assert set(result["likeness"]) == {"floor", "after", "ceiling", "recovered"}
    assert result["likeness"]["ceiling"] > -1
    assert result["modules_matched"] > 10
    assert len(result["reference"]) == 128
    assert Path(result["report"]).is_file()
    facts = json.loads(Path(result["report"]).with_name("report.json").read_text(encoding="utf-8"))
    assert set(result) - {"reference", "report"} <= set(facts) and "reference" not in facts
    assert [len(row["pictures"]) for row in (facts["untrained"], *facts["scores"])] == [2, 2, 2]
    assert (result["plan"]["steps"], result["plan"]["resolution_px"], result["photos"]) == (4, 64, 6)
    assert result["native_px"] == miniature.native_px
    assert result["prompt"] == "<lora:sam:1> sks man"
    assert json.loads(json.dumps(result)) == result


@pytest.mark.slow
@pytest.mark.parametrize(("method", "plan"), [(Method.LORA, {}), (Method.TEXTUAL_INVERSION, {"vectors": 3})])
def test_captions_as_taggers_write_them_are_trained_on_whole(
    start: Start, tmp_path: Path, method: Method, plan: dict[str, Any]
) -> None:
    """28 to 150 tokens of them."""
    photos = []
    for number in range(1, 7):
        photo = Path(shutil.copyfile(SAMPLES / f"{number:02d}.jpg", tmp_path / f"{number}.jpg"))
        tags = ", ".join(f"tag {number} of {other}" for other in range(5 * number))
        photo.with_suffix(".txt").write_text(f"sks man, {tags}", encoding="utf-8")
        photos.append(str(photo))
    result = start(photos, method=method, **WITHOUT_CLASS, **plan)
    assert result["plan"]["steps"] == 4 and all(Path(file).is_file() for file in result["files"])
    kept = [load_file(file) for file in (tmp_path / "avatar").rglob("text-*.safetensors")]
    if method is Method.LORA:
        assert [(one["states"].shape[1], "empty" in one) for one in kept] == [(77, True)]
    assert {score.step for score in events(tmp_path, Score)} == {0, 2, 4}


@pytest.mark.slow
def test_the_trigger_stays_in_front_where_captions_are_shuffled(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, shuffled, really = [], set(), objective.shuffle_tags
    for number in range(1, 7):
        photo = Path(shutil.copyfile(SAMPLES / f"{number:02d}.jpg", tmp_path / f"{number}.jpg"))
        photo.with_suffix(".txt").write_text("outdoors, sks man, smiling, daylight", encoding="utf-8")
        photos.append(str(photo))

    def remembered(*given: Any) -> str:
        shuffled.add(caption := really(*given))
        return caption

    monkeypatch.setattr(objective, "shuffle_tags", remembered)
    start(photos, shuffle_captions=True, **WITHOUT_CLASS)
    assert len(shuffled) > 1 and all(caption.startswith("sks man, ") for caption in shuffled)


@pytest.mark.slow
def test_a_second_training_of_a_person_has_the_pictures_of_the_untrained_checkpoint_from_the_first(
    start: Start, tmp_path: Path
) -> None:
    first = start(steps=2, save_count=1, **WITHOUT_CLASS)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "avatar" / "cache" / "untrained").iterdir()}
    assert kept
    second = start(job="second", steps=2, save_count=1, seed=7, rank=3, **WITHOUT_CLASS)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "avatar" / "cache" / "untrained").iterdir()} == kept
    assert second["likeness"]["floor"] == first["likeness"]["floor"]
    assert second["prompt_following_before"] == first["prompt_following_before"]


@pytest.mark.slow
def test_a_word_of_ones_own_stands_for_the_person_in_captions_and_card_and_the_file_tells_of_pictures_and_training(
    start: Start, tmp_path: Path
) -> None:
    began = time.time()
    own = {"trigger_word": "zwx", "clip_skip": 2, "precision": "bf16"}
    result = start(steps=2, save_count=1, repeats=3, **own, **WITHOUT_CLASS)
    texts = read_texts(tmp_path / "Lora" / "sam.safetensors")
    assert began - 1 <= float(texts["ss_training_started_at"]) < float(texts["ss_training_finished_at"]) <= time.time()
    assert json.loads(texts["ss_dataset_dirs"]) == {"3_pictures": {"n_repeats": 3, "img_count": 4}}
    assert json.loads(texts["ss_bucket_info"]) == {"buckets": {"0": {"resolution": [64, 64], "count": 12}}}
    assert json.loads(texts["ss_tag_frequency"]) == {"3_pictures": {"a photo of zwx man": 4}}
    assert (texts["ss_mixed_precision"], texts["ss_num_epochs"]) == ("bf16", "1")
    assert texts["sshs_model_hash"] and not list((tmp_path / "job").glob("*.safetensors"))
    assert (result["prompt"], result["checkpoint"]["trigger"]) == ("<lora:sam:1> zwx man", "zwx man")
    assert result["checkpoint"]["clip_skip"] == 2
    card = json.loads((tmp_path / "Lora" / "sam.json").read_text(encoding="utf-8"))
    assert card["activation text"] == "zwx man"
    facts = json.loads(Path(result["report"]).with_name("report.json").read_text(encoding="utf-8"))
    assert "zwx man" in facts["scores"][0]["pictures"][0]["prompt"]
    assert Log("In captions and prompts, zwx man stands for Sam.") in events(tmp_path, Log)


class Died(BaseException):
    """As if the process had ended here: nobody catches it."""


def die_while_scoring(event: Event, control: Control) -> None:
    if isinstance(event, Score) and event.step == 2:
        raise Died


def pause_after_three_steps(event: Event, control: Control) -> None:
    if isinstance(event, Progress) and event.step == 3:
        control.ask(PAUSE)


def curve(result: dict[str, Any]) -> list[float]:
    losses: list[float] = json.loads(Path(result["report"]).with_name("report.json").read_text())["losses"]
    return losses


@pytest.mark.slow
def test_a_training_that_died_and_was_paused_ends_as_one_that_was_left_alone(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personal_avatar.training.engines.pace.PROGRESS_EVERY_S", 0.0)
    other = partial(whole.start, job="other", **PLAN_OF_WHOLE)
    with pytest.raises(Died):
        other(after=die_while_scoring)
    with pytest.raises(PauseTaken) as pause:
        other(after=pause_after_three_steps)
    assert pause.value.step == 3
    Control(whole.home / "other").withdraw(PAUSE)
    told = sum(1 for _ in read_events(whole.home / "other"))
    result = other()
    rest = [record.event for record in read_events(whole.home / "other", told)]
    assert [event.step for event in rest if isinstance(event, Progress)] == [3, 4]
    assert [event.step for event in rest if isinstance(event, Score)][0] == 4  # neither the first one nor step 0 again
    assert [event.message for event in events(whole.home, Log, "other") if "Going on" in event.message] == [
        "Going on from step 2 of 4.", "Going on from step 3 of 4."
    ]
    first, second = load_file(whole.result["files"][0]), load_file(result["files"][0])
    assert result["files"][0].endswith("sam-2.safetensors")
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert ["ss_training_started_at" in read_texts(one["files"][0]) for one in (whole.result, result)] == [True, False]
    same = ("likeness", "scores", "untrained", "ceiling", "leakage", "prompt_following", "diversity")
    assert [result[key] for key in same] == [whole.result[key] for key in same]
    assert curve(result) == curve(whole.result) and len(curve(whole.result)) == 4
    assert other() == result  # finished, but whoever did it could not tell


@pytest.mark.slow
def test_what_was_trained_before_a_pause_is_kept_when_the_job_is_cancelled(start: Start, tmp_path: Path) -> None:
    def pause(event: Event, control: Control) -> None:
        if isinstance(event, SampleMade) and event.step == 4:
            control.ask(PAUSE)

    with pytest.raises(PauseTaken):
        start(after=pause, **WITHOUT_CLASS)
    with pytest.raises(PauseTaken) as again:
        start(**WITHOUT_CLASS)
    assert again.value.step == 4
    Control(tmp_path / "job").withdraw(PAUSE)
    Control(tmp_path / "job").ask(CANCEL)
    with pytest.raises(Cancelled) as raised:
        start(**WITHOUT_CLASS)
    assert Path(raised.value.result["files"][0]).is_file()


def test_a_pause_before_anything_was_trained_says_so(start: Start, tmp_path: Path) -> None:
    with pytest.raises(PauseTaken) as pause:
        start(after=lambda event, control: control.ask(PAUSE))
    assert pause.value.step == 0
    assert "starts from the beginning" in events(tmp_path, Log)[-1].message
    assert not (tmp_path / "job" / "state").exists()


@pytest.mark.slow
def test_a_cancel_keeps_what_was_saved(start: Start, tmp_path: Path) -> None:
    def cancel(event: Event, control: Control) -> None:
        if isinstance(event, Score) and event.step == 2:
            control.ask(CANCEL)

    with pytest.raises(Cancelled) as raised:
        start(after=cancel, **WITHOUT_CLASS)
    kept = raised.value.result
    assert (kept["checkpoint"]["step"], kept["likeness"]) == (2, None)
    assert Path(kept["files"][0]).is_file()


@pytest.mark.slow
def test_a_cancel_that_discards_publishes_nothing(start: Start, tmp_path: Path) -> None:
    def cancel(event: Event, control: Control) -> None:
        if isinstance(event, Score) and event.step == 2:
            control.ask(DISCARD)
            control.ask(CANCEL)

    with pytest.raises(Cancelled) as raised:
        start(after=cancel, **WITHOUT_CLASS)
    assert "kept" not in raised.value.to_json() and raised.value.hint == ""
    assert not (tmp_path / "Lora").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_a_cancel_before_the_first_checkpoint_keeps_what_was_learned(
    start: Start, tmp_path: Path, ema_decay: float
) -> None:
    def cancel(event: Event, control: Control) -> None:
        if isinstance(event, Progress) and event.step == 1:
            control.ask(CANCEL)

    with pytest.raises(Cancelled) as raised:
        start(after=cancel, **WITHOUT_CLASS, ema_decay=ema_decay)
    kept = raised.value.result
    assert (kept["checkpoint"]["step"], kept["likeness"]) == (1, None)
    facts = json.loads(Path(kept["report"]).with_name("report.json").read_text(encoding="utf-8"))
    unknown = dict.fromkeys(("likeness", "faces_found", "following", "merit", "leakage"))
    assert facts["scores"] == [{"step": 1, **unknown, "pictures": []}]
    assert [found["code"] for found in facts["advice_codes"]] == ["UNMEASURED"]
    assert any(tensor.abs().sum() > 0 for name, tensor in load_file(kept["files"][0]).items() if ".lora_up." in name)


@pytest.mark.slow
def test_a_cancel_before_anything_was_learned_keeps_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In half precision the first steps are left out until a scale is found."""
    def cancel(event: Event, control: Control) -> None:
        if isinstance(event, Progress) and event.step == 1:
            control.ask(CANCEL)

    monkeypatch.setattr(torch.amp.GradScaler, "step", lambda *_: None)
    with pytest.raises(Cancelled) as raised:
        start(after=cancel, **WITHOUT_CLASS)
    assert raised.value.result is None and not (tmp_path / "Lora").exists()
    assert raised.value.hint == NOTHING_KEPT


def test_a_cancel_before_the_first_step_ends_at_once(start: Start, tmp_path: Path) -> None:
    with pytest.raises(Cancelled) as raised:
        start(after=lambda event, control: control.ask(CANCEL))
    assert events(tmp_path, Progress) == [] and raised.value.hint == NOTHING_KEPT


def test_too_few_photos_say_why(start: Start) -> None:
    with pytest.raises(TooFewPhotos, match=r"Found 1 usable photo, need 3 \(1 no face\)\."):
        start(photos=["01.jpg", "no-face.jpg"])


def test_a_file_that_is_no_checkpoint_is_refused_first(start: Start, miniature: BaseModelFile, tmp_path: Path) -> None:
    from personal_avatar.training import run as module

    other = tmp_path / "other.safetensors"
    other.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(BaseUnsupported):
        module.families.supported(replace(miniature, path=other))


def test_a_checkpoint_that_answers_otherwise_than_when_it_was_asked_for_is_told(
    miniature: BaseModelFile, tmp_path: Path
) -> None:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    asked = replace(miniature, prediction="v_prediction", zero_terminal_snr=True)
    task = TrainTask(avatar, tmp_path, (), asked, Method.LORA, {}, tmp_path, tmp_path)
    assert as_found(task, tmp_path, EventWriter(tmp_path)).base == miniature
    (told,) = events(tmp_path, Log, ".")
    assert "was replaced" in told.message and "epsilon" in told.message


def test_a_checkpoint_that_was_replaced_by_one_with_zero_terminal_snr_is_told(
    miniature: BaseModelFile, tmp_path: Path
) -> None:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    base = replace(miniature, path=tmp_path / "base.safetensors")
    save_file({**load_file(miniature.path), "ztsnr": torch.zeros(1)}, base.path)
    task = TrainTask(avatar, tmp_path, (), base, Method.LORA, {}, tmp_path, tmp_path)
    assert as_found(task, tmp_path, EventWriter(tmp_path)).base == replace(base, zero_terminal_snr=True)
    (told,) = events(tmp_path, Log, ".")
    assert "was replaced" in told.message and "with zero terminal SNR" in told.message


def test_a_checkpoint_that_was_replaced_while_its_job_waited_is_named_by_its_own_hash(
    miniature: BaseModelFile, tmp_path: Path
) -> None:
    avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
    asked = replace(miniature, path=tmp_path / "base.safetensors", sha256="0" * 64)
    asked.path.write_bytes(miniature.path.read_bytes())
    task = TrainTask(avatar, tmp_path, (), asked, Method.LORA, {}, tmp_path, tmp_path)
    job = tmp_path / "job.json"
    job.write_text("{}")
    assert as_found(task, tmp_path, EventWriter(tmp_path)).base.sha256 == asked.sha256
    os.utime(job, ns=(0, 0))  # the file is younger now
    assert as_found(task, tmp_path, EventWriter(tmp_path)).base.sha256 == sha256_of(asked.path)
    unknown = replace(task, base=replace(asked, sha256=""))
    assert as_found(unknown, tmp_path, EventWriter(tmp_path)).base.sha256 == ""


@pytest.mark.slow
def test_a_training_without_gain_is_not_published(
    start: Start, tmp_path: Path, miniature: BaseModelFile
) -> None:
    """Random weights show no face before or after."""
    with pytest.raises(SelfTestFailed, match="No face was found in any") as caught:
        start(base=replace(miniature, native_px=192), steps=2, save_count=1, must_rise=True, **WITHOUT_CLASS)
    assert "set resolution_px 192, sample_steps 16," in caught.value.hint
    assert not (tmp_path / "Lora").exists()


@pytest.mark.slow
@pytest.mark.parametrize("method", [Method.LORA, Method.TEXTUAL_INVERSION])
def test_a_style_is_learned_from_pictures_without_faces(
    method: Method, tmp_path: Path, miniature: BaseModelFile, face_weights: Path
) -> None:
    avatar = Avatar("ink", "Ink", "local", "style", "sks style", "2026-01-01T00:00:00Z")
    plan = {name: value for name, value in QUICK.items() if name in PLANS[method].__fields__ and name != "must_rise"}
    task = TrainTask(
        avatar, tmp_path / "avatar", tuple(write_hatched(tmp_path / "pictures", 7)), miniature, method,
        {**plan, "goal": "style"}, tmp_path / "Lora", face_weights,
    )
    (tmp_path / "job").mkdir()
    result = run(task, tmp_path / "job", EventWriter(tmp_path / "job"), Control(tmp_path / "job"))
    assert result["likeness"] is None and result["checkpoint"]["likeness"] is None and result["reference"] == []
    assert set(result["resemblance"]) == {"floor", "after", "ceiling", "recovered"}
    assert {row["likeness"] for row in result["scores"]} == {None} and result["prompt_following"] is not None
    assert "resemblance" in result["choice"] and not any("likeness" in sentence for sentence in result["advice"])
    assert not events(tmp_path, Score) and {event.likeness for event in events(tmp_path, SampleMade)} == {None}
    assert "Resemblance in colours and textures" in Path(result["report"]).read_text(encoding="utf-8")
    assert row_of(result).numbers["likeness"] is None
    card = json.loads(next((tmp_path / "Lora").glob("*.json")).read_text(encoding="utf-8"))
    assert "Resemblance 0." in card["notes"] and "ikeness" not in card["notes"]


@pytest.mark.parametrize(("photos", "mask", "told"), [
    ({}, False, False), ({"faces": "ignored"}, False, True), ({"faces": "ignored"}, True, False),
])
def test_a_weight_outside_of_masks_is_told_to_do_nothing_where_neither_faces_nor_files_make_any(
    photos: dict[str, str], mask: bool, told: bool, tmp_path: Path, miniature: BaseModelFile
) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    name = keep({"0": Origin(mask=tmp_path / "mask.png" if mask else None)}, tmp_path / "avatar" / ORIGINS)
    avatar = Avatar("rex", "Rex", "local", "dog", "sks dog", "2026-01-01T00:00:00Z")
    task = TrainTask(
        avatar, tmp_path / "avatar", (), miniature, Method.LORA, {"unmasked_weight": 0.5}, tmp_path / "Lora",
        tmp_path, photo_settings=photos, origins=name,
    )
    (tmp_path / "job").mkdir()
    plan_of(task, EventWriter(tmp_path / "job"))
    said = [event.message for event in events(tmp_path, Log)]
    assert said == ["unmasked_weight has no effect: these pictures have no masks."] * told


@pytest.mark.slow
def test_an_animal_is_learned_from_pictures_without_faces(
    tmp_path: Path, miniature: BaseModelFile, face_weights: Path
) -> None:
    avatar = Avatar("rex", "Rex", "local", "dog", "sks dog", "2026-01-01T00:00:00Z")
    task = TrainTask(
        avatar, tmp_path / "avatar", tuple(write_hatched(tmp_path / "pictures", 7)), miniature, Method.LORA,
        {**QUICK, "must_rise": True}, tmp_path / "Lora", face_weights, photo_settings={"faces": "ignored"},
    )
    (tmp_path / "job").mkdir()
    result = run(task, tmp_path / "job", EventWriter(tmp_path / "job"), Control(tmp_path / "job"))
    assert result["likeness"] is None and result["checkpoint"]["likeness"] is None and result["reference"] == []
    assert set(result["resemblance"]) == {"floor", "after", "ceiling", "recovered"}
    assert "sks dog" in result["prompt"] and "resemblance" in result["choice"] and "style" not in result["choice"]
    assert not any("likeness" in sentence.lower() for sentence in result["advice"])
    assert not events(tmp_path, Score) and {event.likeness for event in events(tmp_path, SampleMade)} == {None}
    assert "Resemblance in colours and textures" in Path(result["report"]).read_text(encoding="utf-8")
    assert row_of(result).numbers["likeness"] is None


def test_a_style_has_no_pictures_of_a_class(miniature: BaseModelFile) -> None:
    with pytest.raises(InvalidSettings, match="no class"):
        plan_for(miniature, Method.LORA, {"goal": "style", "prior_weight": 0.5, "prior_from": "pictures"})
    assert plan_for(miniature, Method.TEXTUAL_INVERSION, {"goal": "style"}).prior_weight == 0
    for method in (Method.LORA, Method.DREAMBOOTH_LORA, Method.DREAMBOOTH):
        for base in (miniature, replace(miniature, native_px=512)):
            held = plan_for(base, method, {"goal": "style"})
            assert held.prior_weight > 0 and not held.wants_class_pictures


@pytest.mark.slow
def test_a_training_can_begin_on_small_pictures_and_dwell_on_the_middle(start: Start, tmp_path: Path) -> None:
    begun = {"low_first": 0.5, "timesteps": "middle", "prior_weight": 0.5, "prior_from": "both", "class_pictures": 4}
    result = start(**begun, unmasked_weight=0.3, save_count=1)
    assert result["plan"]["low_first"] == 0.5 and events(tmp_path, Progress)[-1].step == 4
    latents = list(tmp_path.rglob("latents-*.safetensors"))
    sizes = {tuple(one.shape) for path in latents for one in load_file(path).values()}
    assert len(latents) == 2 and sizes == {(4, 8, 8), (4, 4, 4)}
