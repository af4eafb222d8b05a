"""Where jobs run, as the owner's rules say it, and what the child that carries them reads from its environment."""
from __future__ import annotations

import socket
from pathlib import Path

import pytest
from personal_avatar.errors import ClusterUnreachable, InvalidSettings, TrainerMissing
from personal_avatar.host import RAY_PACKAGES, Rules
from personal_avatar.jobs.executors import LOCAL, RaySettings, executor_for
from personal_avatar.worker.cluster import ray_cluster


def test_jobs_run_here_unless_the_owner_says_otherwise(tmp_path: Path) -> None:
    assert executor_for(Rules(), tmp_path) is LOCAL


def test_the_rules_reach_the_child_that_carries_jobs(tmp_path: Path) -> None:
    (tmp_path / RAY_PACKAGES).mkdir()
    rules = Rules(executor="ray", ray_address="ray://there:10001", jobs_there=8, restarts=5)
    executor = executor_for(rules, tmp_path)
    assert (executor.name, executor.width) == ("ray", 8)
    settings = RaySettings.of(dict(executor.environment))
    assert settings == RaySettings("ray://there:10001", str(tmp_path / RAY_PACKAGES), 5)


def test_the_user_may_set_what_no_rule_says() -> None:
    settings = RaySettings.of({"PERSONAL_AVATAR_RAY_GPUS": "0.5", "PERSONAL_AVATAR_RAY_LEASE_S": "60"})
    assert (settings.gpus, settings.lease_s, settings.cpus) == (0.5, 60.0, 1.0)
    with pytest.raises(InvalidSettings, match="no number"):
        RaySettings.of({"PERSONAL_AVATAR_RAY_GPUS": "many"})


def test_an_unknown_executor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="'moon'"):
        executor_for(Rules(executor="moon"), tmp_path)


def test_a_cluster_where_nobody_answers_is_named_at_once() -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterUnreachable, match="Nobody answers") as told:
            ray_cluster.knock(address)
    assert "address" in told.value.hint


@pytest.mark.parametrize(("address", "words"), [("", "no address"), ("ray://127.0.0.1:port", "Nobody answers")])
def test_an_address_that_is_none_is_named(address: str, words: str) -> None:
    with pytest.raises(ClusterUnreachable, match=words):
        ray_cluster.knock(address)


def test_without_ray_the_hint_says_how_to_install_it(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TrainerMissing, match="not installed") as told:
            ray_cluster.connected(RaySettings(address, str(tmp_path)))
    assert "--install-ray" in told.value.hint
