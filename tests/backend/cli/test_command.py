"""The command as a whole: its help, its speed of thought, its way of failing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.backend.cli.server import ROOT, environment

COMMANDS = (
    *("serve", "worker", "predict", "models", "doctor", "settings", "evaluate"),
    *("weights pull", "weights add", "weights list", "weights verify"),
)


def run(tmp_path: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(tmp_path, **values),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    ran = run(tmp_path, "-m", "backend", *command.split(), "--help", COLUMNS="100")
    assert ran.returncode == 0
    assert "Usage: python -m backend" in ran.stdout


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"torch", "cv2", "flask", "scipy", "matplotlib", "sqlalchemy", "pandas", "rq"}
    script = f"import sys, backend.cli; print(sorted({heavy} & set(sys.modules)))"
    assert run(tmp_path, "-c", script).stdout.strip() == "[]"


def test_a_wrong_setting_is_one_sentence_for_every_command(tmp_path: Path) -> None:
    for command in ("serve", "worker", "models"):
        ran = run(tmp_path, "-m", "backend", command, MASKLOOP_NONSENSE="1")
        assert ran.returncode == 1
        assert ran.stderr.count("\n") == 1
        assert "MASKLOOP_NONSENSE" in ran.stderr


def test_an_unknown_command_is_named(tmp_path: Path) -> None:
    ran = run(tmp_path, "-m", "backend", "sevre")
    assert ran.returncode == 2
    assert "sevre" in ran.stderr
