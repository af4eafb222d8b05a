"""What the owner decides: from the command line, from variables, from the WebUI's settings."""
from __future__ import annotations

import pytest
from personal_avatar.errors import InvalidSettings
from personal_avatar.host import Rules
from personal_avatar.options.codes import RULES
from personal_avatar.rules import RuleSettings, rules_from, rules_kept


def test_nothing_decided_is_as_declared() -> None:
    assert rules_from({}, {}) == Rules() == rules_kept({})


def test_the_command_line_names_every_rule() -> None:
    assert tuple(RuleSettings.__fields__) == RULES


def test_what_is_said_wins_over_the_environment_and_the_environment_over_the_defaults() -> None:
    variables = {"PERSONAL_AVATAR_WAITING": "7", "PERSONAL_AVATAR_UPLOAD_MB": "3", "PERSONAL_AVATAR_EXECUTOR": ""}
    found = rules_from({"waiting": "9", "private_callbacks": "true"}, variables)
    assert (found.waiting, found.upload_bytes, found.private_callbacks) == (9, 3 * 2**20, True)
    assert found.executor == "local"


def test_all_problems_are_told_together() -> None:
    wrong = {"waiting": "-1", "executor": "moon", "private_callbacks": "perhaps", "no_such": "1"}
    with pytest.raises(InvalidSettings) as caught:
        rules_from(wrong, {"PERSONAL_AVATAR_RESTARTS": "many", "PERSONAL_AVATAR_RAY_ADDRESS": "a b"})
    assert all(name in caught.value.message for name in (*wrong, "restarts", "ray_address"))


def test_a_kept_setting_that_is_not_possible_counts_as_not_given() -> None:
    found = rules_kept({"waiting": -5, "restarts": 4, "upload_mb": None, "executor": "moon", "jobs_there": 3})
    assert found == Rules(restarts=4, jobs_there=3)
