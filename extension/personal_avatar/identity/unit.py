"""One process's identity networks: photos and settings in, what goes into a UNet out.

At most one adapter, one IdentityNet, one CLIP are in memory. A caller uses it from one thread at a time (the WebUI's
queue, the lock of the standalone pipelines).
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from personal_avatar import sessions
from personal_avatar.errors import InvalidSettings, NoFace
from personal_avatar.faces.analyser import Analyser
from personal_avatar.faces.arcface import arcface
from personal_avatar.faces.scrfd import Scrfd
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity import infotext, keypoints
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights, Reference, Target, Tokens
from personal_avatar.identity.poses import Poses, poses_of
from personal_avatar.identity.references import read as read_reference
from personal_avatar.identity.shelf import AdapterFile, Shelf
from personal_avatar.problems import stated
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

    from personal_avatar.identity.injection import Control, Injection
    from personal_avatar.identity.projection import Projection

T = TypeVar("T")
REMEMBERED = 24  # people whose photos were read, and whose crops CLIP has seen
BURNS_ABOVE = 5.0
WATERMARKED_PX = (1024, 1024)


@dataclass(frozen=True)
class Prepared:
    """`injection` for `identity.injection.injected`; `infotext` pairs; `warnings` for the user; what photos said."""

    injection: Injection
    kind: AdapterKind
    infotext: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    references: tuple[Reference, ...]


class IdentityUnit:
    """`shelf`: where files are found; `cache`: a folder for converted ones. Making it costs nothing."""

    def __init__(self, shelf: Shelf, cache: Path) -> None:
        self.shelf = shelf
        self._cache = cache
        self._adapter: _Kept[tuple[AdapterWeights, Projection]] = _Kept()
        self._net: _Kept[Any] = _Kept()
        self._clip: _Kept[Any] = _Kept()
        self._references: _Remembered[Reference] = _Remembered()
        self._states: _Remembered[torch.Tensor] = _Remembered()

    def prepare(self, request: IdentityRequest, target: Target) -> Prepared:
        """Read the photos, project them, draw the keypoints.

        Raises `InvalidSettings`, `NoFace`, `WeightsMissing`, `WeightsCorrupt`, `BaseUnsupported` (a family without
        adapters).
        """
        if not request.people:
            raise stated(InvalidSettings, "failure.no_subject", "remedy.add_photo")
        file = self.shelf.choose(request.settings, target.family, target.widths)
        people = named(request.people)
        references = tuple(self.reference(one, file.kind) for one in people)
        size_px = (target.width_px, target.height_px)
        poses = poses_of(request, references, size_px, self.analyser(file.kind).detect)
        warnings = [_of(person, sentence) for person, one in zip(people, references, strict=True)
                    for sentence in one.left_out]
        return Prepared(
            self._injection(request, target, file, references, poses), file.kind,
            infotext.pairs(request.settings, file.kind, file.path.name, request.people),
            (*warnings, *filter(None, [poses.warning]), *contradictions(request.settings)), references,
        )

    def analyser(self, kind: AdapterKind) -> Analyser:
        """The detector and recogniser that adapters of `kind` were trained with. Raises `WeightsMissing`."""
        pack = self.shelf.face_pack(kind.face_pack)
        return Analyser(Scrfd(pack.detector), arcface(pack.recogniser))

    def reference(self, subject: Subject, kind: AdapterKind) -> Reference:
        """What the photos of one person say to `kind`; remembered. Raises `NoFace` with the person's name."""
        analyser = self.analyser(kind)
        key = (analyser.name, infotext.photo_hash(subject.photos))
        try:
            return self._references.of(key, lambda: read_reference(subject.photos, analyser))
        except NoFace as error:
            raise NoFace(_of(subject, error.message), error.hint) from None

    def park(self) -> None:
        """Move what lies on a graphics card into the machine's memory."""
        for kept in (self._net, self._clip):
            if kept.value is not None:
                kept.value.to("cpu")
        sessions.clear_card()

    def forget(self) -> None:
        """Keep nothing that was read from photos; may be called from any thread."""
        self._references.clear()
        self._states.clear()

    def unload(self) -> None:
        """Give all memory back; the next generation loads and reads anew."""
        self.forget()
        for kept in (self._adapter, self._net, self._clip):
            kept.clear()
        sessions.clear_card()

    def _injection(
        self, request: IdentityRequest, target: Target, file: AdapterFile, references: Sequence[Reference],
        poses: Poses,
    ) -> Injection:
        from personal_avatar.identity.injection import Injection, Person

        settings = request.settings
        adapter, projection = self._adapter.of(_stamp(file.path), lambda: self._read(file))
        people = tuple(
            Person(self._tokens(projection, settings, one, file.kind, target), subject.weight, _tensor(mask))
            for subject, one, mask in zip(request.people, references, poses.masks, strict=True)
        )
        return Injection(
            adapter=adapter, people=people, weight=settings.adapter_weight, start=settings.start, end=settings.end,
            blocks=(settings.down_weight, settings.mid_weight, settings.up_weight), lora_weight=settings.lora_weight,
            control=self._control(settings, target, poses.points) if file.kind is AdapterKind.INSTANTID else None,
        )

    def _read(self, file: AdapterFile) -> tuple[AdapterWeights, Projection]:
        from personal_avatar.identity.projection import build
        from personal_avatar.identity.reading import read_adapter

        adapter = read_adapter(file.path, self._cache, file.family)
        return adapter, build(adapter)

    def _tokens(
        self, projection: Projection, settings: IdentitySettings, one: Reference, kind: AdapterKind, target: Target
    ) -> Tokens:
        import torch

        several = kind in (AdapterKind.FACEID_PORTRAIT, AdapterKind.FACEID_PORTRAIT_UNNORM)
        rows = one.embeddings if several else one.embedding[None]
        if kind.normalised:
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        embeddings = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
        crops = zero = None
        if kind.needs_clip:
            crops, zero = self._seen(one.crops[:1], target), self._seen(None, target)
        with torch.no_grad():
            return projection.tokens(
                embeddings, crops, zero_crop=zero, negative=_negative(settings, embeddings, kind),
                structure=settings.structure_weight,
            )

    def _seen(self, crops: np.ndarray | None, target: Target) -> torch.Tensor:
        """CLIP's states of aligned faces (n, 257, 1280), float32 on the CPU; None: of a picture of zeros."""
        path = self.shelf.clip_vision()
        key = (_stamp(path), infotext.photo_hash([crops]) if crops is not None else "zeros")
        return self._states.of(key, lambda: self._look(path, crops, target))

    def _look(self, path: Path, crops: np.ndarray | None, target: Target) -> torch.Tensor:
        """CLIP is on the graphics card only while it looks: sampling does not need it."""
        from personal_avatar.identity.clip import load

        seeing = self._clip.of(_stamp(path), lambda: load(path, target.device, target.dtype))
        try:
            states: torch.Tensor = seeing.to(target.device)(crops).float().cpu()
        finally:
            seeing.to("cpu")
        return states

    def _control(self, settings: IdentitySettings, target: Target, points: np.ndarray | None) -> Control | None:
        """The IdentityNet with its picture of keypoints; None when it has no weight or nothing to follow."""
        import torch

        from personal_avatar.identity.injection import Control
        from personal_avatar.identity.net import load_net

        if points is None or settings.identitynet_weight == 0.0:
            return None
        path = self.shelf.identitynet()
        net = self._net.of((_stamp(path), target.dtype), lambda: load_net(path, target.device, target.dtype))
        net.to(target.device)
        drawn = keypoints.draw(points, target.width_px, target.height_px)
        hint = torch.from_numpy(drawn).permute(2, 0, 1)[None].float() / 255.0
        return Control(net, hint, settings.identitynet_weight, settings.start, settings.identitynet_end)


def named(people: Sequence[Subject]) -> tuple[Subject, ...]:
    """Several people without names are told apart by their numbers; one alone needs none."""
    if len(people) < 2:
        return tuple(people)
    return tuple(
        replace(one, name=one.name or f"Person {number}") for number, one in enumerate(people, start=1)
    )


def _of(person: Subject, sentence: str) -> str:
    return text("failure.of_person", who=person.name, told=sentence) if person.name else sentence


def contradictions(settings: IdentitySettings) -> tuple[str, ...]:
    """What is allowed, as a plot goes through it, but leaves the person out."""
    if settings.start < settings.end:
        return ()
    return (
        f"No step lies between start ({settings.start:g}) and end ({settings.end:g}): the adapter says nothing of the "
        "person. Let start be below end.",
    )


def cautions(kind: AdapterKind, guidance: float, width_px: int, height_px: int) -> tuple[str, ...]:
    """What is known to spoil pictures of InstantID (it was trained without dropping its condition)."""
    if kind is not AdapterKind.INSTANTID:
        return ()
    found = []
    if guidance > BURNS_ABOVE:
        found.append(f"InstantID burns colours above a CFG scale of {BURNS_ABOVE:g} ({guidance:g}): try 4.")
    if (width_px, height_px) == WATERMARKED_PX:
        found.append("InstantID paints watermarks at 1024x1024: try 1016x1016 or 896x1152.")
    return tuple(found)


def _negative(settings: IdentitySettings, embeddings: torch.Tensor, kind: AdapterKind) -> torch.Tensor | None:
    """None: zeros. Noise in 0..strength from the seed, which keeps colours calmer than zeros; of the length `strength`
    for adapters whose embeddings have length 1."""
    import torch

    if settings.negative == "zero":
        return None
    generator = torch.Generator().manual_seed(settings.noise_seed)
    noise = torch.rand(embeddings.shape, generator=generator)
    if kind.normalised:
        noise = torch.nn.functional.normalize(noise)
    return noise * settings.noise_strength


def _tensor(mask: np.ndarray | None) -> torch.Tensor | None:
    import torch

    return None if mask is None else torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))


def _stamp(path: Path) -> tuple[object, ...]:
    """Changes when the file does."""
    status = path.stat()
    return (str(path), status.st_size, status.st_mtime_ns)


class _Kept(Generic[T]):
    """The one thing of its kind that is in memory."""

    def __init__(self) -> None:
        self._key: object = None
        self.value: T | None = None

    def of(self, key: object, make: Callable[[], T]) -> T:
        """The kept one, or a new one in its place; the old one is gone before the new one is made."""
        if self.value is None or key != self._key:
            self.clear()
            self.value, self._key = make(), key
        return self.value

    def clear(self) -> None:
        self.value, self._key = None, None


class _Remembered(Generic[T]):
    """The last few answers."""

    def __init__(self) -> None:
        self._answers: OrderedDict[object, T] = OrderedDict()

    def of(self, key: object, make: Callable[[], T]) -> T:
        answers = self._answers
        found = answers.pop(key, None)
        answer = make() if found is None else found
        while len(answers) >= REMEMBERED:
            answers.popitem(last=False)
        answers[key] = answer
        return answer

    def clear(self) -> None:
        """May be called from any thread: what is made meanwhile is remembered in what is thrown away here."""
        self._answers = OrderedDict()
