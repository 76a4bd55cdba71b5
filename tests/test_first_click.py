"""The main job, as a new user does it: start the server, click on the orange, get the orange.

The commands are the README's own, taken from its text.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import sqlalchemy
from PIL import Image
from pycocotools import mask as pycocotools_mask

from tests import scene
from tests.backend.cli.server import ROOT, Running, environment, serving

README = (ROOT / "README.md").read_text()
PICTURE = (ROOT / "docs" / "example.jpg").read_bytes()


def iou(mask: np.ndarray) -> float:
    """With the orange, bool HxW both."""
    _, orange = scene.draw()
    assert mask.shape == orange.shape
    overlap: float = (mask & orange).sum() / (mask | orange).sum()
    return overlap


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, installed_weights: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("first-click")
    (folder / "weights").symlink_to(installed_weights)
    with serving(folder) as running:
        yield running


def curl(number: int, server: Running, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the README's curl command of this number against the server, from a new clone."""
    if shutil.which("curl") is None:
        pytest.skip("needs the program curl, which is not installed")
    commands = re.findall(r"^    (curl [^\n\\]*(?:\\\n[^\n\\]*)*)$", README, re.MULTILINE)
    command = commands[number].replace("http://127.0.0.1:9090", server.url)
    (folder / "docs").symlink_to(ROOT / "docs")
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=True)


def test_the_readmes_first_click(server: Running, tmp_path: Path) -> None:
    curl(0, server, tmp_path)
    assert iou(np.asarray(Image.open(tmp_path / "mask.png")) > 0) > 0.95


def test_the_readmes_second_click(server: Running, tmp_path: Path) -> None:
    body = json.loads(curl(1, server, tmp_path).stdout)
    assert iou(pycocotools_mask.decode(body["mask"]) > 0) > 0.95
    shown = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    example = json.loads(shown[1])
    assert example.keys() == body.keys()
    assert example["version"] == body["version"]
    assert example["box"] == pytest.approx(body["box"], abs=2)
    assert example["area"] == pytest.approx(body["area"], rel=0.01)


def test_a_box_and_a_click_from_every_tool_mean_the_orange(server: Running) -> None:
    x, y, radius = scene.ORANGE
    image = base64.b64encode(PICTURE).decode()
    box = [x - radius, y - radius, x + radius, y + radius]
    rest = requests.post(
        f"{server.url}/api/v1/segment", json={"image": image, "box": box}, timeout=60
    ).json()
    assert iou(pycocotools_mask.decode(rest["mask"]) > 0) > 0.95
    cvat = requests.post(
        f"{server.url}/",
        json={"image": image, "pos_points": [[x, y]], "neg_points": []},
        timeout=60,
    ).json()
    assert iou(np.array(cvat["mask"]) > 0) > 0.95


def test_ready_and_logged(server: Running) -> None:
    requests.post(
        f"{server.url}/api/v1/segment",
        files={"image": PICTURE},
        data={"clicks": "[[255, 285]]"},
        timeout=60,
    ).raise_for_status()
    assert requests.get(f"{server.url}/readyz", timeout=5).json() == {"ready": True, "problems": []}
    (model,) = requests.get(f"{server.url}/api/v1/models", timeout=5).json()["models"]
    assert model["loaded"] is True
    assert model["version"].startswith("mobilesam@sa-1b:")


def test_every_answer_is_in_the_log_when_the_server_has_ended(data_dir: Path) -> None:
    with serving(data_dir) as server:
        for _ in range(3):
            requests.post(
                f"{server.url}/api/v1/segment",
                files={"image": PICTURE},
                data={"clicks": "[[255, 285]]"},
                timeout=60,
            ).raise_for_status()
        assert server.stop() == 0
    database = sqlalchemy.create_engine(f"sqlite:///{data_dir / 'maskloop.db'}")
    with database.connect() as connection:
        rows = connection.execute(sqlalchemy.text("select count(*) from interactions")).scalar()
    assert rows == 3


def test_the_readmes_predict(data_dir: Path, tmp_path: Path) -> None:
    (command,) = re.findall(
        r"^    \.venv/bin/python (-m backend predict .*)$", README, re.MULTILINE
    )
    mask = tmp_path / "mask.png"
    arguments = command.replace("-o mask.png", f"-o {mask}").split()
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        check=True,
    )
    assert iou(np.asarray(Image.open(mask)) > 0) > 0.95
    overlay = np.asarray(Image.open(tmp_path / "mask-overlay.png")).astype(int)
    original = np.asarray(Image.open(io.BytesIO(PICTURE))).astype(int)
    changed = np.abs(overlay - original).max(axis=2) > 20
    assert iou(changed) > 0.9
    assert "mobilesam@sa-1b:" in ran.stdout
