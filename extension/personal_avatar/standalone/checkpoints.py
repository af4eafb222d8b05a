"""The checkpoints of the standalone app: the shipped one and the files in the user's folder."""
from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.domain.families import NATIVE_PX, NATIVE_PX_OF_SD2_EPSILON
from personal_avatar.errors import BaseNotFound, BaseUnsupported, NoCheckpoint, NotReadable
from personal_avatar.problems import stated
from personal_avatar.records import kept
from personal_avatar.shipped import AVATAR_TINY
from personal_avatar.storage import files_below, sha256_of, state_of, write_json
from personal_avatar.training.families.detect import detect, prediction
from personal_avatar.training.families.files import is_diffusers_folder, is_one_by_one, read_shapes
from personal_avatar.training.families.sidecar import params_in, side_px

SUFFIXES = (".safetensors", ".ckpt")
VAE_SUFFIXES = (".vae.safetensors", ".vae.ckpt", ".vae.pt")


@dataclass(frozen=True)
class CheckpointShelf:
    """`folder`: where the user puts checkpoints; `settings`: JSON file with the choice; `cache`: one with hashes."""

    folder: Path
    settings: Path
    cache: Path

    def files(self) -> list[Path]:
        """All files that may be checkpoints, in the order of their names, then the shipped one unless a copy is there.

        Nothing is read, so a LoRA or a damaged file that somebody put there is among them.
        """
        own = sorted(path for path in files_below(self.folder) if _may_be_weights(path))
        found = [path for path in own if not path.name.lower().endswith(VAE_SUFFIXES)]
        return found if any(path.stem == AVATAR_TINY.name for path in found) else [*found, *_weights_in(AVATAR_TINY)]

    def titles(self) -> list[str]:
        """Of all that can be chosen: what the header of a file shows to be no checkpoint is left out."""
        return [path.stem for path in self.files() if not is_one_by_one(path) or _is_checkpoint(path)]

    def current(self) -> BaseModelFile:
        """The chosen one, or the shipped one when nothing was chosen. Raises `NoCheckpoint`, `NotReadable`."""
        wanted = str(self._settings().get("checkpoint", "")) or AVATAR_TINY.name
        try:
            return self.find(wanted)
        except BaseNotFound:
            titles = self.titles()
            remedy = "remedy.other_base" if titles else "remedy.put_in"
            values = {"folder": self.folder, "title": titles[-1] if titles else "", "names": ", ".join(titles)}
            raise stated(NoCheckpoint, "base.chosen_gone", remedy, wanted=repr(wanted), **values) from None

    def fall_back(self) -> str:
        """Where the chosen one is gone: the shipped one, or the first that is there, from now on; its title, "" without
        a change. Nothing is remembered of files that are gone."""
        known = self._hashes()
        there = {path: noted for path, noted in known.items() if Path(path).is_file()}
        if there != known:
            write_json(self.cache, there)
        try:
            self.current()
        except NoCheckpoint:
            titles = self.titles()
            wanted = AVATAR_TINY.name if AVATAR_TINY.name in titles else "".join(titles[:1])
            return self.choose(wanted).title if wanted else ""
        except (BaseUnsupported, NotReadable):
            pass
        return ""

    def choose(self, wanted: str) -> BaseModelFile:
        """Use a checkpoint from now on, also after a restart. Raises `BaseNotFound`, `BaseUnsupported`,
        `NotReadable`."""
        base = self.find(wanted)
        write_json(self.settings, {**self._settings(), "checkpoint": str(base.path)})
        return base

    def find(self, wanted: str) -> BaseModelFile:
        """By path, title or file name, in any case of letters. Raises `BaseNotFound`, `BaseUnsupported`."""
        path = _file_at(wanted)
        if path is not None and _may_be_weights(path):
            return self.describe(path.resolve())
        for file in self.files():
            if wanted.casefold() in (str(file).casefold(), file.name.casefold(), file.stem.casefold()):
                return self.describe(file)
        if path is not None:
            return self.describe(path.resolve())
        values = {"wanted": repr(wanted), "names": ", ".join(self.titles()) or "–"}
        raise stated(BaseNotFound, "base.unknown", "remedy.there_are", **values)

    def install(self, source: Path) -> BaseModelFile:
        """Copy the checkpoint in folder `source` and its yaml, unless the same files are there already."""
        weights = _weights_in(source)
        if not weights:
            raise stated(BaseNotFound, "base.nothing_in", "remedy.reinstall", folder=source)
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in (weights[0].with_suffix(".yaml"), weights[0]):
            if file.is_file():
                _copy(file, self.folder / file.name)
        return self.describe(self.folder / weights[0].name)

    def describe(self, path: Path) -> BaseModelFile:
        """What a file is, from its header and the yaml beside it. Raises `BaseNotFound`, `BaseUnsupported`."""
        shapes = read_shapes(path)
        config = path.with_suffix(".yaml") if path.with_suffix(".yaml").is_file() else None
        params = _params(config)
        answers, zero_terminal_snr = prediction(shapes, params or None)
        family = detect(shapes, path.name)
        return BaseModelFile(
            path, path.stem, family, self._sha256(path), answers, config, _native_px(params, family, answers),
            vae_beside(path), zero_terminal_snr,
        )

    def _sha256(self, path: Path) -> str:
        """Read once while a file stays the same."""
        state, known = [*state_of(path.stat())], self._hashes()
        noted = known.get(str(path))
        if isinstance(noted, dict) and noted.get("state") == state:
            return str(noted["sha256"])
        sha256 = sha256_of(path)
        write_json(self.cache, {**known, str(path): {"state": state, "sha256": sha256}})
        return sha256

    def _settings(self) -> dict[str, Any]:
        """Damaged ones are the user's to mend: what else is in them would be lost. Raises `NotReadable`."""
        try:
            return kept(self.settings) or {}
        except ValueError as error:
            values = {"path": self.settings, "cause": error, "title": AVATAR_TINY.name}
            raise stated(NotReadable, "failure.settings_damaged", "remedy.mend_settings", **values) from error

    def _hashes(self) -> dict[str, Any]:
        """What is not known can be computed again."""
        try:
            return kept(self.cache) or {}
        except (ValueError, NotReadable):
            return {}


def _weights_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if _may_be_weights(path))


def _file_at(wanted: str) -> Path | None:
    """The file at a path, or the folder that holds a model in diffusers layout, which is refused by its name as soon as
    it is read; None: there is none, or no path can be called that."""
    try:
        path = Path(wanted).expanduser()
        return path if path.is_file() or is_diffusers_folder(path) else None
    except (OSError, RuntimeError):  # a name that is too long, the home of nobody
        return None


def _may_be_weights(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _copy(source: Path, target: Path) -> None:
    """Complete or not at all; nothing is written when the target is the same already."""
    if target.is_file() and target.stat().st_size == source.stat().st_size and sha256_of(target) == sha256_of(source):
        return
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)


def _params(config: Path | None) -> dict[str, Any]:
    """`model.params` of the WebUI's yaml, empty when there is none or it is none."""
    import yaml

    try:
        return params_in(config) if config else {}
    except (yaml.YAMLError, OSError, LookupError, TypeError, ValueError):
        return {}


def _native_px(params: dict[str, Any], family: Family, answers: str) -> int:
    """As the configuration says, else the family's."""
    if said := side_px(params):
        return said
    return NATIVE_PX_OF_SD2_EPSILON if family is Family.SD2 and answers == "epsilon" else NATIVE_PX[family]


def vae_beside(path: Path) -> Path | None:
    """The file that the WebUI, left to itself, takes for the VAE of a checkpoint: of its name with `.vae` behind."""
    return next((file for file in (path.with_name(path.stem + end) for end in VAE_SUFFIXES) if file.is_file()), None)


def _is_checkpoint(path: Path) -> bool:
    try:
        detect(read_shapes(path))
    except (BaseUnsupported, BaseNotFound):
        return False
    return True
