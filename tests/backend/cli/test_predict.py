"""`predict` takes what a person types, or says what is wrong with it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.backend.cli.server import ROOT, environment

EXAMPLE = str(ROOT / "docs" / "example.jpg")


def predict(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend", "predict", *arguments],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([EXAMPLE], "give --click X,Y or --box"),
        ([EXAMPLE, "--negative", "3,4"], "give --click X,Y or --box"),
        ([EXAMPLE, "--click", "3"], "--click 3: give X,Y"),
        ([EXAMPLE, "--click", "3,a"], "--click 3,a: give X,Y"),
        ([EXAMPLE, "--click", "3,nan"], "--click 3,nan: give X,Y"),
        ([EXAMPLE, "--box", "3,4,5"], "LEFT,TOP,RIGHT,BOTTOM"),
        (["nowhere.jpg", "--click", "3,4"], "nowhere.jpg cannot be read"),
        ([EXAMPLE, "--click", "3,4"], "python -m backend weights pull mobilesam"),
        ([EXAMPLE, "--click", "3,4", "--model", "sam9"], "sam9"),
        ([EXAMPLE, "--click", "3,4", "--model", "ritm-hrnet18s"], "weights pull ritm-hrnet18s"),
        ([str(ROOT / "README.md"), "--click", "3,4"], "not a picture"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    ran = predict(tmp_path, *arguments)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_clicks_and_box_reach_the_model(data_dir: Path, tmp_path: Path) -> None:
    mask = tmp_path / "out.png"
    ran = predict(
        data_dir,
        EXAMPLE,
        *("--click", "255,285", "--negative", "255,430", "--box", "160,190,350,380"),
        *("-o", str(mask)),
    )
    assert ran.returncode == 0, ran.stderr
    found = np.asarray(Image.open(mask))
    assert found.shape == (480, 640)
    assert found[285, 255] == 255
    assert found[430, 255] == 0
    assert np.asarray(Image.open(tmp_path / "out-overlay.png")).shape == (480, 640, 3)


def test_a_place_that_cannot_be_written_is_named(data_dir: Path, tmp_path: Path) -> None:
    ran = predict(data_dir, EXAMPLE, "--click", "255,285", "-o", str(tmp_path / "no" / "m.png"))
    assert ran.returncode == 1
    assert "cannot be written" in ran.stderr


def test_a_rotated_photograph_is_overlaid_upright(data_dir: Path, tmp_path: Path) -> None:
    picture = Image.open(EXAMPLE)
    exif = picture.getexif()
    exif[0x0112] = 6  # shown a quarter turned to the right
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif)
    rotated = tmp_path / "rotated.jpg"
    rotated.write_bytes(stream.getvalue())
    x, y = 480 - 285, 255
    mask = tmp_path / "m.png"
    ran = predict(data_dir, str(rotated), "--click", f"{x},{y}", "-o", str(mask))
    assert ran.returncode == 0, ran.stderr
    assert np.asarray(Image.open(mask)).shape == (640, 480)
    assert np.asarray(Image.open(tmp_path / "m-overlay.png")).shape == (640, 480, 3)
