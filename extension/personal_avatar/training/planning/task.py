"""Payloads of the jobs that train, and of those that measure what the photos alone can do (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar.domain import Avatar, BaseModelFile, Engine, Method, PhotoChoice
from personal_avatar.training.planning.plan import ORIGINS, TrainPlan, plan_for, refuse_taken
from personal_avatar.wording import DEFAULT


@dataclass(frozen=True)
class TrainTask:
    """Payload of a training job: everything the worker needs, as paths and settings.

    `publish_to`: the host's folder for what the method makes; `beside`: where else it looks for such files; `cache`:
    what trainings share, such as class pictures; `sd_scripts`: its whole folder, if one was named; `choices`: what the
    user decided about photos, by their SHA-256; `language`: in which the report begins;
    `otherwise`: a sentence for all that the engine does otherwise than preset and defaults say, on this checkpoint;
    `origins`: the name of what is kept in the avatar's folder of the kohya dataset that the photos came from, "" as
    before there were such names (photos/kohya.py).
    """

    avatar: Avatar
    avatar_folder: Path
    photos: tuple[Path, ...]
    base: BaseModelFile
    method: Method
    plan: dict[str, Any]
    publish_to: Path
    weights_folder: Path
    photo_settings: dict[str, Any] = field(default_factory=dict)
    engine: Engine = Engine.DIFFUSERS
    cache: Path | None = None
    sd_scripts: str = ""
    choices: dict[str, PhotoChoice] = field(default_factory=dict)
    otherwise: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()
    language: str = DEFAULT
    origins: str = ""

    def settings(self) -> TrainPlan:
        """The validated plan, what it leaves out taken from the preset; raises `InvalidSettings`."""
        plan = plan_for(self.base, self.method, self.plan)
        refuse_taken(plan.trigger_word, self.base, self.avatar.class_noun)
        return plan

    @property
    def origins_folder(self) -> Path:
        """Where that is kept."""
        return self.avatar_folder / ORIGINS / self.origins

    @property
    def can_pause(self) -> bool:
        """Whether the work can stop between two steps and go on later: sd-scripts cannot take up a training."""
        return self.engine is not Engine.KOHYA


@dataclass(frozen=True)
class OnePhotoTask:
    """Payload of a job that measures what the photos alone can do, on the grid of a training of them.

    `training`: what a LoRA would be given, of which all counts but what is trained. `identity_folders`: where adapters
    and models of faces lie; `identity_cache`: for converted ones; `most_photos`: that are read for one picture.
    """

    training: TrainTask
    identity_folders: tuple[Path, ...]
    identity_cache: Path
    most_photos: int
