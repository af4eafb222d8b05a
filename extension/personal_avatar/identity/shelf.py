"""Adapters, IdentityNet, CLIP and models of faces: found in folders that many programs share, never fetched."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from personal_avatar import commandline
from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported, NotFound, WeightsCorrupt, WeightsMissing
from personal_avatar.faces.registry import ModelPack
from personal_avatar.identities import IdentitySettings
from personal_avatar.identity.kinds import Adapter, ClipVision, IdentityNet, wanted_adapter
from personal_avatar.identity.listing import contents, files
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.problems import stated
from personal_avatar.weights import registry
from personal_avatar.weights.nouns import Weight
from personal_avatar.wording import FAMILIES, text

PACKS = {
    "antelopev2": ("scrfd_10g_bnkps.onnx", "glintr100.onnx"),
    "buffalo_l": ("det_10g.onnx", "w600k_r50.onnx"),
}
PACK_WEIGHTS = {"antelopev2": registry.ANTELOPE, "buffalo_l": registry.BUFFALO}
CLIP_H_WIDTH = 1280
OTHER_CLIP_WIDTHS = (768, 1024, 1408, 1664)  # ViT-B, ViT-L, ViT-g, ViT-bigG
ORDER = (
    AdapterKind.INSTANTID, AdapterKind.FACEID_PLUS_V2, AdapterKind.FACEID_PLUS, AdapterKind.FACEID,
    AdapterKind.FACEID_PORTRAIT, AdapterKind.FACEID_PORTRAIT_UNNORM,
)
SETS = {Family.SD1: "faceid-sd15", Family.SDXL: "faceid-sdxl"}
INSTANTID = "instantid"
Widths = tuple[int, ...]
ANY_WIDTHS: Widths = ()


@dataclass(frozen=True)
class AdapterFile:
    """`size`: bytes."""

    path: Path
    kind: AdapterKind
    family: Family
    size: int


class Shelf:
    """`folders`: the first one is ours, where downloads go to. Anything below them is found, see `listing`.

    Making it costs nothing.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def adapters(self, family: Family, widths: Widths = ANY_WIDTHS) -> tuple[AdapterFile, ...]:
        """Adapters for faces, the best kind first; those whose file does not tell its family are there for any.
        `widths`: of the checkpoint's cross-attentions in rising order; of others none is taken."""
        found = [
            AdapterFile(path, adapter.kind, family, size)
            for path, size, adapter in self._adapters()
            if adapter.family in (family, None) and widths in (ANY_WIDTHS, adapter.widths)
        ]
        return tuple(sorted(found, key=lambda file: ORDER.index(file.kind)))

    def choose(self, settings: IdentitySettings, family: Family, widths: Widths = ANY_WIDTHS) -> AdapterFile:
        """The file that `settings` mean for a checkpoint of `family` with cross-attentions of these `widths`.

        `adapter` names a file; else `method` decides, where "auto" takes InstantID when all of it is there, and then
        FaceID. Raises `BaseUnsupported` (a family without adapters, a file for another one, or of another kind),
        `NotFound` (a name that is not there), `WeightsMissing`.
        """
        if family not in SETS:
            raise stated(
                BaseUnsupported, "failure.no_way", "remedy.trainable", family=FAMILIES.get(family, family.value),
            )
        if settings.adapter:
            return self._named(settings.adapter, family)
        if settings.method == INSTANTID and family is not Family.SDXL:
            raise stated(BaseUnsupported, "failure.instantid_family", "remedy.faceid", family=FAMILIES[family])
        return self._best(settings.method, family, widths)

    def identitynet(self) -> Path:
        """InstantID's ControlNet. Raises `WeightsMissing`."""
        nets = [(found.told, path) for path, _, found in contents(self.folders) if isinstance(found, IdentityNet)]
        for _, path in sorted((net for net in nets if net[0]), key=lambda net: -net[0]):
            return path
        raise self.missing(registry.INSTANTID_NET, *self._lacking((registry.ANTELOPE,)))

    def clip_vision(self) -> Path:
        """CLIP-ViT-H's seeing half, the layout of transformers. Raises `WeightsMissing`."""
        clips = [(path, found.width) for path, _, found in contents(self.folders) if isinstance(found, ClipVision)]
        usable = [(path, width) for path, width in clips if width not in OTHER_CLIP_WIDTHS]
        for path, _ in sorted(usable, key=lambda one: one[1] != CLIP_H_WIDTH):
            return path
        raise self.missing(registry.CLIP_H, *self._lacking((registry.BUFFALO,)))

    def face_pack(self, name: str) -> ModelPack:
        """Detector and recogniser of "antelopev2" or "buffalo_l". Raises `WeightsMissing`."""
        detector, recogniser = PACKS[name]
        places = {path.parent: path for path in files(self.folders, (".onnx",)) if path.name == recogniser}
        for place, path in places.items():
            if name in (part.lower() for part in place.parts[-2:]) and (place / detector).is_file():
                return ModelPack(place / detector, path)
        raise self.missing(PACK_WEIGHTS[name])

    def parts(self, settings: IdentitySettings, family: Family, widths: Widths = ANY_WIDTHS) -> tuple[Path, ...]:
        """All files that a generation with these settings needs; raises what the questions above raise."""
        file = self.choose(settings, family, widths)
        own = (self.identitynet(),) if file.kind is AdapterKind.INSTANTID else ()
        seeing = (self.clip_vision(),) if file.kind.needs_clip else ()
        pack = self.face_pack(file.kind.face_pack)
        return (file.path, *own, *seeing, pack.detector, pack.recogniser)

    def missing(self, *weights: Weight) -> WeightsMissing:
        """What to download: each file with its place, address, size and licence, and how."""
        home = self.folders[0] if self.folders else Path()
        names = " and ".join(weight.file_name for weight in weights)
        how = "; ".join(
            f"{weight.url} -> {home / weight.file_name} ({weight.size_text}; {weight.licence})" for weight in weights
        )
        whole = [name for name, belong in registry.SETS.items() if belong == weights]
        command = commandline.fetching(home, *(whole[:1] or [weight.name for weight in weights]))
        gone = "failure.weight_gone" if len(weights) == 1 else "failure.weights_gone"
        return WeightsMissing(
            text(gone, file=names, purpose=weights[0].purpose),
            text("error.WEIGHTS_MISSING.press", command=command, files=how),
            tuple(weight.name for weight in weights),
        )

    def _best(self, method: str, family: Family, widths: Widths) -> AdapterFile:
        there = self.adapters(family, widths)
        instantid = [file for file in there if file.kind is AdapterKind.INSTANTID]
        faceid = [file for file in there if file.kind is not AdapterKind.INSTANTID]
        if method == INSTANTID or (method == "auto" and instantid and (self._instantid_is_whole() or not faceid)):
            if instantid:
                return instantid[0]
            raise self.missing(*self._lacking(registry.SETS[INSTANTID]))
        if faceid:
            return min(faceid, key=lambda file: file.kind.needs_clip and not self._has(registry.CLIP_H))
        wanted = INSTANTID if method == "auto" and family is Family.SDXL else SETS[family]
        raise self.missing(*self._lacking(registry.SETS[wanted]))

    def _instantid_is_whole(self) -> bool:
        return self._has(registry.INSTANTID_NET) and self._has(registry.ANTELOPE)

    def _lacking(self, weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
        return tuple(weight for weight in weights if not self._has(weight))

    def _has(self, weight: Weight) -> bool:
        """Whether something that serves as `weight` is there; adapters are asked for by their kind elsewhere."""
        ask = {
            registry.INSTANTID_NET.name: self.identitynet, registry.CLIP_H.name: self.clip_vision,
            registry.ANTELOPE.name: lambda: self.face_pack("antelopev2"),
            registry.BUFFALO.name: lambda: self.face_pack("buffalo_l"),
        }.get(weight.name)
        try:
            return ask is not None and bool(ask())
        except WeightsMissing:
            return False

    def _named(self, name: str, family: Family) -> AdapterFile:
        """The file of that name, with or without its suffix. Other files of that name are said to be what they are."""
        for path, size, found in contents(self.folders):
            if name.lower() not in (path.name.lower(), path.stem.lower(), str(path).lower()):
                continue
            if isinstance(found, WeightsCorrupt):
                raise WeightsCorrupt(found.message, found.hint)
            adapter = wanted_adapter(found, path)
            if adapter.family not in (family, None):
                is_for = FAMILIES.get(adapter.family, "") if adapter.family else ""
                raise stated(
                    BaseUnsupported, "failure.other_family", "remedy.other_adapter", file=path.name, wanted=is_for,
                    family=FAMILIES[family],
                )
            return AdapterFile(path, adapter.kind, family, size)
        there = ", ".join(file.path.name for file in self.adapters(family)) or "none"
        raise stated(NotFound, "failure.unknown_adapter", "remedy.there_are", wanted=repr(name), names=there)

    def _adapters(self) -> Iterator[tuple[Path, int, Adapter]]:
        for path, size, found in contents(self.folders):
            if isinstance(found, Adapter):
                yield path, size, found
