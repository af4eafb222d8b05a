"""The API against its own OpenAPI document, with requests that nobody thought of."""
from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
import wd_tagger
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from personal_avatar.api.problems import PREFIX
from personal_avatar.api.routes import TOPICS, build_router
from personal_avatar.api.table import Row
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.unit.api.house import build_studio, own_weights
from tests.unit.jobs.children import QUICK

CHECKS = [
    not_a_server_error, content_type_conformance, negative_data_rejection, positive_data_acceptance,
    response_schema_conformance, status_code_conformance, unsupported_method,
]
EXAMPLES = 12
ROWS = [row for _, rows in TOPICS for row in rows]
# Only these take something that can be of a wrong form; in an address every text is a text.
REFUSABLE = ("/models/train", "/images/generate_avatar", "/images/restore", "/photos/check", "/jobs",
              "/jobs/{job_id}/images/{n}", "/photos/caption", "/photos/lint", "/characters/invent", "/comparisons",
              "/jobs/{job_id}/images", "/jobs/{job_id}/archive", "/jobs/{job_id}/priority")
# No document can tell whether a picture can be read and a face is in it.
# Nor that no more pictures can be kept than are made, that new words have no prior, and what other methods have.
UNTOLD = tuple(
    (path, positive_data_acceptance)
    for path in ("/images/generate_avatar", "/characters/invent", "/models/train", "/comparisons")
)
# Nor which hosts there are, and which keys were used.
UNTOLD_CODES = ("CALLBACK_REFUSED", "IDEMPOTENCY_KEY_REUSED")
CASES = [
    *((row, GenerationMode.POSITIVE) for row in ROWS),
    *((row, GenerationMode.NEGATIVE) for row in ROWS if row.path in REFUSABLE),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> schemathesis.BaseSchema:
    app, data = FastAPI(), tmp_path_factory.mktemp("data") / "data"
    app.include_router(build_router(build_studio(data, face_weights, QUICK)))
    wd_tagger.make(own_weights(data) / "wd14" / "wd-vit-tagger-v3")
    return schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", app)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "mode"), CASES, ids=lambda part: part.path if isinstance(part, Row) else part.value)
def test_every_answer_is_as_documented(document: schemathesis.BaseSchema, row: Row, mode: GenerationMode) -> None:
    operation = document[PREFIX + row.path][row.method]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Case) -> None:
        answer = case.call()
        untold = {check for path, check in UNTOLD if path == row.path}
        if any(code in answer.text for code in UNTOLD_CODES):
            untold.add(positive_data_acceptance)
        case.validate_response(answer, checks=[check for check in CHECKS if check not in untold])

    answers()


def test_the_document_covers_every_route_of_the_contract(document: schemathesis.BaseSchema) -> None:
    paths = {f"{method.upper()} {path.removeprefix(PREFIX)}" for path, item in document.raw_schema["paths"].items()
             for method in item}
    assert paths == {
        "POST /models/train", "GET /models", "GET /models/{model_id}", "DELETE /models/{model_id}",
        "POST /images/generate_avatar", "POST /images/restore", "POST /photos/check", "GET /styles",
        "GET /jobs", "GET /jobs/{job_id}", "POST /photos/caption", "POST /photos/lint", "GET /photos/taggers",
        "POST /characters/invent",
        "GET /jobs/{job_id}/events", "GET /jobs/{job_id}/log", "GET /jobs/{job_id}/images/{n}",
        "POST /jobs/{job_id}/cancel", "POST /jobs/{job_id}/pause", "POST /jobs/{job_id}/resume",
        "PUT /jobs/{job_id}/priority", "GET /health", "POST /comparisons", "GET /models/{model_id}/comparison",
        "GET /models/{model_id}/comparison.png",
        "POST /checkpoints/avatar-tiny", "GET /identity", "DELETE /jobs/{job_id}",
        "GET /jobs/{job_id}/images", "DELETE /jobs/{job_id}/images/{n}", "GET /jobs/{job_id}/archive",
        "POST /images/rank", "GET /jobs/{job_id}/ranked.csv", "GET /jobs/{job_id}/images/{n}/similar",
        "PUT /jobs/{job_id}/images/{n}/favourite", "DELETE /jobs/{job_id}/images/{n}/favourite",
    }


def test_every_route_documents_its_errors_as_problems(document: schemathesis.BaseSchema) -> None:
    for item in document.raw_schema["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert operation["description"]
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert {"401", "422", "500"} <= set(errors)
            assert all(set(answer["content"]) == {"application/problem+json"} for answer in errors.values())


