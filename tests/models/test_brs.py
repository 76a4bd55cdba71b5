"""The search for a correction: value, gradient, ends."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor

from models.brs import Limits, Objective, refine
from models.brs_correction import Correction
from models.brs_loss import click_masks

SIZE = (6, 6)
CLICKS = [(1.0, 1.0, True), (4.0, 4.0, False)]
MASKS = click_masks([CLICKS], SIZE)
LIMITS = Limits(threshold=0.49, iou_change=0.0, evaluations=20)


class Tilt(Correction):
    """Logits that x shifts and slants; they begin wrong everywhere."""

    length = 2

    def logits(self, x: Tensor) -> Tensor:
        slope = torch.linspace(-1, 1, SIZE[0]).view(1, 1, -1, 1).expand(1, 1, *SIZE)
        return 3 * slope + x[0] + 20 * x[1] * slope

    def penalty(self, x: Tensor) -> Tensor:
        return 1e-3 * x.square().sum()


class Stubborn(Tilt):
    """Logits that can never suit the clicks."""

    def logits(self, x: Tensor) -> Tensor:
        return (torch.cos(7 * x[0]) - 2 + 0.01 * x[1]).view(1, 1, 1, 1).expand(1, 1, *SIZE)


@pytest.mark.parametrize("x", [[0.0, 0.0], [0.3, -0.1], [-1.0, 0.2]])
def test_gradient_is_that_of_the_value(x: list[float]) -> None:
    limits = Limits(threshold=-1, iou_change=0, evaluations=20)
    at = np.array(x)
    value, gradient = Objective(Tilt(), MASKS, limits)(at)
    assert gradient.dtype == np.float64
    step = 1e-2
    for axis in range(2):
        off = np.eye(2)[axis] * step
        ahead, behind = (Objective(Tilt(), MASKS, limits)(at + sign * off)[0] for sign in (1, -1))
        assert gradient[axis] == pytest.approx((ahead - behind) / (2 * step), rel=2e-2, abs=2e-4)
    assert value > 0


def test_search_ends_where_every_click_is_right() -> None:
    found = refine(Tilt(), MASKS, np.zeros(2), LIMITS)
    probability = found.logits.sigmoid()[0, 0]
    assert found.losses[0] > 0.5
    assert bool((probability[:3, :3] > 0.49).all())
    assert bool((probability[3:, 3:] < 0.49).all())
    assert len(found.losses) < 20
    assert not found.aborted
    again = refine(Tilt(), MASKS, found.x, LIMITS)
    assert len(again.losses) == 1
    assert np.array_equal(again.x, found.x)


def test_search_ends_where_the_mask_no_longer_changes() -> None:
    patient = refine(Stubborn(), MASKS, np.zeros(2), LIMITS)
    content = Limits(threshold=0.1, iou_change=0.5, evaluations=20)
    assert len(refine(Stubborn(), MASKS, np.zeros(2), content).losses) == 2
    assert len(patient.losses) > 2


@pytest.mark.parametrize("evaluations", [1, 3, 20])
def test_number_of_evaluations_is_bounded(evaluations: int) -> None:
    limits = Limits(threshold=0.49, iou_change=0, evaluations=evaluations)
    found = refine(Stubborn(), MASKS, np.full(2, 0.1), limits)
    assert len(found.losses) <= evaluations + 20


def test_answer_is_the_best_seen() -> None:
    found = refine(Stubborn(), MASKS, np.full(2, 0.1), LIMITS)
    objective = Objective(Stubborn(), MASKS, LIMITS)
    objective(found.x)
    best = Objective(Stubborn(), MASKS, LIMITS)
    best(np.full(2, 0.1))
    assert min(found.losses) <= min(objective.losses[0], best.losses[0])


def test_deadline_ends_the_search_with_the_best_so_far() -> None:
    ticks = count()
    limits = Limits(threshold=0.49, iou_change=0, evaluations=20, deadline_ms=2500)
    found = refine(Stubborn(), MASKS, np.full(2, 0.1), limits, clock=lambda: float(next(ticks)))
    assert found.aborted
    assert len(found.losses) == 3
    at_once = Limits(threshold=0.49, iou_change=0, evaluations=20, deadline_ms=0)
    start = np.full(2, 0.1)
    first = refine(Stubborn(), MASKS, start, at_once, clock=lambda: 0.0)
    assert first.aborted
    assert len(first.losses) == 1
    assert np.array_equal(first.x, start)


def test_without_a_deadline_nobody_looks_at_the_clock() -> None:
    def clock() -> float:
        raise AssertionError

    assert not refine(Tilt(), MASKS, np.zeros(2), LIMITS, clock=clock).aborted
