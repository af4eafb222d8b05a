"""`python -m personal_avatar.benchmarks.ranking_child WORK.json RESULT.json`: our ranking, one turn."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from personal_avatar import __version__
from personal_avatar.benchmarks.ranking_work import OURS, WARM_UP, RankingTimed, RankingWork
from personal_avatar.domain import from_json, to_json
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.many import ManyFaces
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.pictures import load_picture
from personal_avatar.ranking.folder import scored_files
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.sessions import session
from personal_avatar.storage import write_json


def main(arguments: Sequence[str]) -> int:
    work_file, result = arguments
    work = from_json(RankingWork, json.loads(Path(work_file).read_text(encoding="utf-8")))
    write_json(Path(result), to_json(measure(work, Path(result).with_suffix(".npy"))))
    return 0


def measure(work: RankingWork, embeddings: Path) -> RankingTimed:
    """Rank all pictures once, after a few to warm up."""
    analyser = Analyser(Scrfd(work.detector), arcface(work.recogniser))
    reader = ManyFaces(analyser)
    width = session(work.recogniser, card=True).get_outputs()[0].shape[-1]
    scorer = Scorer(analyser, np.ones(width), many=reader)
    list(scored_files(list(work.pictures[:WARM_UP]), scorer))
    began, cpu = time.perf_counter(), time.process_time()
    found = list(scored_files(list(work.pictures), scorer))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    np.save(embeddings, np.stack([largest(path, reader, width) for path in work.pictures]))
    providers = tuple(session(work.detector, card=True).get_providers())
    faces = sum(one.faces for one in found)
    return RankingTimed(OURS, seconds, cpu, faces, str(embeddings), providers, __version__)


def largest(path: Path, reader: ManyFaces, width: int) -> np.ndarray:
    """float32 (width,): the embedding of the largest face; zeros without one."""
    image = load_picture(path)
    faces = reader.detect([image])[0]
    return reader.embed([(image, faces[0])])[0] if faces else np.zeros(width, np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
