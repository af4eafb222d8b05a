"""No training and no picture of a photo without a statement that the person agreed, and none is ever lost."""
from __future__ import annotations

import ast
import getpass
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar import cli
from personal_avatar.api.routes import build_router
from personal_avatar.domain import Avatar, Consent, Use, from_json, to_json
from personal_avatar.errors import ConsentMissing
from personal_avatar.jobs.control import CANCEL, Control
from personal_avatar.standalone import host as standalone
from personal_avatar.storage import sha256_of
from personal_avatar.studio import CreateRequest, Studio, TrainRequest

from tests.unit.api.house import GOOD, DrawingHost, build_studio, encoded

pytestmark = pytest.mark.slow

PACKAGE = Path(cli.__file__).parent
REQUEST = TrainRequest("Anna", GOOD[:1], "woman", consent="Anna signed on paper.", stated_by="Bea", door="page")
ANNA = Avatar("anna", "Anna", "u", "woman", "sks woman", "2026-01-01T00:00:00+00:00")
V1 = "/personal-avatar/v1"


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


def trained(studio: Studio, request: TrainRequest) -> Avatar:
    job = studio.trainings.start(request)
    studio.queue.wait(job.id, 30)
    return studio.avatars.load(job.avatar_id)


@given(st.lists(st.builds(Consent, st.text(min_size=1), st.text(), st.text(), use=st.sampled_from(Use)), max_size=6))
def test_statements_only_ever_come_to_those_that_are_there(stated: list[Consent]) -> None:
    avatar = ANNA
    for count, consent in enumerate(stated, start=1):
        avatar = from_json(Avatar, to_json(avatar.agreed(consent)))
        assert avatar.consents == tuple(stated[:count])
        assert avatar.consent == consent


def test_an_avatar_of_an_earlier_version_keeps_its_statement() -> None:
    old = to_json(replace(ANNA, consent=Consent("She agreed.", "u", "2026-01-01T00:00:00+00:00", ("ff",))))
    del old["earlier_consents"], old["consent"]["use"], old["consent"]["door"]
    (kept,) = from_json(Avatar, old).consents
    assert (kept.statement, kept.use, kept.door) == ("She agreed.", Use.TRAINING, "")


@pytest.mark.slow
def test_every_training_adds_who_when_where_and_for_which_photos(studio: Studio) -> None:
    first = trained(studio, REQUEST)
    again = trained(studio, replace(REQUEST, photos=GOOD[:2], consent="Asked once more.", stated_by="", door="api"))
    assert again.consents[:1] == first.consents == (first.consent,)
    one, two = again.consents
    assert (one.statement, one.given_by, one.door, one.use) == ("Anna signed on paper.", "Bea", "page", Use.TRAINING)
    assert (two.given_by, two.door) == ("local", "api")
    assert (one.photo_sha256, two.photo_sha256) == tuple(tuple(map(sha256_of, GOOD[:count])) for count in (1, 2))
    given = datetime.fromisoformat(two.given_at)
    assert given.utcoffset() == timedelta(0)
    newest, oldest = (view.job.payload["avatar"]["consent"] for view in studio.jobs.views())
    assert (oldest["statement"], newest["statement"]) == ("Anna signed on paper.", "Asked once more.")


@pytest.mark.slow
def test_a_training_that_is_refused_leaves_the_statements_as_they_were(studio: Studio) -> None:
    before = trained(studio, REQUEST)
    with pytest.raises(ConsentMissing):
        studio.trainings.start(replace(REQUEST, consent=" \n"))
    assert studio.avatars.load("anna").consents == before.consents


@pytest.mark.slow
def test_pictures_of_a_photo_need_a_statement_too(studio: Studio) -> None:
    wish = CreateRequest(prompt="at sea", references=GOOD[:1], user_id="u", door="api")
    with pytest.raises(ConsentMissing):
        studio.create(wish)
    assert studio.jobs.ids() == []


@pytest.mark.slow
def test_the_api_tells_all_statements_and_erases_them_with_the_person(studio: Studio) -> None:
    app = FastAPI()
    app.include_router(build_router(studio))
    client = TestClient(app)
    body: dict[str, Any] = {"user_id": "u", "instance_name": "Anna", "images": [encoded(GOOD[0])]}
    for nothing in ("", "  ", None):
        assert client.post(f"{V1}/models/train", json={**body, "consent": nothing}).status_code == 422
    assert studio.jobs.ids() == []
    job_id = client.post(f"{V1}/models/train", json=body).json()["training_job_id"]
    studio.queue.wait(job_id, 30)
    told = client.get(f"{V1}/models/anna").json()
    assert told["consents"] == [told["consent"]]
    assert (told["consent"]["door"], told["consent"]["use"], told["consent"]["given_by"]) == ("api", "training", "u")
    assert told["consent"]["photo_sha256"] == [sha256_of(GOOD[0])]
    assert client.delete(f"{V1}/models/anna").status_code == 200
    data = studio.host.folders().data
    kept = [path for path in data.rglob("*.json*") if b"The caller of the API" in path.read_bytes()]
    assert kept == []


@pytest.mark.slow
def test_the_command_line_notes_who_ran_it(
    tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    studio = build_studio(data, face_weights)
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)
    words = ["train", "--data", str(data), "--photos", str(GOOD[0]), "--name", "Anna"]
    assert cli.main([*words, "--consent", " "]) == 1
    assert "agreed" in capsys.readouterr().err
    assert studio.avatars.all() == []
    cli.main(words)
    consent = studio.avatars.load("anna").consent
    assert consent is not None
    assert (consent.given_by, consent.door) == (getpass.getuser(), "command line")


@pytest.mark.slow
def test_a_job_goes_on_with_the_statement_that_it_began_with(studio: Studio) -> None:
    job = studio.trainings.start(REQUEST)
    Control(studio.jobs.folder(job.id)).ask(CANCEL)
    studio.queue.wait(job.id, 30)
    assert Studio(studio.host).jobs.job(job.id).payload["avatar"]["consent"] == job.payload["avatar"]["consent"]


def test_only_one_place_starts_trainings_and_it_asks_first() -> None:
    """Whoever says what a training does goes through the check of the statement."""
    starting = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TrainTask"
    ]
    assert starting == ["studio/trainings.py"]
    doors = [
        path.relative_to(PACKAGE).as_posix()
        for door in ("ui", "api", "commands", "webui", "standalone")
        for path in (PACKAGE / door).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TrainRequest"
        and "consent" not in {word.arg for word in node.keywords}
    ]
    assert doors == []
