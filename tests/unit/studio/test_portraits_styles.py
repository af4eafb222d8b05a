"""What a style, things to try on, wildcards and more LoRAs make of the request to the host."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from personal_avatar.domain import Avatar, Checkpoint, Family, Method
from personal_avatar.errors import GenerationFailed, InvalidSettings, NotFound
from personal_avatar.host import Picture, PictureRequest
from personal_avatar.jobs import queue
from personal_avatar.jobs.events import Log
from personal_avatar.jobs.states import ENDED, State
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import CreateRequest, Studio
from personal_avatar.studio.again import request_like
from personal_avatar.studio.creating import CreateSettings, Sitter, picture_size, tags
from personal_avatar.studio.picking import similar
from personal_avatar.styles.library import find
from personal_avatar.training.planning.presets import TINY_GUIDANCE

from tests.unit.api.house import GOOD, DrawingHost, build_studio, measured

Made = Callable[..., tuple[list[PictureRequest], Studio, str]]


@pytest.fixture()
def made(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Let pictures of a trained avatar be made; answers what the host was asked for."""
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    studio = build_studio(tmp_path / "data", face_weights)
    avatar = trained(studio, face_weights)

    def make(**wish: Any) -> tuple[list[PictureRequest], Studio, str]:
        settings = {"count": 2, "seed": 5, "restore": False, **wish.pop("settings", {})}
        job = studio.create(CreateRequest(avatar.id, settings=settings, **wish))
        while studio.jobs.status(job.id).state not in ENDED:
            time.sleep(0.02)
        return studio.host.requests, studio, job.id  # type: ignore[attr-defined]

    return make


def trained(studio: Studio, weights: Path) -> Avatar:
    file = studio.host.folders().loras / "anna.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    avatar = studio.avatars.open("anna", user_id="local", class_noun="woman", statement="she agreed")
    point = Checkpoint(file, "", 2, Method.LORA, Family.SD1, "sks woman", clip_skip=2)
    facts = measured(weights.resolve())
    avatar = replace(avatar, reference=tuple(facts["reference"]), recogniser=facts["recogniser"], checkpoints=(point,))
    studio.avatars.save(avatar)
    return avatar


@pytest.mark.slow
def test_prompts_are_read_by_the_layer_that_the_avatar_was_trained_with(made: Made) -> None:
    requests, _, _ = made(prompt="portrait of {subject}")
    assert requests and {request.clip_skip for request in requests} == {2}


@pytest.mark.slow
def test_a_style_says_how_it_is_painted_and_what_was_said_wins(made: Made) -> None:
    (first, *_), _, _ = made(styles=("oil-painting",))
    assert (first.steps, first.guidance) == (28, 7.5)
    requests, _, _ = made(styles=("oil-painting",), settings={"steps": 11, "guidance": 3.0})
    assert (requests[-1].steps, requests[-1].guidance) == (11, 3.0)
    requests, _, _ = made(prompt="a photo of {subject}")
    assert (requests[-1].steps, requests[-1].guidance) == (20, TINY_GUIDANCE)


@pytest.mark.slow
def test_what_shall_not_be_seen_is_added_to_what_each_style_says(made: Made) -> None:
    (own,), _, _ = made(prompt="{subject}", negative_prompt="glasses", settings={"count": 1})
    assert own.negative_prompt == "glasses"
    requests, studio, job_id = made(styles=("oil-painting", "linkedin-headshot"), negative_prompt=" glasses, hat ")
    for request, style in zip(requests[1:], ("oil-painting", "linkedin-headshot"), strict=True):
        assert request.negative_prompt == find(style).negative_prompt + ", glasses, hat"
    again = request_like(studio.jobs.job(job_id), "oil-painting", studio.jobs.folder(job_id), 1)
    assert again.negative_prompt.strip() == "glasses, hat"
    assert studio._wanted_styles(again)[0].negative_prompt == requests[1].negative_prompt
    assert similar(studio, job_id, 1, 0).request["negative_prompt"].strip() == "glasses, hat"


def test_fewer_pictures_than_styles_are_refused_before_anything_starts(made: Made) -> None:
    with pytest.raises(InvalidSettings, match=r"3 styles \(a prompt is one\) need as many .* were 2\."):
        made(styles=("oil-painting", "linkedin-headshot"), prompt="{subject}")


def test_clothes_and_hair_are_tried_on(made: Made) -> None:
    worn = {"clothes": "a red dress", "hair": "silver hair"}
    (request, *_), _, _ = made(styles=("linkedin-headshot",), settings=worn)
    assert "a red dress" in request.prompt and "with silver hair" in request.prompt and "blazer" not in request.prompt


def test_more_loras_are_named_in_the_prompt_and_missing_ones_told(made: Made) -> None:
    (request, *_), studio, job_id = made(styles=("oil-painting",), settings={"loras": "ink:0.6, film"})
    assert request.prompt.endswith(" <lora:ink:0.6> <lora:film:1>")
    told = logged(studio, job_id)
    assert any("ink" in text for text in told) and any("film" in text for text in told)


def logged(studio: Studio, job_id: str) -> list[str]:
    return [record.event.message for record in studio.events(job_id) if isinstance(record.event, Log)]


def test_damaged_networks_of_both_prompts_are_told_once(made: Made, tmp_path: Path) -> None:
    folders = StandaloneHost(tmp_path / "data").folders()
    (folders.loras / "empty.safetensors").touch()
    (folders.embeddings / "bad-hands.pt").write_bytes(b"PK\x03\x04")
    wish = {"count": 6, "loras": "empty"}
    requests, studio, job_id = made(prompt="{subject}", negative_prompt="bad-hands", settings=wish)
    assert len(requests) > 1
    for what in ("The LoRA empty", "The embedding bad-hands"):
        assert len([told for told in logged(studio, job_id) if told.startswith(f"{what} cannot be read")]) == 1


@pytest.mark.parametrize("prompt", ["{subject} <lora:ink:nan>", "{subject} __weight__"])
def test_a_weight_that_is_no_number_ends_the_job_before_a_picture_is_made(
    made: Made, tmp_path: Path, prompt: str
) -> None:
    lists = tmp_path / "data" / "wildcards"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "weight.txt").write_text("<lora:ink:1e999>\n")
    requests, studio, job_id = made(prompt=prompt)
    error = studio.jobs.status(job_id).error
    assert requests == [] and error is not None and error["code"] == InvalidSettings.code
    assert "<lora:ink:" in error["message"]


@pytest.mark.parametrize(("written", "meant"), [
    ("", []), (" , ", []), ("ink", ["<lora:ink:1>"]), ("ink:0.5,film:2", ["<lora:ink:0.5>", "<lora:film:2>"]),
])
def test_loras_are_written_as_a_list(written: str, meant: list[str]) -> None:
    assert tags(CreateSettings(loras=written).loras) == meant


@pytest.mark.slow
def test_each_picture_gets_its_own_line_of_a_wildcard(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "wildcards"
    folder.mkdir(parents=True)
    (folder / "colour.txt").write_text("\n".join(f"colour{number}" for number in range(50)), encoding="utf-8")
    requests, _, _ = made(prompt="a __colour__ photo of {subject}", settings={"count": 6})
    assert [request.seeds for request in requests] == [(5,), (6,), (7,), (8,), (9,), (10,)]
    assert len({request.prompt for request in requests}) > 3
    assert not any("__" in request.prompt for request in requests)
    again, _, _ = made(prompt="a __colour__ photo of {subject}", settings={"count": 6})
    assert [request.prompt for request in again[6:]] == [request.prompt for request in requests[:6]]


@pytest.mark.parametrize("wish", [
    {"prompt": "__nowhere__ of {subject}"}, {"prompt": "{subject}", "negative_prompt": "__nowhere__"},
    {"styles": ("oil-painting",), "settings": {"clothes": "a __nowhere__ hat"}}, {"prompt": "{subject}, __some__"},
])
def test_an_unknown_wildcard_is_refused_before_anything_starts(made: Made, tmp_path: Path, wish: Any) -> None:
    folder = tmp_path / "data" / "wildcards"
    folder.mkdir(parents=True)
    (folder / "some.txt").write_text("\n".join([*"abcdefgh", "__nowhere__"]), encoding="utf-8")
    with pytest.raises(NotFound, match="nowhere"):
        made(**wish)


def test_what_was_made_before_an_error_is_kept(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    paint = DrawingHost.generate

    def failing(self: DrawingHost, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        yield next(iter(paint(self, replace(request, seeds=request.seeds[:1]), on_step)))
        raise GenerationFailed("The card fell out.")

    monkeypatch.setattr(DrawingHost, "generate", failing)
    _, studio, job_id = made(prompt="a photo of {subject}")
    view = studio.jobs.view(job_id)
    assert view.status.state is State.FAILED and (view.status.error or {})["code"] == "GENERATION_FAILED"
    assert len((view.result or {})["images"]) == 1
    assert [run.job.id for run in studio.gallery.runs()] == [job_id] and len(studio.gallery.of(job_id)) == 1


def test_a_pose_that_the_host_cannot_follow_is_refused_before_anything_starts(made: Made) -> None:
    with pytest.raises(InvalidSettings):
        made(styles=("oil-painting",), pose=GOOD[0])


def test_the_shape_of_a_style_counts_where_the_checkpoint_knows_shapes() -> None:
    plain = CreateSettings()
    assert picture_size(plain, 512, Sitter("woman"), 0.8) == (448, 576)
    assert picture_size(plain, 1024, Sitter("woman"), 1.5) == (1280, 832)
    assert picture_size(plain, 192, Sitter("woman"), 0.8) == (192, 192)
    photo = Sitter("woman", image=np.zeros((100, 100, 3), np.uint8))
    assert picture_size(plain, 512, photo, 0.8) == (512, 512)
