"""How much pictures look like a person, and what else can be said of them."""
from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.ranking.looks import look
from personal_avatar.ranking.nouns import (
    NOT_FOLLOWED,
    FaceReader,
    Follows,
    ManyReader,
    OneByOne,
    Opinions,
    Scale,
    Scored,
)
from personal_avatar.ranking.quality import face_quality
from personal_avatar.ranking.technical import technical
from personal_avatar.vectors import unit

LOG = logging.getLogger(__name__)
__all__ = ["FaceReader", "Scored", "Scorer"]


class Scorer:
    """Measures pictures against one person. `reference`: float32 (d,), of the recogniser of `analyser`.

    `opinions`: what else is asked; made when the first picture comes, as it may have to be read from large files.
    `many`: reads several pictures at once; `people`: how many should be in a picture.
    """

    def __init__(
        self, analyser: FaceReader, reference: np.ndarray, opinions: Callable[[], Opinions] = Opinions, *,
        many: ManyReader | None = None, people: int = 1,
    ) -> None:
        self._one, self._many = OneByOne(analyser), many or OneByOne(analyser)
        self._reference, self._people = unit(reference), people
        self._threshold, self._make, self._making = analyser.same_person_above, opinions, threading.Lock()
        self._made: Opinions | None = None

    @property
    def opinions(self) -> Opinions:
        """What is asked besides the recogniser."""
        with self._making:
            self._made = self._made or self._make()
            return self._made

    @property
    def scale(self) -> Scale:
        """From where on cosines count as fairly like the person."""
        second = self.opinions.second
        return Scale(self.opinions.fairly_from or self._threshold, second.fairly_from if second else None)

    @property
    def fingerprint(self) -> str:
        """Differs where scores of the same picture may differ."""
        second, follows = self.opinions.second, self.opinions.follows
        parts = [self._reference.tobytes(), str(self._people).encode(), (follows.name if follows else "").encode()]
        if second is not None:
            parts += [second.name.encode(), second.reference.tobytes()]
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    @property
    def good_from(self) -> float:
        """The likeness from which a picture counts as good."""
        return self.opinions.good_from or self._threshold

    def score(self, image: np.ndarray, prompt: str = "") -> Scored:
        """What can be said of a uint8 RGB (height, width, 3) picture; of `prompt` only where there is a CLIP."""
        return self._scored(self._one, [image], [prompt])[0]

    def face_in(self, image: np.ndarray) -> Face | None:
        """The face most like the person, without asking anybody else; None without a face."""
        return self._likest(self._one, [image], self._one.detect([image]))[1][0]

    def score_many(self, images: Sequence[np.ndarray], prompts: Sequence[str] = ()) -> list[Scored]:
        """The same of several pictures at once, with fewer looks for faces where one is large and certain."""
        return self._scored(self._many, images, prompts or [""] * len(images))

    def _scored(self, reader: ManyReader, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Scored]:
        faces = reader.detect(images)
        likeness, best = self._likest(reader, images, faces)
        second, followed = self._seconds(images, best), self._followed(images, prompts)
        found = []
        for number, image in enumerate(images):
            face, (prompt, seen) = best[number], followed[number]
            scores = face_quality(image, face) if face else {}
            scores |= (
                technical(image, face, len(faces[number]), self._people, scores["sharpness"]) if face else {}
            )
            scores |= {name: round(value, 4) for name, value in (("second", second[number]), ("prompt", prompt))
                       if value is not None}
            found.append(Scored(likeness[number], len(faces[number]), scores, face, look(image, face, seen)))
        return found

    def _likest(
        self, reader: ManyReader, images: Sequence[np.ndarray], faces: Sequence[Sequence[Face]]
    ) -> tuple[list[float | None], list[Face | None]]:
        """Of each picture the cosine of the face most like the person, and that face."""
        pairs = [(image, face) for image, seen in zip(images, faces, strict=True) for face in seen]
        cosines = iter([float(unit(vector) @ self._reference) for vector in reader.embed(pairs)])
        likeness: list[float | None] = []
        best: list[Face | None] = []
        for seen in faces:
            told = list(islice(cosines, len(seen)))
            at = int(np.argmax(told)) if told else None
            likeness.append(None if at is None else round(told[at], 4))
            best.append(None if at is None else seen[at])
        return likeness, best

    def _seconds(self, images: Sequence[np.ndarray], best: Sequence[Face | None]) -> list[float | None]:
        """The second recogniser's cosines of those faces; None without a face or without one."""
        second = self.opinions.second
        if second is None:
            return [None] * len(images)
        pairs = [(image, face) for image, face in zip(images, best, strict=True) if face is not None]
        cosines = iter([float(unit(vector) @ second.reference) for vector in second.reader.embed(pairs)])
        return [None if face is None else next(cosines) for face in best]

    def _followed(
        self, images: Sequence[np.ndarray], prompts: Sequence[str]
    ) -> list[tuple[float | None, np.ndarray | None]]:
        """How well each prompt is followed, and what CLIP saw; (None, None) without a prompt or without a CLIP."""
        follows = self.opinions.follows
        wanted = [number for number, prompt in enumerate(prompts) if prompt.strip()] if follows else []
        found: list[tuple[float | None, np.ndarray | None]] = [(None, None)] * len(images)
        if wanted and follows:
            told = self._told(follows, [images[number] for number in wanted], [prompts[number] for number in wanted])
            for number, one in zip(wanted, told, strict=False):
                found[number] = one
        return found

    def _told(
        self, follows: Follows, images: Sequence[np.ndarray], prompts: Sequence[str]
    ) -> Sequence[tuple[float, np.ndarray]]:
        """What CLIP says; nothing where it fails, such as for lack of memory: then it is not asked again."""
        try:
            return follows(images, prompts)
        except Exception as error:
            LOG.warning("CLIP failed", exc_info=True)
            with self._making:
                if self._made is not None and self._made.follows is follows:
                    remark = f"{NOT_FOLLOWED} {type(error).__name__}: {error}"
                    self._made = replace(self._made, follows=None, remarks=(*self._made.remarks, remark))
            return ()
