"""TransT's targets and losses, against numbers worked out by hand and against slower code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from backend.training.tracking_losses import generalised_iou, positives, tracking_loss

CELLS = 32
places = st.floats(-0.4, 1.4)
sides = st.floats(1 / 256, 1.2)


def cells(box: tuple[float, float, float, float], count: int = CELLS) -> list[tuple[int, int]]:
    """Rows and columns of the cells of a box (left, top, right, bottom) in parts of the side."""
    left, top, right, bottom = box
    centred = torch.tensor([[(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]])
    inside = positives(centred, count).view(count, count)
    return [(int(row), int(column)) for row, column in inside.nonzero()]


def test_cells_that_begin_in_the_box_are_positive() -> None:
    # 2.5 to 5.0 cells across, 1.0 to 2.5 down.
    box = (2.5 / 32, 1 / 32, 5 / 32, 2.5 / 32)
    assert cells(box) == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_a_box_within_one_cell_has_one() -> None:
    assert cells((4.25 / 32, 8.25 / 32, 4.75 / 32, 8.75 / 32)) == [(9, 5)]


def test_boxes_that_leave_the_region_are_cut() -> None:
    found = cells((-0.25, -0.125, 2 / 32, 1 / 32))
    assert found == [(0, 0), (0, 1)]
    assert cells((31.5 / 32, 31.5 / 32, 1.5, 1.5)) == [(31, 31)]


@given(places, places, sides, sides)
def test_there_is_always_a_positive_cell_and_they_are_a_rectangle(
    x: float, y: float, width: float, height: float
) -> None:
    inside = positives(torch.tensor([[x, y, width, height]]), CELLS).view(CELLS, CELLS)
    rows, columns = inside.any(dim=1), inside.any(dim=0)
    assert inside.any()
    assert torch.equal(inside, rows[:, None] & columns)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0.5, 0.5, 0.2, 0.2), 1.0),
        ((0.5, 0.5, 0.1, 0.2), 0.5),
        ((0.6, 0.5, 0.2, 0.2), 1 / 3),
        ((0.7, 0.5, 0.2, 0.2), 0.0),
        ((0.9, 0.5, 0.2, 0.2), -1 / 3),
        ((0.6, 0.6, 0.2, 0.2), 1 / 7 - 2 / 9),
    ],
)
def test_generalised_iou(other: tuple[float, ...], expected: float) -> None:
    one = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    found = generalised_iou(one, torch.tensor([other]))
    assert found.item() == pytest.approx(expected, abs=1e-5)
    assert generalised_iou(torch.tensor([other]), one).item() == pytest.approx(found.item())


def answers(batch: int = 2, count: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(batch, count * count, 2)
    boxes = torch.rand(batch, count * count, 4) * 0.5 + 0.1
    return logits, boxes, torch.tensor([[0.5, 0.5, 0.5, 0.25], [0.2, 0.7, 0.3, 0.4]])


def test_the_loss_is_the_sum_over_all_cells_one_by_one() -> None:
    logits, boxes, targets = answers()
    found = tracking_loss(logits, boxes, targets)
    weighed = weight = l1 = giou = count = 0.0
    for sample, target in enumerate(targets):
        inside = positives(target[None], 8)[0]
        for cell in range(64):
            share = 1.0 if inside[cell] else 0.0625
            own = logits[sample, cell].log_softmax(0)[0 if inside[cell] else 1]
            weighed -= share * own.item()
            weight += share
            if inside[cell]:
                count += 1
                l1 += (boxes[sample, cell] - target).abs().sum().item()
                giou += 1 - generalised_iou(boxes[sample, cell][None], target[None]).item()
    parts = (weighed / weight, l1 / count, giou / count)
    assert [found.classes.item(), found.l1.item(), found.giou.item()] == pytest.approx(parts)
    total = 8.334 * parts[0] + 5 * parts[1] + 2 * parts[2]
    assert found.total.item() == pytest.approx(total)


def test_a_perfect_answer_costs_nothing() -> None:
    logits, boxes, targets = answers()
    inside = positives(targets, 8)
    logits = torch.stack([inside.float(), 1 - inside.float()], dim=-1) * 60
    found = tracking_loss(logits, targets[:, None].expand_as(boxes), targets)
    assert found.total.item() == pytest.approx(0, abs=1e-5)


def test_gradients_lead_towards_the_object() -> None:
    logits, boxes, targets = (tensor.clone() for tensor in answers())
    logits.requires_grad_()
    boxes.requires_grad_()
    before = tracking_loss(logits, boxes, targets)
    before.total.backward()
    assert logits.grad is not None
    assert boxes.grad is not None
    inside = positives(targets, 8)
    assert (logits.grad[..., 0][inside] < 0).all()
    assert (logits.grad[..., 0][~inside] > 0).all()
    assert not boxes.grad[~inside].any()
    with torch.no_grad():
        after = tracking_loss(logits - 0.1 * logits.grad, boxes - 0.01 * boxes.grad, targets)
    assert after.total < before.total


def test_cells_have_to_be_a_square() -> None:
    with pytest.raises(ValueError, match="12 cells are no square grid"):
        tracking_loss(torch.zeros(1, 12, 2), torch.zeros(1, 12, 4), torch.rand(1, 4))
    assert math.isfinite(tracking_loss(*(tensor[:1] for tensor in answers())).total.item())
