from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from backend.training.losses import IGNORED
from backend.training.next_click import (
    Slots,
    add_clicks,
    add_clicks_batched,
    errors,
    squared_distances,
)

SLOTS = 5


def no_points(batch: int) -> Tensor:
    return torch.full((batch, 2 * SLOTS, 3), -1.0)


def blobs(seed: int, batch: int, height: int, width: int) -> Tensor:
    """Smooth random regions, float32 [B, 1, H, W] in 0..1 around 0.5."""
    noise = np.random.default_rng(seed).standard_normal((batch, 1, height, width))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 4, 4))
    return torch.from_numpy((smooth / smooth.std() * 0.3 + 0.5).clip(0, 1).astype(np.float32))


def scene(seed: int, batch: int = 6, height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    """Probabilities, and labels of which some are unknown."""
    labels = (blobs(seed, batch, height, width) > 0.5).to(torch.int8)
    labels[:, :, :, :5] = IGNORED
    return blobs(seed + 1, batch, height, width), labels


def exact(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


def clicked(points: Tensor) -> list[tuple[int, int, int, bool] | None]:
    """The (row, column, index, positive) of each sample's single click."""
    found: list[tuple[int, int, int, bool] | None] = []
    for sample in points:
        rows = (sample[:, :2].amax(dim=1) >= 0).nonzero().flatten().tolist()
        assert len(rows) <= 1
        if not rows:
            found.append(None)
            continue
        row, column, index = (int(value) for value in sample[rows[0]])
        found.append((row, column, index, rows[0] < SLOTS))
    return found


@given(st.integers(0, 2**31), st.integers(1, 19), st.integers(1, 19), st.floats(0.3, 0.98))
@settings(max_examples=60, deadline=None)
def test_squared_distances_are_exact(seed: int, height: int, width: int, set_share: float) -> None:
    masks = np.random.default_rng(seed).random((3, height, width)) < set_share
    masks[2] = True
    computed = squared_distances(torch.from_numpy(masks))
    expected = np.stack([np.rint(exact(mask) ** 2) for mask in masks])
    np.testing.assert_array_equal(computed, expected)


def test_far_pixels_count_as_long_as_they_can() -> None:
    masks = np.ones((3, 150, 170), np.bool_)
    masks[1, 70:80, 60:] = False
    masks[2] = np.random.default_rng(0).random((150, 170)) < 0.99
    computed = squared_distances(torch.from_numpy(masks))
    np.testing.assert_array_equal(computed, np.stack([np.rint(exact(m) ** 2) for m in masks]))
    thin = squared_distances(torch.from_numpy(masks[2:]))
    np.testing.assert_array_equal(thin[0], computed[2])


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_click_into_the_deeper_half_of_the_deeper_error(seed: int) -> None:
    probabilities, labels = scene(seed)
    missing, surplus = (error.numpy() for error in errors(probabilities[:, 0], labels[:, 0]))
    random = np.random.default_rng(seed)
    one_by_one = add_clicks(
        no_points(6), probabilities, labels, 2, lambda n: int(random.integers(n))
    )
    for shift in np.linspace(0, 0.999, 7):
        draws = torch.full((6,), float(shift), dtype=torch.float64)
        together = add_clicks_batched(no_points(6), probabilities, labels, 2, draws)
        for points, slack in ((together, 0.0), (one_by_one, 0.05)):
            for sample, click in enumerate(clicked(points)):
                assert click is not None
                row, column, index, positive = click
                missed, added = exact(missing[sample]), exact(surplus[sample])
                deeper = missed if positive else added
                assert deeper.max() * (1 + slack) >= max(missed.max(), added.max())
                assert deeper[row, column] > deeper.max() / 2 * (1 - slack)
                assert index == 2


def test_every_allowed_pixel_is_drawn_equally_often() -> None:
    labels = torch.zeros(1, 1, 9, 12, dtype=torch.int8)
    labels[:, :, 2:7, 3:8] = 1
    probabilities = torch.zeros(1, 1, 9, 12)
    allowed = np.argwhere(exact((labels[0, 0] == 1).numpy()) > 1.5).tolist()
    draws = (torch.arange(4 * len(allowed)) + 0.5) / (4 * len(allowed))
    drawn = [
        clicked(add_clicks_batched(no_points(1), probabilities, labels, 1, draw[None]))[0]
        for draw in draws
    ]
    assert [list(click[:2]) for click in drawn if click] == sorted(allowed * 4)
    in_turn = [
        clicked(add_clicks(no_points(1), probabilities, labels, 1, lambda n, k=k: k))[0]
        for k in range(len(allowed))
    ]
    assert [list(click[:2]) for click in in_turn if click] == allowed


@pytest.mark.parametrize("batched", [True, False])
def test_nothing_is_clicked_where_nothing_is_wrong(batched: bool) -> None:
    labels = torch.zeros(3, 1, 8, 8, dtype=torch.int8)
    labels[:, :, 2:5, 2:5] = 1
    probabilities = labels.float()
    labels[1, :, 6:] = IGNORED
    probabilities[1, :, 6:] = 1
    probabilities[2, 0, 3, 3] = 0.1
    points = with_click(probabilities, labels, batched)
    assert clicked(points) == [None, None, (3, 3, 1, True)]


def with_click(probabilities: Tensor, labels: Tensor, batched: bool) -> Tensor:
    batch = len(labels)
    if batched:
        return add_clicks_batched(no_points(batch), probabilities, labels, 1, torch.zeros(batch))
    return add_clicks(no_points(batch), probabilities, labels, 1, lambda n: 0)


@pytest.mark.parametrize("batched", [True, False])
def test_a_tie_goes_to_the_surplus_and_the_given_points_stay(batched: bool) -> None:
    labels = torch.zeros(1, 1, 10, 20, dtype=torch.int8)
    labels[:, :, 3:6, 3:6] = 1
    probabilities = torch.zeros(1, 1, 10, 20)
    probabilities[:, :, 3:6, 12:15] = 1
    points = with_click(probabilities, labels, batched)
    assert clicked(points) == [(4, 13, 1, False)]
    assert torch.equal(points[0, 2 * SLOTS - 1], torch.tensor([4.0, 13.0, 1.0]))


@pytest.mark.parametrize(
    ("slots", "expected"),
    [("from-end", [(3, 2.0), (4, 1.0)]), ("first-free", [(1, 101.0), (2, 102.0)])],
)
def test_where_clicks_go(slots: Slots, expected: list[tuple[int, float]]) -> None:
    labels = torch.ones(1, 1, 9, 9, dtype=torch.int8)
    probabilities = torch.zeros(1, 1, 9, 9)
    points = no_points(1)
    points[0, 0] = torch.tensor([5.0, 5.0, 100.0])
    for index in (1, 2):
        points = add_clicks(points, probabilities, labels, index, lambda n: 0, slots=slots)
    filled = [(slot, float(points[0, slot, 2])) for slot in range(1, 10) if points[0, slot, 2] >= 0]
    assert filled == expected


def test_the_last_slot_is_taken_where_all_are() -> None:
    labels = torch.ones(1, 1, 9, 9, dtype=torch.int8)
    points = no_points(1)
    points[0, :SLOTS] = 1.0
    points[0, :, 2] = torch.arange(2 * SLOTS)
    added = add_clicks(
        points, torch.zeros(1, 1, 9, 9), labels, 1, lambda n: n // 2, slots="first-free"
    )
    assert torch.equal(added[0, SLOTS - 1], torch.tensor([4.0, 4.0, 10.0]))
    changed = (added != points).any(dim=2).nonzero()[:, 1].tolist()
    assert changed == [SLOTS - 1]
