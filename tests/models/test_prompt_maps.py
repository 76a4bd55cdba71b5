"""Prompts as maps: the right places, of the right size, wherever the crop lies."""

from __future__ import annotations

import numpy as np
import pytest

from models.prompt_maps import CLICK_RADIUS, STROKE_RADIUS, prompt_maps
from models.prompts import Scribble
from models.zoom import Roi

SIDE = 64
ROI = Roi(100, 131, 40, 71)
"""Half as large as the crop: two pixels of the crop to one of the picture."""


def test_a_click_is_a_disk_around_its_pixel() -> None:
    maps = prompt_maps([(110, 50, True), (120, 60, False)], (), None, ROI, SIDE)
    for plane, row, column in ((0, 20, 20), (1, 40, 40)):
        rows, columns = np.nonzero(maps[plane])
        assert abs(rows.mean() - row) <= 1
        assert abs(columns.mean() - column) <= 1
        assert len(rows) == pytest.approx(np.pi * CLICK_RADIUS**2, rel=0.1)
    assert not maps[2].any()


def test_clicks_outside_the_crop_are_not_seen() -> None:
    clicks = [(row, column, True) for row, column in ((0, 0), (110, 10), (500, 50), (110, 900))]
    assert not prompt_maps(clicks, (), None, ROI, SIDE).any()


def test_a_click_at_the_edge_is_cut_off() -> None:
    maps = prompt_maps([(100, 40, True)], (), None, ROI, SIDE)
    assert maps[0, 0, 0] == 1
    assert 0 < maps.sum() < np.pi * CLICK_RADIUS**2 / 2


def test_a_stroke_has_its_sign_and_its_width() -> None:
    across = ((44.0, 116.0), (68.0, 116.0))
    maps = prompt_maps([], [Scribble(across, False)], None, ROI, SIDE)
    assert not maps[0].any()
    width = maps[1][:, 32].sum()
    assert width == pytest.approx(2 * STROKE_RADIUS + 1, abs=1)
    assert maps[1].any(axis=0).sum() == pytest.approx(48 + 2 * STROKE_RADIUS, abs=3)


def test_a_stroke_of_one_point_and_one_that_leaves_the_crop() -> None:
    dot = prompt_maps([], [Scribble(((56.0, 116.0),))], None, ROI, SIDE)
    assert dot[0].sum() == pytest.approx(np.pi * STROKE_RADIUS**2, rel=0.4)
    far = prompt_maps([], [Scribble(((56.0, 116.0), (1e9, 116.0)))], None, ROI, SIDE)
    assert far[0][:, -1].any()
    assert not prompt_maps([], [Scribble(())], None, ROI, SIDE).any()


@pytest.mark.parametrize(
    ("box", "inside"),
    [((48, 108, 64, 124), 32 * 32), ((0, 0, 56, 116), 32 * 32), ((0, 0, 10, 10), 0)],
    ids=["within", "across", "beside"],
)
def test_a_box_is_filled(box: tuple[float, float, float, float], inside: int) -> None:
    assert prompt_maps([], (), box, ROI, SIDE)[2].sum() == inside
