"""The README tells the truth: settings, files, picture and commands are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.cli.models_document import tables
from backend.cli.settings import as_markdown
from backend.version import VERSION
from tests import scene

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_the_settings() -> None:
    between = re.search(r"<!-- settings: .* -->\n(.*?)<!-- end of settings -->", README, re.DOTALL)
    assert between is not None
    assert between[1].strip() == as_markdown()


def test_the_tables_of_models_are_the_zoo() -> None:
    document = (ROOT / "docs" / "models.md").read_text()
    between = re.search(r"<!-- models: .* -->\n(.*?)<!-- end of models -->", document, re.DOTALL)
    assert between is not None
    assert between[1] == tables() + "\n"


@pytest.mark.parametrize(
    "name", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_document_is_reached_from_the_readme() -> None:
    for document in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{document.name})" in README


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_there_is_one_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_example_is_the_picture_that_is_drawn() -> None:
    shipped = cv2.imread(str(ROOT / "docs" / "example.jpg"))
    assert shipped is not None
    drawn, mask = scene.draw()
    assert shipped.shape == drawn.shape
    difference = np.abs(shipped[..., ::-1].astype(float) - drawn)
    assert difference.mean() < 4  # what JPEG costs
    assert mask[scene.ORANGE[1], scene.ORANGE[0]]


def test_the_readmes_clicks_are_on_and_beside_the_orange() -> None:
    _, mask = scene.draw()
    prompts = re.findall(r"clicks=(\[\[.*?\]\])", README)
    clicks = re.findall(r"\[(\d+), (\d+)(, false)?\]", " ".join(prompts))
    assert clicks
    for x, y, beside in clicks:
        assert mask[int(y), int(x)] == (not beside)
    for x, y in re.findall(r"--click (\d+),(\d+)", README):
        assert mask[int(y), int(x)]


def ci(tmp_path: Path, make: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`.ci/run` with a `make` that is this shell script."""
    program = tmp_path / "make"
    program.write_text(f'#!/bin/sh\necho "make $*"\n{make}\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / ".ci" / "run"],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ci_runs_the_readmes_tests_and_then_those_that_take_minutes(tmp_path: Path) -> None:
    assert "\n    make test\n" in README
    ran = ci(tmp_path, "exit 0")
    assert (ran.returncode, ran.stdout) == (0, "make test\nmake test-full ARGS=-m slow -x\n")


@pytest.mark.parametrize("failing", ["test", "test-full"])
def test_ci_fails_with_either(tmp_path: Path, failing: str) -> None:
    assert ci(tmp_path, f'test "$1" != {failing}').returncode != 0


def test_ci_leaves_out_what_there_is_no_time_for(tmp_path: Path) -> None:
    ran = ci(tmp_path, "exit 0", CI_SECONDS="300")
    assert ran.returncode == 0
    assert "No time is left" in ran.stdout
    assert "test-full ARGS" not in ran.stdout


def test_a_full_run_takes_the_quick_and_the_slow_tests() -> None:
    rules = (ROOT / "Makefile").read_text()
    assert re.search(r"^test-full:.*\n\t.*pytest -m \"slow or not slow\" \$\(ARGS\)", rules, re.M)
