"""What a person has to know of a training that succeeded, besides its numbers: what about the file, its checkpoint or
its report is not as usual. It stands before the advice of the result document, and is translated like that."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from personal_avatar.domain import Advice
from personal_avatar.wording import told

CODES = (
    "NOT_TRIED", "NOT_TRIED_MEMORY", "NOT_TRIED_OFF", "NOT_TRIED_BASE", "ELSEWHERE", "BASE_REPLACED", "BASE_GONE",
    "NO_REPORT",
)  # fmt: skip


def said(code: str, **values: Any) -> Advice:
    """Raises what `wording.text` raises."""
    return told("train_advice", code, **values)


def codes(advice: Iterable[Advice]) -> list[dict[str, Any]]:
    """For whoever says it in another language; in the order of the sentences."""
    return [{"code": one.code, "values": one.values} for one in advice]


def told_in(document: Mapping[str, Any], caveats: Iterable[Advice]) -> dict[str, Any]:
    """The result document of a training with `caveats` before its advice, each once. One whose advice has no codes, as
    an earlier version wrote it, gets the sentences alone."""
    advice, coded = list(document.get("advice") or ()), list(document.get("advice_codes") or ())
    new = [one for one in caveats if one.text not in advice]
    found = {**document, "advice": [*(one.text for one in new), *advice]}
    return {**found, "advice_codes": [*codes(new), *coded]} if len(coded) == len(advice) else found
