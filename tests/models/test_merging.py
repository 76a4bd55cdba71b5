"""Answers that follow a given mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.merging import following
from models.segmenter import Result

SIZE = (6, 9)
MASKS = arrays(np.bool_, SIZE)


def result(values: npt.NDArray[np.float32], corner: tuple[int, int], threshold: float) -> Result:
    top, left = corner
    height, width = values.shape
    return Result(SIZE, (left, top, left + width, top + height), values, threshold=threshold)


@given(
    MASKS,
    arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    st.tuples(st.integers(0, 3), st.integers(0, 5)),
    st.sampled_from([0.25, 0.5]),
)
def test_mask_is_the_given_one_and_agreeing_values_stay(
    mask: Any, values: Any, corner: tuple[int, int], threshold: float
) -> None:
    before = result(values, corner, threshold)
    after = following(before, mask)
    assert np.array_equal(after.mask, mask)
    agreed = before.mask == mask
    assert np.array_equal(after.probability[agreed], before.probability[agreed])
    assert set(np.unique(after.probability[~agreed])) <= {0.0, 1.0}


@given(MASKS)
def test_nothing_found_becomes_the_mask_itself(mask: Any) -> None:
    after = following(Result.empty(SIZE), mask)
    assert np.array_equal(after.probability, mask.astype(np.float32))
    left, top, right, bottom = after.region
    assert after.values.shape == (bottom - top, right - left)
    if mask.any():
        assert mask[top].any() and mask[bottom - 1].any()
        assert mask[:, left].any() and mask[:, right - 1].any()


def test_region_grows_to_hold_the_mask() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[5, 8] = True
    after = following(result(np.full((2, 2), 0.25, np.float32), (1, 1), 0.5), mask)
    assert after.region == (1, 1, 9, 6)
    assert after.probability[1, 1] == 0.25
