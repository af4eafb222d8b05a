"""Real pip in a throw-away environment, without a network."""
from __future__ import annotations

import json
import time

import pytest
from personal_avatar.environment import record
from personal_avatar.environment.record import InstallRecord
from tiny_wheels import Place, write_wheel

pytestmark = pytest.mark.slow


def test_an_addition_and_what_it_needs_are_installed_and_nothing_else_changes(place: Place) -> None:
    write_wheel(place.wheels, "brush", "1.4", requires=("hair>=2", "colours"))
    write_wheel(place.wheels, "hair", "2.1")
    before = place.versions()
    done = place.start(("brush>=1,<2", "brush"))
    assert "added" in done.stdout and "brush 1.4" in done.stdout
    assert place.versions() == {**before, "brush": "1.4", "hair": "2.1"}
    assert json.loads((place.data / "install-report.json").read_text())["added"] == {"brush": "1.4", "hair": "2.1"}


def test_what_would_move_an_installed_version_is_refused_and_both_are_named(place: Place) -> None:
    write_wheel(place.wheels, "brush", "1.4", requires=("colours>=2",))
    write_wheel(place.wheels, "colours", "2.0")
    before = place.versions()
    done = place.start(("brush", "brush"))
    assert done.returncode == 0
    assert "brush cannot be added without changing colours==1.0" in done.stdout
    assert place.versions() == before
    assert place.problems()["brush"]["code"] == "WOULD_MOVE"


def test_a_refusal_is_told_once_and_tried_again_when_the_packages_have_changed(place: Place) -> None:
    write_wheel(place.wheels, "brush", "1.4", requires=("colours>=2",))
    write_wheel(place.wheels, "colours", "2.0")
    assert "cannot be added" in place.start(("brush", "brush")).stdout
    assert "cannot be added" not in place.start(("brush", "brush")).stdout
    place.pip("uninstall", "-y", "-q", "shapes")
    place.pip("install", "-q", "colours==2.0")
    assert "brush 1.4" in place.start(("brush", "brush")).stdout
    assert place.problems() == {}


def test_a_package_that_changes_another_when_it_is_unpacked_is_taken_back(place: Place) -> None:
    changed = "Metadata-Version: 2.1\nName: colours\nVersion: 9.9\n"
    unpacked = "brush-1.4.data/purelib"
    files = {f"{unpacked}/colours-1.0.dist-info/METADATA": changed, f"{unpacked}/colours.py": "VERSION = '9.9'\n"}
    write_wheel(place.wheels, "brush", "1.4", files=files)
    before = place.versions()
    done = place.start(("brush", "brush"))
    assert "colours 1.0 -> 9.9" in done.stdout and "undone" in done.stdout
    assert place.versions() == before
    place.pip("check")


def test_without_a_network_the_start_goes_on_with_a_sentence_that_helps(place: Place) -> None:
    place.variables = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    started = time.monotonic()
    done = place.start(("brush", "brush"))
    assert done.returncode == 0
    assert "could not be reached" in done.stdout and "Connect to the network" in done.stdout
    assert time.monotonic() - started < 30
    assert place.problems()["brush"]["code"] == "PIP_FAILED"


def test_a_package_that_any_build_provides_is_not_installed_again(place: Place) -> None:
    write_wheel(place.wheels, "brush-gpu", "3.0", files={"brush.py": ""})
    place.pip("install", "-q", "brush-gpu")
    before = place.versions()
    done = place.start(("brush", "brush"))
    assert "added" not in done.stdout
    assert place.versions() == before


def test_a_second_start_is_silent_and_quick(place: Place) -> None:
    write_wheel(place.wheels, "brush", "1.4")
    place.start(("brush", "brush"))
    place.variables = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    started = time.monotonic()
    done = place.start(("brush", "brush"))
    assert done.stdout.splitlines()[:-1] == []
    assert time.monotonic() - started < 2.0  # two children of Python on a busy machine; alone it is 0.1 s


def test_an_installation_that_was_cut_short_is_finished_at_the_next_start(place: Place) -> None:
    write_wheel(place.wheels, "brush", "1.4")
    site_packages = next((place.python.parent.parent / "lib").glob("python3*/site-packages"))
    (site_packages / "brush.py").write_text("half a fi")
    record.write(place.data, InstallRecord().begun("brush", ["brush==1.4"]))
    assert "finishing the installation of brush==1.4" in place.start(("brush", "brush")).stdout
    assert place.versions()["brush"] == "1.4"
    assert (site_packages / "brush.py").read_text() == "VERSION = '1.4'\n"
    assert record.read(place.data).unfinished == {}
