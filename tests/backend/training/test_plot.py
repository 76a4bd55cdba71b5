from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from backend.training.plot import write_curves


def drawn(
    path: Path, rows: list[dict[str, Any]], measured: list[dict[str, Any]]
) -> npt.NDArray[Any]:
    write_curves(path, rows, measured, "a title")
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def test_losses_and_measurements_have_a_panel_each(tmp_path: Path) -> None:
    rows = [{"step": step, "loss/focal": 1 / step, "rate": 1.0} for step in range(1, 200)]
    rows[50]["loss/focal"] = None  # what was not finite
    alone = drawn(tmp_path / "a.png", rows, [])
    both = drawn(tmp_path / "b.png", rows, [{"step": 100, "iou": 0.5}, {"step": 199, "iou": 0.8}])
    assert both.shape[0] > alone.shape[0]
    blue = np.array([0xB2, 0x72, 0x00])  # of the palette, BGR
    assert (np.abs(alone.astype(int) - blue).sum(-1) < 10).sum() > 200


@pytest.mark.parametrize("rows", [[], [{"step": 1, "loss/focal": 0.5}]])
def test_a_training_that_has_hardly_begun_can_be_drawn(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert drawn(tmp_path / "c.png", rows, []).size
