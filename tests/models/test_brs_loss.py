"""The squares of clicks, and what disagreeing with them costs."""

from __future__ import annotations

import math

import pytest
import torch

from models.brs_loss import click_loss, click_masks

SIZE = (8, 10)


def marked(row: float, column: float, *, wrapping: bool = False) -> list[list[int]]:
    """The pixels of one positive click, as [row, column]."""
    masks = click_masks([[(row, column, True)]], SIZE, wrapping=wrapping)
    assert not masks.negative.any()
    return masks.positive[0, 0].nonzero().tolist()


def square(rows: range, columns: range) -> list[list[int]]:
    return [[row, column] for row in rows for column in columns]


@pytest.mark.parametrize("wrapping", [False, True])
def test_a_click_speaks_for_its_neighbours(wrapping: bool) -> None:
    assert marked(3, 4, wrapping=wrapping) == square(range(2, 5), range(3, 6))
    assert marked(2.5, 4.5, wrapping=wrapping) == square(range(1, 4), range(3, 6))
    assert marked(3.5, 9, wrapping=wrapping) == square(range(3, 6), range(8, 10))


def test_a_square_is_cut_off_at_the_edge() -> None:
    assert marked(0, 0) == square(range(2), range(2))
    assert marked(-1, 5) == square(range(1), range(4, 7))
    assert marked(-3, 5) == []
    assert marked(9, 5) == []


def test_faithful_squares_vanish_and_wrap_around() -> None:
    assert marked(0, 4, wrapping=True) == []
    assert marked(4, 0, wrapping=True) == []
    assert marked(-3, 4, wrapping=True) == square(range(4, 7), range(3, 6))


def test_signs_and_pictures_are_kept_apart() -> None:
    lists = [[(2, 2, True), (5, 5, False)], [(2, 7, True)]]
    masks = click_masks(lists, SIZE)
    assert masks.positive.sum(dim=(1, 2, 3)).tolist() == [9, 9]
    assert masks.negative.sum(dim=(1, 2, 3)).tolist() == [9, 0]
    assert masks.positive[1, 0, 2, 7] == masks.negative[0, 0, 5, 5] == 1


def test_loss_is_the_mean_squared_error_at_the_clicks() -> None:
    masks = click_masks([[(2, 2, True), (5, 5, False)]] * 2, SIZE)
    logits = torch.full((2, 1, *SIZE), math.log(0.25 / 0.75))
    loss = click_loss(logits, masks)
    assert float(loss.loss) == pytest.approx(0.75**2 + 0.25**2, rel=1e-4)
    assert float(loss.worst_positive) == pytest.approx(0.75, rel=1e-5)
    assert float(loss.worst_negative) == pytest.approx(0.25, rel=1e-5)
    logits[0, 0, 2, 2] = -20
    assert float(click_loss(logits, masks).worst_positive) == pytest.approx(1)


def test_pixels_without_a_click_do_not_matter() -> None:
    masks = click_masks([[(2, 2, True)]], SIZE)
    logits = torch.zeros(1, 1, *SIZE, requires_grad=True)
    click_loss(logits, masks).loss.backward()
    assert logits.grad is not None
    assert (logits.grad != 0).sum() == 9
