"""The arithmetic of regions against recorded outputs of the authors' code."""

from __future__ import annotations

import pytest

from models.zoom import Roi, clamped, expanded, iou, whole
from tests.goldens.cases import Case, cases, parametrize

PICTURE = (96, 120)
RATIO, LEAST = 1.4, 30


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc, "case", cases(metafunc.config, lambda document: "bbox" in document))


def test_regions(case: Case) -> None:
    assert case.document["bbox"]
    for row in case.document["bbox"]:
        roi = Roi(*row["bbox"])
        grown = expanded(roi, RATIO, LEAST)
        assert list(grown) == row["expand_1.4_min30"]
        assert list(clamped(grown, PICTURE)) == row["clamped"]
        assert iou(clamped(grown, PICTURE), whole(PICTURE)) == pytest.approx(row["iou_with_full"])
