"""The WebUI as our host: every answer comes from the WebUI's own state, nothing of it is changed."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from modules import paths, sd_models, shared

from personal_avatar.domain import Advice, BaseModelFile, Face, Method, Style
from personal_avatar.host import Folders, Picture, PictureRequest, Rules, TrainerPython
from personal_avatar.rules import rules_kept
from personal_avatar.styles.library import own_styles
from personal_avatar.webui import (
    checkpoints,
    generation,
    interrogators,
    posing,
    published,
    restorers,
    sharing,
    upscalers,
)
from personal_avatar.webui.folders import (
    data_folder,
    identity_folders,
    kept_rules,
    only_local,
    sd_scripts_folder,
    wildcard_folders,
)

DIVIDER = "do_not_save"


class WebuiHost:
    """AUTOMATIC1111's WebUI; see `personal_avatar.host.Host` for the contract."""

    name = "webui"

    def folders(self) -> Folders:
        """Our data and the WebUI's own folders, as --avatar-data-dir, --lora-dir, --embeddings-dir, --ckpt-dir say."""
        loras = getattr(shared.cmd_opts, "lora_dir", None) or Path(paths.models_path) / "Lora"
        lycoris = getattr(shared.cmd_opts, "lyco_dir_backcompat", None)
        own = Path(sd_models.model_path).absolute()
        chosen = Path(shared.cmd_opts.ckpt_dir or own).absolute()
        return Folders(
            data=data_folder(),
            loras=Path(loras).absolute(),
            embeddings=Path(shared.cmd_opts.embeddings_dir).absolute(),
            checkpoints=chosen,
            identity=identity_folders(),
            sd_scripts=sd_scripts_folder(),
            more_wildcards=wildcard_folders(),
            more_loras=tuple(Path(folder).absolute() for folder in (lycoris,) if folder),
            more_checkpoints=(own,) if own != chosen else (),
            callers_name_folders=only_local(),
        )

    def rules(self) -> Rules:
        return rules_kept(kept_rules())

    def checkpoint(self) -> BaseModelFile:
        return checkpoints.selected()

    def find_checkpoint(self, wanted: str) -> BaseModelFile:
        return checkpoints.find(wanted)

    def install_checkpoint(self, source: Path) -> BaseModelFile:
        return checkpoints.install(source, self.folders().checkpoints)

    def trainer(self) -> TrainerPython:
        from personal_avatar.environment import trainer

        found = trainer.find(self.folders().data)
        return replace(found, environment=(*found.environment, *sharing.visible_cards()))

    def card_index(self) -> int:
        return sharing.card_index()

    def make_room(self, wanted_bytes: int, waiting: Callable[[str], None]) -> None:
        sharing.checkpoint().make_room(wanted_bytes, waiting)

    def generate(self, request: PictureRequest, on_step: Callable[[int, int], None]) -> Iterator[Picture]:
        return generation.pictures(request, on_step)

    def refuse_unknown(self, sampler: str, prompt: str) -> None:
        """The WebUI leaves out LoRAs that it does not find, and finds samplers and LoRAs by more than their names."""

    def clip_skip(self) -> int:
        return int(shared.opts.CLIP_stop_at_last_layers)

    def pose_problem(self) -> str:
        return posing.problem(self.checkpoint().family)

    def published(self, file: Path, method: Method) -> tuple[Advice, ...]:
        """Besides making the file known, try it on the chosen checkpoint."""
        return published.announce(file.absolute(), method, self.folders())

    def forget(self) -> None:
        from personal_avatar.restoration import networks as restorers_of_faces
        from personal_avatar.webui.identity import networks

        networks.forget()
        restorers_of_faces.forget()

    def fall_back(self) -> str:
        """The WebUI chooses for itself."""
        return ""

    def restorers(self) -> tuple[str, ...]:
        return restorers.available()

    def restore(
        self, image: np.ndarray, model: str, fidelity: float, prompt: str = "", face: Face | None = None
    ) -> np.ndarray:
        return restorers.restore(image, model, fidelity, face)

    def upscalers(self) -> tuple[str, ...]:
        return upscalers.available()

    def upscale(self, image: np.ndarray, name: str, factor: int) -> np.ndarray:
        return upscalers.upscale(image, name, factor)

    def interrogators(self) -> tuple[str, ...]:
        return interrogators.NAMES

    def interrogator_lacks(self, name: str) -> str:
        return interrogators.lacks(name)

    def interrogate(self, image: np.ndarray, name: str) -> str:
        return interrogators.interrogate(image, name)

    def styles(self) -> tuple[Style, ...]:
        """The styles of txt2img's list; rows that only divide the list are left out, and comments where the settings
        allow them."""
        rows = [row for row in list(shared.prompt_styles.styles.values()) if row.path != DIVIDER]
        texts = ((row.name, row.prompt or "", row.negative_prompt or "") for row in rows)
        return own_styles(texts, getattr(shared.opts, "enable_prompt_comments", True))
