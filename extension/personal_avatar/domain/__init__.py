"""The nouns that stages pass on: frozen, small, free of torch and of the WebUI.

Images travel between processes as paths and between modules as uint8 RGB arrays of shape (height, width, 3).
"""
from __future__ import annotations

from personal_avatar.domain.avatars import FORMAT_VERSION, Avatar, Consent, Portrait, Style, Use
from personal_avatar.domain.documents import from_json, to_json
from personal_avatar.domain.photos import (
    DATASET_VERSION,
    Advice,
    Coverage,
    Dataset,
    Face,
    Look,
    Photo,
    PhotoChoice,
    PhotoReport,
    PhotoVerdict,
    Quality,
    Reason,
    Sample,
)
from personal_avatar.domain.trainings import (
    CLASS_NOUNS,
    LIKENESS,
    MEASURED,
    NO_RECOVERY,
    ONE_PHOTO,
    RESEMBLANCE,
    BaseModelFile,
    Checkpoint,
    Engine,
    Family,
    Goal,
    Likeness,
    Method,
    Scores,
    means_animal,
)

__all__ = [
    "CLASS_NOUNS", "DATASET_VERSION", "FORMAT_VERSION", "LIKENESS", "MEASURED", "NO_RECOVERY", "ONE_PHOTO",
    "RESEMBLANCE", "Advice", "Avatar", "BaseModelFile", "Checkpoint", "Consent", "Coverage", "Dataset", "Engine",
    "Face", "Family", "Goal", "Likeness", "Look", "Method", "Photo", "PhotoChoice", "PhotoReport", "PhotoVerdict",
    "Portrait", "Quality", "Reason", "Sample", "Scores", "Style", "Use", "from_json", "means_animal", "to_json",
]
