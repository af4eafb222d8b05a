"""What photos alone can do, measured by a real worker process on a small checkpoint, with an adapter of its width."""
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature_adapters import AVATAR_TINY, make_adapter, make_face_pack
from miniatures import make as make_checkpoint
from personal_avatar.domain import Family, from_json
from personal_avatar.errors import Cancelled
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.nouns import AdapterKind, Rows, Target
from personal_avatar.jobs.control import CANCEL, Control
from personal_avatar.jobs.events import EventWriter, Log, SampleMade, Score, Stage, read_events
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.photos.dataset import load_dataset
from personal_avatar.photos.read import read_photo
from personal_avatar.pictures import infotext_of
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import sha256_of
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.studio.oneshot import unit_of
from personal_avatar.training import compute
from personal_avatar.training.data.cache import square_images
from personal_avatar.training.evaluation.following import PromptJudge
from personal_avatar.training.evaluation.grid import CHOOSING_SEED, DRAWING_PROMPTS, FINAL_SEED
from personal_avatar.training.evaluation.likeness import LikenessMeter
from personal_avatar.training.evaluation.samples import SampleSettings, Shot, make_pictures
from personal_avatar.training.families import registry as families
from personal_avatar.training.planning.task import OnePhotoTask
from personal_avatar.worker import one_photo
from safetensors.torch import load_file, save_file

from tests.unit.api.house import GOOD

pytestmark = pytest.mark.slow  # loads models of faces, runs a process

PHOTOS = GOOD[:6]
PICTURES, SIDE_PX, STEPS, GUIDANCE = 2, 192, 4, 6.0
PRECISION = "fp32"  # the same pictures on every processor: of random weights, faces are found in few
PLAN = {
    "score_pictures": PICTURES, "resolution_px": SIDE_PX, "sample_steps": STEPS, "guidance": GUIDANCE,
    "precision": PRECISION,
}
REQUEST = TrainRequest("Ruby", tuple(PHOTOS), "woman", plan=PLAN, consent="she agreed")


@dataclass(frozen=True)
class Ended:
    studio: Studio
    view: JobView

    @property
    def result(self) -> dict[str, Any]:
        assert self.view.result is not None, self.view.status.error
        return self.view.result

    @property
    def task(self) -> OnePhotoTask:
        return from_json(OnePhotoTask, self.view.job.payload)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Iterator[Ended]:
    """A comparison of which nothing but the photos alone was wanted."""
    data = tmp_path_factory.mktemp("home")
    (data / "weights").symlink_to(weights_folder, target_is_directory=True)
    studio = Studio(StandaloneHost(data))
    studio.install_tiny()
    folder = studio.host.folders().identity_folders[0]
    make_face_pack(folder / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    quieter(make_adapter(AdapterKind.FACEID_PORTRAIT, Family.SD1, folder, size=AVATAR_TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        (job,) = studio.comparing.start(REQUEST, ["one-photo"]).jobs
        yield Ended(studio, studio.queue.wait(job.id, 240))


def quieter(adapter: Path) -> None:
    """Random weights as they are leave nothing of a face in the pictures."""
    weights = load_file(adapter)
    save_file({name: weight * 0.2 if "to_v_ip" in name else weight for name, weight in weights.items()}, adapter)


def test_a_real_process_measures_it_and_it_stands_in_the_table(ended: Ended) -> None:
    assert ended.view.status.state is State.SUCCEEDED, ended.view.status.error
    (row,) = ended.studio.comparing.rows(ended.view.job.avatar_id)
    assert (row.method, row.file, row.numbers["file_mb"]) == ("one-photo", "", None)
    unknown = {name for name, number in row.numbers.items() if number is None}
    assert unknown == {"file_mb", "diversity", "resemblance"}  # no two pictures of one prompt; a person
    assert 0 < row.numbers["seconds"] < ended.view.status.ended_at - ended.view.status.started_at  # type: ignore[operator]
    assert ended.result["adapter"] == "ip-adapter-faceid-portrait_sd15.safetensors"
    assert "reference" not in ended.result and "embedding" not in json.dumps(ended.result)


def test_its_pictures_are_those_of_a_training_in_the_words_of_the_class(ended: Ended) -> None:
    told = [infotext_of(path).splitlines() for path in ended.studio.comparing.rows("ruby")[0].pictures]
    assert [lines[0] for lines in told] == [prompt.format(subject="a woman") for prompt in DRAWING_PROMPTS[:PICTURES]]
    assert [lines[1] for lines in told] == [f"Seed: {CHOOSING_SEED + number}" for number in range(PICTURES)]


def test_what_it_does_is_told_while_it_goes_on(ended: Ended) -> None:
    events = [record.event for record in ended.studio.events(ended.view.job.id)]
    assert [one.name for one in events if isinstance(one, Stage)] == ["check", "prepare", "cache", "score"]
    assert len([one for one in events if isinstance(one, SampleMade)]) == PICTURES
    assert [one.likeness for one in events if isinstance(one, Score)] == [ended.result["likeness"]["after"]]


def test_its_numbers_are_those_of_pictures_that_are_painted_by_hand(ended: Ended, analyser: FaceAnalyser) -> None:
    """A checkpoint of our own, plain for what is compared with, and with the photos that were not held out in it."""
    task, folders = ended.task, ended.studio.host.folders()
    dataset = load_dataset(task.training.avatar_folder / "dataset")
    assert dataset.fingerprint == ended.result["dataset_fingerprint"]
    shown = [photo for photo in task.training.photos
             if sha256_of(photo) not in {one.source_sha256 for one in dataset.held_out}]
    assert (len(shown), len(dataset.held_out)) == (ended.result["photos"], ended.result["measured_on"]["photos"])
    assert len(shown) + len(dataset.held_out) == len(PHOTOS)

    model = families.load(task.training.base, compute.choose(PRECISION, task.training.base.native_px), SIDE_PX)
    meter = LikenessMeter(analyser, square_images(dataset, dataset.held_out, SIDE_PX))
    settings = SampleSettings(SIDE_PX, STEPS, GUIDANCE)
    prompts = DRAWING_PROMPTS[:PICTURES]

    def shots(subject: str, seed: int) -> list[Shot]:
        return [Shot(prompt.format(subject=subject), seed + number) for number, prompt in enumerate(prompts)]

    def likeness(images: np.ndarray) -> float:
        return float(np.mean([meter.likeness(image) or 0.0 for image in images]))

    ours, other, first = shots("a woman", FINAL_SEED), shots("another woman", FINAL_SEED), shots("a woman", 1000)
    plain, plain_other, before = (make_pictures(model, wanted, settings) for wanted in (ours, other, first))
    with inside(model, unit_of(folders), shown):
        faced, faced_other = (make_pictures(model, wanted, settings) for wanted in (ours, other))
    asked = [shot.prompt for shot in ours]
    judge = PromptJudge(model, tuple(dict.fromkeys(asked)))
    result = ended.result
    assert np.abs(faced.astype(int) - plain).mean() > 0.5
    assert result["likeness"]["after"] != result["likeness"]["floor"] != 0.0 != result["leakage"]  # faces were found
    assert result["likeness"]["floor"] == pytest.approx(likeness(plain), abs=2e-3)
    assert result["likeness"]["after"] == pytest.approx(likeness(faced), abs=2e-3)
    assert result["leakage"] == pytest.approx(likeness(faced_other) - likeness(plain_other), abs=4e-3)
    assert result["prompt_following"] == pytest.approx(judge.score(faced, asked), abs=1e-4)
    assert result["prompt_following_before"] == pytest.approx(judge.score(before, asked), abs=1e-4)


@contextmanager
def inside(model: Any, unit: Any, photos: list[Path]) -> Iterator[None]:
    """The face of these photos in every picture; the first half of the rows of a call is for the negative prompt."""
    from personal_avatar.identity.injection import injected

    person = Subject(tuple(read_photo(photo)[1] for photo in photos))
    target = Target(model.family, SIDE_PX, SIDE_PX, model.compute.device, model.compute.weights)
    ready = unit.prepare(IdentityRequest(IdentitySettings(), (person,)), target)
    halves = lambda count: Rows((False,) * (count // 2) + (True,) * (count // 2), 0.5)  # noqa: E731
    with injected(model.unet, ready.injection, halves):
        yield


def test_without_guidance_every_row_is_the_persons_and_off_is_off() -> None:
    guided, alone = one_photo.Switch(True), one_photo.Switch(False)
    assert guided.rows_of(4) == Rows((False, False, True, True), 0.0)
    assert alone.rows_of(2) == Rows((True, True), 0.0)
    with guided.strength(0.0):
        assert guided.rows_of(4) is None
    assert guided.on


def test_it_can_be_cancelled(ended: Ended, tmp_path: Path) -> None:
    control = Control(tmp_path)
    control.ask(CANCEL)
    with pytest.raises(Cancelled):
        one_photo.measure(ended.task, tmp_path, EventWriter(tmp_path), control)


def test_instantid_brings_its_own_network_and_says_what_spoils_it(
    ended: Ended, instantid: Path, tmp_path: Path
) -> None:
    """A miniature of SDXL has random weights; all the rest is as it is with a large one. One picture of one step."""
    base = make_checkpoint(Family.SDXL, tmp_path)
    plan = {**PLAN, "score_pictures": 1, "resolution_px": 64, "sample_steps": 1}
    photos = ended.task.training.photos[:3]
    training = replace(ended.task.training, base=base, photos=photos, plan=plan, avatar_folder=tmp_path / "avatar")
    task = replace(ended.task, training=training, identity_folders=(instantid,), identity_cache=tmp_path / "cache")
    (tmp_path / "job").mkdir()
    emit = EventWriter(tmp_path / "job")
    result = one_photo.measure(task, tmp_path / "job", emit, Control(tmp_path / "job"))
    assert (result["adapter_kind"], result["adapter"]) == ("instantid", "ip-adapter_instant_id_sdxl.safetensors")
    assert len(result["samples"]) == 1 and result["likeness"]["after"] is not None
    told = [event.message for event in read_messages(tmp_path / "job")]
    assert any("burns colours above a CFG scale of 5 (6)" in sentence for sentence in told)


def read_messages(folder: Path) -> list[Log]:
    return [record.event for record in read_events(folder) if isinstance(record.event, Log)]


def test_it_is_erased_with_the_person(ended: Ended) -> None:
    folder = ended.studio.jobs.folder(ended.view.job.id)
    assert folder.is_dir()
    ended.studio.delete_avatar(ended.view.job.avatar_id)
    assert not folder.exists()
