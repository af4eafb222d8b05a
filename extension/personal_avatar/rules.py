"""What the owner of an installation may decide about jobs and callers: one declaration for the WebUI's settings, for
`serve --set` and for environment variables."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personal_avatar.errors import InvalidSettings
from personal_avatar.host import Rules
from personal_avatar.params import Settings, setting, validated

VARIABLE_PREFIX = "PERSONAL_AVATAR_"
MB = 2**20


class RuleSettings(Settings):
    """See `host.Rules`; sizes in MB."""

    waiting: int = setting(50, "rules.waiting", ge=0, le=100_000)
    waiting_of_one: int = setting(20, "rules.waiting_of_one", ge=0, le=100_000)
    upload_mb: int = setting(512, "rules.upload_mb", ge=1, le=4096, unit="MB")
    private_callbacks: bool = setting(False, "rules.private_callbacks")
    restarts: int = setting(2, "rules.restarts", ge=0, le=100)
    executor: str = setting("local", "rules.executor", choices=("local", "ray"))
    ray_address: str = setting("", "rules.ray_address", max_length=300, regex=r"^[!-~]*(?!\n)$")
    jobs_there: int = setting(1, "rules.jobs_there", ge=1, le=1000)

    def rules(self) -> Rules:
        named = self.dict(exclude={"upload_mb"})
        return Rules(**named, upload_bytes=self.upload_mb * MB)


def rules_from(values: Mapping[str, Any], environment: Mapping[str, str]) -> Rules:
    """Rules from values by name, and for what these leave out from variables such as PERSONAL_AVATAR_WAITING.

    Raises `InvalidSettings` that names every problem.
    """
    variables = {name: environment.get(VARIABLE_PREFIX + name.upper(), "") for name in RuleSettings.__fields__}
    return validated(RuleSettings, {**{name: text for name, text in variables.items() if text}, **values}).rules()


def rules_kept(values: Mapping[str, Any]) -> Rules:
    """The same from values that somebody else keeps for us: one that is not possible counts as not given."""
    possible = {}
    for name, value in values.items():
        try:
            validated(RuleSettings, {name: value})
        except InvalidSettings:
            continue
        possible[name] = value
    return RuleSettings(**possible).rules()
