"""What `make` installs, from where, and what it says on a machine that lacks something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Makefile and locks alone, as before anything is installed."""
    if shutil.which("make") is None:
        pytest.skip("needs the program make, which is not installed")
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(clone: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env={"PATH": os.environ["PATH"]} | values,
        capture_output=True,
        text=True,
        check=False,
    )


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_is_named_in_one_sentence(clone: Path) -> None:
    old = script(clone / "python3.8", 'test "$1" = --version && echo Python 3.8.1 && exit; exit 1')
    ran = make(clone, "install", f"PYTHON={old}")
    assert ran.returncode != 0
    assert "needs Python 3.11 or newer" in ran.stderr
    assert "Python 3.8.1" in ran.stderr
    assert not (clone / ".venv").exists()


def calls(clone: Path, *arguments: str, probe: int = 1) -> list[str]:
    """What is asked of pip by `make install`, on a machine where PyTorch's index answers or not."""
    log = clone / "calls"
    log.write_text("")
    python = clone / ".venv" / "bin" / "python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        (clone / ".venv" / ".done").mkdir()
        (clone / ".venv" / ".done" / "venv").touch()
    script(python, f'case "$1" in -c) exit {probe};; esac; echo "$@" >> {log}')
    assert make(clone, "install", *arguments).returncode == 0
    return [line.partition("--no-input ")[2] or line for line in log.read_text().splitlines()]


(TORCH,) = re.findall("^torch==.*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
LOCK = "install --no-deps --requirement requirements.txt"


def test_the_cpu_build_comes_from_pytorchs_index_where_that_answers(clone: Path) -> None:
    index = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert calls(clone, probe=0) == [
        f"install --constraint requirements.txt {TORCH} {index}",
        LOCK,
    ]


def test_what_is_configured_decides_where_it_does_not(clone: Path) -> None:
    assert calls(clone, probe=1) == [f"install --constraint requirements.txt {TORCH}", LOCK]


def test_cuda_is_one_variable(clone: Path) -> None:
    version = TORCH.partition("==")[2]
    expected = f"install --constraint requirements.txt {TORCH},!={version}+cpu"
    assert calls(clone, "CUDA=1") == [expected, LOCK]


def test_changing_the_build_takes_the_other_one_away(clone: Path) -> None:
    calls(clone)
    again = calls(clone, "CUDA=1")
    assert again[0] == "-m pip uninstall --yes --quiet torch"
    assert len(again) == 3
    assert calls(clone, "CUDA=1") == []


def test_a_second_run_does_nothing(clone: Path) -> None:
    assert calls(clone)
    assert calls(clone) == []


def test_an_interrupted_installation_goes_on(clone: Path) -> None:
    calls(clone)
    (clone / ".venv" / ".done" / "requirements").unlink()
    assert calls(clone) == [LOCK]
