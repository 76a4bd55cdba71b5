from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from backend.training import curves
from backend.training.monitor import FOLDER, Monitor, Reading

READING = Reading(
    step=30,
    total=0.75,
    losses={"focal": 0.5, "auxiliary": 0.25},
    rate=5e-4,
    norm=1.5,
    samples_per_second=123.4,
    wait=0.456,
    skipped=0,
)


def shown(tmp_path: Path, *, terminal: bool, first: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=160, color_system=None)
    with Monitor(tmp_path, 100, 20, shown=first, console=console) as monitor:
        monitor.advance(30)
        monitor.read(READING)
        monitor.pictures(30, np.zeros((2, 4, 6, 3), np.uint8))
        monitor.scalars(30, {"measured/iou": 0.5})
        monitor.say("A sentence.")
    return file.getvalue()


def test_a_reading_is_one_line() -> None:
    assert READING.text() == (
        "loss 0.75 (focal 0.5, auxiliary 0.25), rate 0.0005, 123 samples/s, 46% waiting for data"
    )
    skipping = Reading(**{**vars(READING), "skipped": 3})
    assert skipping.text().endswith(", 3 steps skipped")


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    text = shown(tmp_path, terminal=True)
    assert "30/100" in text
    assert "46% waiting for data" in text
    assert "step 30:" not in text
    assert "A sentence." in text


def test_a_file_gets_lines(tmp_path: Path) -> None:
    assert shown(tmp_path, terminal=False) == f"step 30: {READING.text()}\nA sentence.\n"


def test_numbers_are_kept(tmp_path: Path) -> None:
    curves.append(tmp_path, {"step": 25, "loss": 9.0})
    shown(tmp_path, terminal=False)
    (row,) = curves.read(tmp_path)  # the row after the step that it goes on from is dropped
    assert (row["step"], row["loss"], row["loss/focal"], row["wait"]) == (30, 0.75, 0.5, 0.456)
    assert list((tmp_path / FOLDER).iterdir())


def test_the_other_processes_are_silent(tmp_path: Path) -> None:
    assert shown(tmp_path, terminal=False, first=False) == ""
    assert list(tmp_path.iterdir()) == []
