"""Detectors and recognisers that remember: hundreds of tests show them the same few photos, and looking at these again
took a seventh of all tests' time. What is seen for the first time is looked at by the real networks."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest

MOST = 4000


class Remembered:
    """Answers of pure functions, the last `MOST` of them. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def of(self, key: Hashable, look: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = look()
        with self._lock:
            self._known[key] = found
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return found


def remember(patch: pytest.MonkeyPatch) -> None:
    """From now on, in this process."""
    from personal_avatar.faces.analyser import Analyser
    from personal_avatar.faces.scrfd import Scrfd
    from personal_avatar.faces.yunet import YuNet

    known = Remembered()

    def detector(kind: type) -> None:
        looked = kind.__call__

        def faces(self: Any, canvas: np.ndarray) -> list[Any]:
            key = (self, self.path.stat().st_mtime_ns, canvas.shape, canvas.tobytes())
            return list(known.of((kind, hash(key)), lambda: looked(self, canvas)))

        patch.setattr(kind, "__call__", faces)

    def recogniser() -> None:
        looked = Analyser.embed

        def vector(self: Analyser, image: np.ndarray, face: Any) -> np.ndarray:
            key = (face.landmarks_px, image.shape, image.tobytes())
            return known.of((self.recogniser.vector, hash(key)), lambda: looked(self, image, face)).copy()

        patch.setattr(Analyser, "embed", vector)

    for kind in (YuNet, Scrfd):
        detector(kind)
    recogniser()


def copy_models_once(patch: pytest.MonkeyPatch) -> None:
    """FastAPI copies the models of a route's answer for each route of each application, and tests build hundreds of
    applications. Newer ones keep the copies, as here; the newest make none."""
    from fastapi import routing, utils

    copied = getattr(routing, "create_cloned_field", None)
    if copied is None or hasattr(utils, "_CLONED_TYPES_CACHE"):
        return
    copies: WeakKeyDictionary[type, type] = WeakKeyDictionary()
    patch.setattr(routing, "create_cloned_field", lambda field: copied(field, cloned_types=copies))
