"""The locks are complete: what `pip install --no-deps` leaves out, nobody misses."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

PYTHONS = ["3.11.0", "3.11.7", "3.12.0", "3.13.0", "3.14.0"]

# label-studio-ml 1.0.9 pins a Flask of 2020 and asks for `attr`, which is not the package `attrs`
# that it imports; label-studio-sdk asks for a second OpenCV beside ours. Both run without.
OBSOLETE = {
    "label-studio-ml": {"attr", "flask", "itsdangerous", "jinja2", "werkzeug"},
    "label-studio-sdk": {"opencv-python-headless"},
}


def environment(python: str) -> dict[str, str]:
    """This platform as a marker sees it under another Python."""
    version = python.rpartition(".")[0] if python.count(".") == 2 else python
    return {**default_environment(), "python_version": version, "python_full_version": python}


def pins(*names: str, python: str) -> dict[str, str]:
    """The version of each package that the files lock; fails on anything but `name==version`."""
    found = {}
    for name in names:
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                requirement = Requirement(line)
                (pin,) = requirement.specifier
                assert pin.operator == "==" and "*" not in pin.version, line
                if requirement.marker is None or requirement.marker.evaluate(environment(python)):
                    found[canonicalize_name(requirement.name)] = pin.version
    return found


def wanted(package: str, python: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """What `package`, with these of its extras, asks for on this platform."""
    try:
        requirements = map(Requirement, importlib.metadata.requires(package) or [])
    except importlib.metadata.PackageNotFoundError:  # locked for another Python alone
        return []
    environments = [environment(python) | {"extra": extra} for extra in (*extras, "")]
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments))
    ]


def extras_asked(locked: dict[str, str], python: str) -> dict[str, frozenset[str]]:
    """The extras that some locked package asks of another."""
    asked: dict[str, frozenset[str]] = {}
    for package in locked:
        for requirement in wanted(package, python):
            name = canonicalize_name(requirement.name)
            asked[name] = asked.get(name, frozenset()) | requirement.extras
    return asked


def unmet(locked: dict[str, str], python: str) -> list[str]:
    """Every requirement of a locked package that the lock does not meet."""
    faults = []
    extras = extras_asked(locked, python)
    for package in locked:
        for requirement in wanted(package, python, extras.get(package, frozenset())):
            name = canonicalize_name(requirement.name)
            if name in OBSOLETE.get(package, ()):
                continue
            if name not in locked:
                faults.append(f"{package} needs {requirement}, which is not locked")
            elif not requirement.specifier.contains(locked[name], prereleases=True):
                faults.append(f"{package} needs {requirement}, locked is {locked[name]}")
    return faults


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_is_complete(python: str) -> None:
    assert unmet(pins("requirements.txt", python=python), python) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_of_the_tests_is_complete(python: str) -> None:
    assert unmet(pins("requirements.txt", "requirements-dev.txt", python=python), python) == []


def test_a_gap_would_be_found() -> None:
    locked = pins("requirements.txt", python="3.11.7")
    del locked["werkzeug"]
    locked["rq"] = "0.1"
    faults = unmet(locked, "3.11.7")
    assert any(fault.startswith("flask needs werkzeug") for fault in faults)
    assert not any(fault.startswith("label-studio-ml") for fault in faults if "rq" not in fault)


def test_what_is_locked_is_what_is_installed() -> None:
    locked = pins("requirements.txt", "requirements-dev.txt", python=platform.python_version())
    installed = {name: importlib.metadata.version(name).split("+")[0] for name in locked}
    assert installed == locked


def test_there_is_one_opencv() -> None:
    names = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python"}


def test_the_exceptions_are_still_needed() -> None:
    for package, names in OBSOLETE.items():
        asked = {canonicalize_name(requirement.name) for requirement in wanted(package, "3.11.7")}
        assert names <= asked
