"""`PYTHON ranking_reference.py WORK.json RESULT.json`: insightface's own pipeline, one turn.

Runs in the interpreter that has insightface, so it needs nothing of ours.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WARM_UP = 4
SIZE = (640, 640)


def main() -> None:
    work_file, result = sys.argv[1:]
    work = json.loads(Path(work_file).read_text(encoding="utf-8"))
    told = measure(work, Path(result).with_suffix(".npy"))
    Path(result).write_text(json.dumps(told), encoding="utf-8")


def measure(work: dict[str, Any], embeddings: Path) -> dict[str, Any]:
    """Every picture through `FaceAnalysis.get`, with a detector and a recogniser alone."""
    import cv2
    import insightface
    import numpy as np
    import onnxruntime
    from insightface.app import FaceAnalysis

    cards = [name for name in onnxruntime.get_available_providers() if name == "CUDAExecutionProvider"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("detector", "recogniser"):
            (Path(folder) / Path(work[name]).name).symlink_to(work[name])
        app = FaceAnalysis(folder, allowed_modules=["detection", "recognition"],
                           providers=[*cards, "CPUExecutionProvider"])
        app.prepare(ctx_id=0 if cards else -1, det_size=SIZE)
        for path in work["pictures"][:WARM_UP]:
            app.get(cv2.imread(path))
        began, cpu = time.perf_counter(), time.process_time()
        found = [app.get(cv2.imread(path)) for path in work["pictures"]]
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        providers = app.det_model.session.get_providers()
    width = max((len(face.embedding) for faces in found for face in faces), default=1)
    np.save(embeddings, np.stack([largest(faces, width, np) for faces in found]))
    return {"engine": "insightface", "seconds": seconds, "cpu_seconds": cpu, "faces": sum(map(len, found)),
            "embeddings": str(embeddings), "providers": providers, "version": insightface.__version__}


def largest(faces: Any, width: int, np: Any) -> Any:
    """The embedding of the largest face, float32 (width,); zeros without one."""
    if not faces:
        return np.zeros(width, np.float32)
    return max(faces, key=lambda face: (face.bbox[2] - face.bbox[0]) * (face.bbox[3] - face.bbox[1])).embedding


if __name__ == "__main__":
    main()
