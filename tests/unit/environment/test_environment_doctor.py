"""What `doctor` finds on this machine, with the standalone host and with folders in every state."""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from personal_avatar import doctor
from personal_avatar.cli import main
from personal_avatar.environment import machine, record, trainer
from personal_avatar.environment.finding import State
from personal_avatar.environment.record import InstallRecord
from personal_avatar.errors import DiskFull, NotFound, PipFailed
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.weights import registry


def test_a_machine_that_runs_the_tests_is_usable_and_every_complaint_has_a_remedy(tmp_path: Path) -> None:
    host = StandaloneHost(tmp_path)
    findings = doctor.examine(host, tmp_path)
    assert doctor.usable(findings), doctor.text(findings)
    names = [finding.name for finding in findings]
    assert {"Python", "torch", "device", "memory", "disk", "training", "onnxruntime"} <= set(names)
    assert {"yunet", "sface", "checkpoint", "restorers"} <= set(names)
    assert all(finding.remedy for finding in findings if finding.state is not State.OK)
    assert json.loads(json.dumps(doctor.document(findings)))["usable"] is True


def test_weights_that_are_not_there_are_shown_with_size_and_licence(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.face_weights(tmp_path, None)}
    assert found["sface"].state is State.WARNING
    assert "10.7 MB" in found["sface"].found and "Apache-2.0" in found["sface"].found
    assert "doctor --fetch" in found["sface"].remedy


def test_what_works_without_training_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.identity_weights(StandaloneHost(tmp_path))}
    assert set(found) == {"instantid", "faceid-sdxl", "faceid-sd15"}
    for name, finding in found.items():
        assert finding.state is State.WARNING and "non-commercial" in finding.found
        assert f"doctor --fetch {name} --data {tmp_path}`" in finding.remedy and "huggingface.co" in finding.remedy
    assert "4.6 GB" in found["instantid"].found


def test_whatever_is_offered_is_told_with_size_licence_and_how_to_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    found = {finding.name: finding for finding in doctor.offered_weights(folder)}
    assert {weight.name for name in found for weight in registry.find_all(name)} == {
        weight.name for weight in registry.OFFERED
    }
    for name, finding in found.items():
        assert finding.state is State.WARNING and f"doctor --fetch {name} --data {tmp_path}" in finding.remedy
        assert "MB" in finding.found and registry.find_all(name)[-1].licence in finding.found
    assert "non-commercial" in found["codeformer"].found
    assert {finding.name for finding in doctor.examine(None, tmp_path)} >= set(found)


@pytest.mark.parametrize("name", ["modnet", "wd14-vit", "clip-vit-b-32"])
def test_what_was_fetched_by_name_is_told_to_be_there(name: str, tmp_path: Path) -> None:
    for weight in registry.find_all(name):
        (tmp_path / weight.file_name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / weight.file_name).touch()
    assert [one.name for one in doctor.offered_weights(tmp_path) if one.state is State.OK] == [name]


def test_the_help_names_all_that_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    words = capsys.readouterr().out.replace(",", " ").replace(";", " ").split()
    assert set(registry.offers()) <= set(words)


def test_weights_are_asked_for_by_name_or_set() -> None:
    assert doctor.wanted_weights([]) == registry.ALL
    wanted = doctor.wanted_weights(["faceid-sd15", "buffalo_l", "yunet"])
    assert [weight.name for weight in wanted] == [
        "ip-adapter-faceid-plusv2_sd15", "clip-vision-h", "buffalo_l", "yunet",
    ]  # fmt: skip
    with pytest.raises(NotFound, match="'everything'"):
        doctor.wanted_weights(["everything"])


def test_a_folder_without_insightface_models_is_named(tmp_path: Path) -> None:
    first = next(doctor.face_weights(tmp_path, tmp_path / "models"))
    assert first.state is State.WARNING and str(tmp_path / "models") in first.found


def test_a_failed_installation_is_told_with_its_reason(tmp_path: Path) -> None:
    failure = PipFailed("The package index could not be reached.", "Connect to the network.")
    record.write(tmp_path, InstallRecord().with_problem(trainer.PART, failure))
    found = list(machine.training(tmp_path))
    assert [finding.state for finding in found] == [State.MISSING, State.WARNING]
    assert "could not be reached" in found[0].found and "Connect to the network" in found[0].remedy
    assert not doctor.usable(found)
    assert "MISSING" in doctor.text(found)


def test_a_solved_problem_is_forgotten_and_what_came_is_remembered() -> None:
    failed = InstallRecord({"brush": "1.0"}, {}, "x").with_problem("hair", PipFailed("No.", "Yes."))
    assert failed.sentences() == ["hair: No. Yes."]
    assert failed.solved("hair", {"hair": "2.0"}) == InstallRecord({"brush": "1.0", "hair": "2.0"}, {}, "x")


def test_what_a_full_disk_left_half_unpacked_is_put_back_at_the_next_start() -> None:
    begun = InstallRecord(unfinished={"hair": ["hair==2.0"]})
    assert begun.with_problem("hair", DiskFull("Full.", "Free some.")).unfinished == begun.unfinished
    assert begun.with_problem("hair", PipFailed("No.", "Yes.")).unfinished == {}


def test_a_library_that_cannot_be_loaded_is_a_finding_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    (finding,) = machine.faces_runtime()
    assert finding.state is State.MISSING and "cannot be loaded" in finding.found and "pip install" in finding.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_may_not_be_written_is_missing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert machine.disk(tmp_path / "data").state is State.MISSING


def test_little_memory_of_a_card_is_a_warning_that_says_how_much_there_is() -> None:
    found = machine._card("GeForce", int(2e9), int(8e9))
    assert found.state is State.WARNING and "2.0 of 8.0 GB free" in found.found
    assert machine._card("GeForce", int(7e9), int(8e9)).state is State.OK


@pytest.mark.parametrize("apple", [True, False])
def test_trainings_run_on_the_processor_where_there_is_no_cuda(apple: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    *_, found = machine.torch()
    assert (found.name, found.state) == ("device", State.WARNING)
    assert found.found.startswith("processor with") and ("Apple GPU" in found.found) is apple
