"""The simulated annotator, IoU and NoC against the recordings of the originals."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from backend.evaluation.clicker import CentreClicker
from backend.evaluation.metrics import clicks_to_reach, iou, mean_clicks, over_limit
from tests.goldens.cases import Case, cases, parametrize

RECORDINGS = ("eval_clicker.npz", "iou.npz", "noc.npz")
MAX_CLICKS = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    listed = cases(metafunc.config, lambda document: "files" in document)
    file = next(name for name in RECORDINGS if name[:-4] in metafunc.function.__name__)
    parametrize(metafunc, "case", [case for case in listed if case.has(file)])


@pytest.mark.parametrize(
    ("recorded", "distances"), [("ritm_clicks", "opencv"), ("fbrs_clicks", "scipy")]
)
def test_eval_clicker(case: Case, recorded: str, distances: Literal["opencv", "scipy"]) -> None:
    arrays = case.arrays("eval_clicker.npz")
    expected = arrays[recorded]
    for labels, mask, clicks in zip(arrays["gt"], arrays["pred"], expected, strict=True):
        clicker = CentreClicker(labels, distances)
        made = [clicker.next_click(mask) for _ in clicks]
        assert [[click.y, click.x, click.positive] for click in made] == clicks.tolist()


def test_iou(case: Case) -> None:
    pairs = case.arrays("eval_clicker.npz")
    expected = case.arrays("iou.npz")["iou"]
    computed = [iou(labels, mask) for labels, mask in zip(pairs["gt"], pairs["pred"], strict=True)]
    np.testing.assert_allclose(computed, expected, rtol=1e-12)


def test_noc(case: Case) -> None:
    arrays = case.arrays("noc.npz")
    lists = [row[:length] for row, length in zip(arrays["ious"], arrays["lengths"], strict=True)]
    for index, threshold in enumerate(arrays["thresholds"]):
        clicks = [clicks_to_reach(ious, threshold, MAX_CLICKS) for ious in lists]
        assert mean_clicks(clicks) == pytest.approx(arrays["noc"][index], rel=1e-12)
        assert over_limit(clicks, MAX_CLICKS) == arrays["over_max"][index]
