from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.training.focus import (
    Mask,
    around,
    focus,
    into_view,
    on_boundary,
    random_region,
    trimap,
    without_specks,
)


def square(side: int, top: int, left: int, size: int = 128) -> Mask:
    mask = np.zeros((size, size), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_view_of_a_whole_object_holds_most_of_it() -> None:
    mask = square(40, 30, 50)
    mask[5:8, 5:8] = True
    sides, moves = set(), set()
    for seed in range(200):
        left, top, right, bottom = around(mask, np.random.default_rng(seed))
        assert 0 <= left < right <= 128
        assert 0 <= top < bottom <= 128
        assert 43 <= bottom - top <= 64
        assert mask[top:bottom, left:right].sum() >= 0.4 * 1600
        sides.add(bottom - top)
        moves.add((left + right) // 2)
    assert {44, 64} <= sides
    assert max(moves) - min(moves) > 25


def test_a_tiny_object_is_seen_from_32_pixels_and_next_to_nothing_from_afar() -> None:
    left, top, right, bottom = around(square(4, 60, 60), np.random.default_rng(0))
    assert (right - left, bottom - top) == (32, 32)
    nothing = around(square(2, 60, 60), np.random.default_rng(3))
    assert (nothing[2] - nothing[0]) * (nothing[3] - nothing[1]) > 0.5 * 128**2


def test_a_view_of_the_boundary_has_the_boundary_in_its_middle() -> None:
    mask = square(64, 30, 32)
    for seed in range(100):
        left, top, right, bottom = on_boundary(mask, np.random.default_rng(seed))
        assert 0 <= left < right <= 128
        assert 0 <= top < bottom <= 128
        assert 128 / 3.9 - 1 <= right - left <= 128 / 1.5
        part = mask[top:bottom, left:right]
        assert part.any()
        assert not part.all()
    whole = on_boundary(np.ones((64, 64), np.bool_), np.random.default_rng(0))
    assert whole[2] > whole[0]


def test_small_objects_are_seen_whole_and_larger_ones_mostly() -> None:
    small, large = square(59, 30, 30), square(61, 30, 30)
    whole = 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        assert random_region(small, np.random.default_rng(seed)) == around(small, chance)
        chance = np.random.default_rng(seed)
        chance.random()
        whole += random_region(large, np.random.default_rng(seed)) == around(large, chance)
    assert whole / 300 == pytest.approx(0.6, abs=0.09)


def test_a_trimap_is_where_a_coarse_mask_is_wrong() -> None:
    aligned = trimap(square(64, 32, 32))
    assert not aligned[60:70, 60:70].any()
    assert not aligned[:20].any()
    thin = np.zeros((128, 128), np.bool_)
    thin[64, 20:100] = True
    found = trimap(thin)
    assert found[64, 20:100].all()
    assert found[62:67, 50].all()
    assert not found[61, 50]


def test_a_sample_seen_closely() -> None:
    generator = np.random.default_rng(5)
    image = generator.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    labels = square(70, 20, 30)[:96].astype(np.int8)
    labels[:, 120:] = -1
    seen = focus(image, labels, np.random.default_rng(1))
    again = focus(image, labels, np.random.default_rng(1))
    assert seen.region == again.region
    np.testing.assert_array_equal(seen.image, again.image)
    assert (seen.image.shape, seen.image.dtype) == ((96, 128, 3), np.uint8)
    assert (seen.labels.shape, seen.labels.dtype) == ((96, 128), np.int8)
    assert seen.trimap.shape == (96, 128)
    left, top, right, bottom = seen.region
    share = (labels[top:bottom, left:right] == 1).mean()
    assert (seen.labels == 1).mean() == pytest.approx(share, abs=0.02)
    unknown = (labels[top:bottom, left:right] == -1).mean()
    assert (seen.labels == -1).mean() == pytest.approx(unknown, abs=0.02)
    whole = [focus(image, labels, np.random.default_rng(seed)) for seed in range(30)]
    assert any((one.labels == -1).any() for one in whole)
    assert all(set(np.unique(one.labels)) <= {-1, 0, 1} for one in whole)


def test_specks_are_removed_and_other_labels_stay() -> None:
    labels = square(20, 10, 10).astype(np.int8)
    labels[60:70, 60:70] = 1
    labels[70, 70] = 1
    labels[100:] = -1
    cleaned = without_specks(labels)
    expected = labels.copy()
    expected[60:71, 60:71] = 0
    np.testing.assert_array_equal(cleaned, expected)
    touching = np.zeros((64, 64), np.int8)
    touching[:10, :10] = touching[10:25, 10:30] = 1
    assert without_specks(touching).sum() == 300


def test_points_move_with_the_view() -> None:
    points = torch.tensor([[[20.0, 30.0, 4.0], [-1, -1, -1], [70, 40, 0], [-1, -1, -1]]])
    regions = torch.tensor([[10, 0, 60, 50]])
    seen = into_view(points, regions, (100, 200))
    assert seen[0, 0].tolist() == [40, 80, 4]
    assert seen[0, 2].tolist() == [140, 120, 0]
    assert (seen[0, [1, 3], :2].amax(dim=1) < 0).all()
    assert (seen[0, [1, 3], 2] < 0).all()
