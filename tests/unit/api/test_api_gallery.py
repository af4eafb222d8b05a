"""Finished pictures over HTTP: lists, sizes, favourites, deletion, archives."""
from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from personal_avatar.api.problems import PREFIX as V1
from personal_avatar.pictures import GENERATED
from personal_avatar.provenance import source_in
from personal_avatar.studio import Studio
from personal_avatar.studio.rankings import MAX_IMAGES
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES
from tests.unit.api.test_api_journey import ended, generated, trained
from tests.unit.runs import finished_run

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs


@pytest.fixture()
def job(studio: Studio) -> str:
    """The address of a finished run of three pictures."""
    return f"{V1}/jobs/{finished_run(studio)}"


def listed(client: TestClient, job: str, **query: Any) -> list[int]:
    answer = client.get(f"{job}/images", params=query)
    assert answer.status_code == 200, answer.text
    return [image["n"] for image in answer.json()["images"]]


def test_pictures_are_listed_with_scores_in_the_wanted_order(client: TestClient, job: str, studio: Studio) -> None:
    (first, *_) = client.get(f"{job}/images").json()["images"]
    assert (first["n"], first["likeness"], first["favourite"], first["restored"]) == (0, 0.9, False, False)
    assert first["scores"]["quality"] == 0.0 and first["scores"]["second"] is None
    assert str(studio.host.folders().data) not in client.get(f"{job}/images").text
    assert listed(client, job, sort="quality") == [2, 1, 0]
    assert listed(client, job, sort="likeness", filter="likeness>=0.8,quality>=0.1") == [1]
    assert client.get(f"{job}/images", params={"sort": "beauty"}).status_code == 422
    assert client.get(f"{job}/images", params={"filter": "likeness=1"}).status_code == 422
    assert client.get(f"{V1}/jobs/nothere/images").status_code == 404


def test_pictures_of_a_large_ranking_have_numbers_up_to_its_limit(client: TestClient, job: str) -> None:
    for route in ("", "/similar"):
        told = [client.get(f"{job}/images/{n}{route}").json()["detail"] for n in (MAX_IMAGES - 1, MAX_IMAGES + 1)]
        assert f"no number {MAX_IMAGES - 1}" in told[0] and "no number" not in told[1]


@pytest.mark.parametrize(("size", "kind", "px"), [
    ("linkedin", "jpeg", (400, 400)), ("round", "png", None), ("story", "webp", None), ("original", "png", None),
])
def test_a_picture_comes_in_every_size_with_its_mark(
    client: TestClient, job: str, size: str, kind: str, px: tuple[int, int] | None
) -> None:
    answer = client.get(f"{job}/images/0", params={"size": size, "format": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{kind}")
    assert source_in(answer.content) == GENERATED
    picture = Image.open(io.BytesIO(answer.content))
    assert px is None or picture.size == px
    assert size == "original" or f"-{size}." in answer.headers["content-disposition"]


def test_favourites_are_set_and_taken_away_as_often_as_one_likes(client: TestClient, job: str) -> None:
    for _ in range(2):
        assert client.put(f"{job}/images/2/favourite").json()["favourite"] is True
    assert listed(client, job, filter="favourite") == [2]
    for _ in range(2):
        assert client.delete(f"{job}/images/2/favourite").json()["favourite"] is False
    assert listed(client, job, filter="favourite") == []
    assert client.put(f"{job}/images/9/favourite").status_code == 404


def test_numbers_and_addresses_stay_when_others_are_deleted(client: TestClient, job: str) -> None:
    before = client.get(f"{job}/images/2").content
    answer = client.delete(f"{job}/images/0")
    assert answer.status_code == 200
    assert answer.json()["erased"] == ["0000.png"] and answer.json()["left"] == []
    assert listed(client, job) == [1, 2]
    images = client.get(job).json()["result"]["images"]
    assert [image["url"] for image in images] == [f"{job}/images/1", f"{job}/images/2"]
    assert client.get(f"{job}/images/2").content == before
    assert client.get(f"{job}/images/0").status_code == client.delete(f"{job}/images/0").status_code == 404


def test_what_the_host_saved_is_listed_by_name_and_deleted_when_asked(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    job = f"{V1}/jobs/{finished_run(studio, elsewhere=tmp_path / 'outputs')}"
    assert client.delete(f"{job}/images/0").json()["left"] == ["0000.png"]
    assert client.delete(f"{job}/images/2", params={"host_files": True}).json()["left"] == []
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["0000.png", "0001.png"]


def test_an_archive_holds_the_chosen_pictures_and_leaves_nothing_behind(
    client: TestClient, job: str, studio: Studio
) -> None:
    answer = client.get(f"{job}/archive", params={"n": [0, 2], "sort": "quality", "size": "square", "format": "webp"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["001.webp", "002.webp", "contact-sheet.jpg", "scores.csv", "scores.json"]
        assert [row["number"] for row in json.loads(archive.read("scores.json"))["pictures"]] == [2, 0]
    assert list(studio.gallery.archives.iterdir()) == []
    assert client.get(f"{job}/archive", params={"n": [7]}).status_code == 404


def test_more_like_a_picture_begins_with_it_and_keeps_the_person_and_the_words(
    client: TestClient, studio: Studio
) -> None:
    trained(client)
    job = generated(client, style_template=None, prompt="{subject} on the moon", num_images=2)
    studio.gallery.delete(job["id"], 0)
    more = studio.gallery.more_like(studio.gallery.entry(job["id"], 1), count=3)
    assert ended(client, more.id)["state"] == "succeeded"
    request = studio.host.requests[-1]  # type: ignore[attr-defined]
    assert request.prompt == "<lora:anna:1> sks woman on the moon" and request.image is not None
    assert [entry.number for entry in studio.gallery.of(more.id)] == [0, 1, 2]
    seeds = {entry.portrait.seed for entry in studio.gallery.of(more.id)}
    assert len(seeds) == 3 and not seeds & {7, 8}


def test_of_several_faces_the_cut_takes_the_persons_own(client: TestClient, studio: Studio) -> None:
    from personal_avatar.pictures import load_picture, save_picture
    from personal_avatar.studio import keeping

    trained(client)
    job = generated(client, num_images=2)
    entry = next(one for one in studio.gallery.of(job["id"]) if one.likeness and one.likeness > 0.9)
    stranger, person = load_picture(SAMPLES / "someone-else.jpg"), load_picture(GOOD[0])
    side = min(*stranger.shape[:2], *person.shape[:2])
    both = np.concatenate([stranger[:side, :side], person[:side, :side]], axis=1)
    save_picture(both, entry.portrait.path)
    found = keeping.face_box(studio, replace(entry, portrait=replace(entry.portrait, faces=2)), both)
    assert found is not None and found[0] > side
