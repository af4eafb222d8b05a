"""The photo report as the JSON document of `photos check` and of the API."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from personal_avatar.domain import Face, PhotoReport, PhotoVerdict, to_json


def to_document(report: PhotoReport) -> dict[str, Any]:
    """Embeddings stay out of it: they are biometric data."""
    return {
        "photos": [_photo(verdict) for verdict in report.photos],
        "set": {
            "accepted": len(report.accepted),
            "photos": len(report.photos),
            "advice": [advice.text for advice in report.advice],
            "advice_codes": [{"code": advice.code, "values": to_json(advice.values)} for advice in report.advice],
            "coverage": to_json(report.coverage) if report.coverage is not None else None,
        },
    }


def _photo(verdict: PhotoVerdict) -> dict[str, Any]:
    return {
        "path": str(verdict.path),
        "sha256": verdict.photo.sha256 if verdict.photo is not None else None,
        "verdict": "accepted" if verdict.accepted else "rejected",
        "reasons": [reason.value for reason in verdict.reasons],
        "detail": verdict.detail,
        "remarks": list(verdict.remarks),
        "values": to_json(verdict.values),
        "choice": to_json(verdict.choice),
        "look": verdict.look.value,
        "size_px": list(verdict.photo.size_px) if verdict.photo is not None else None,
        "faces": verdict.faces,
        "face": _face(verdict.face) if verdict.face is not None else None,
        "people": [_face(face) for face in verdict.people],
        "quality": to_json(verdict.quality) if verdict.quality is not None else {},
        "similarity": verdict.similarity,
    }


def _face(face: Face) -> dict[str, Any]:
    document: dict[str, Any] = to_json(replace(face, embedding=None))
    del document["embedding"]
    return document
