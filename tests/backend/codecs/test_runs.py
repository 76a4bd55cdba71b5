"""Run lengths of a picture from the crop alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from backend.codecs.runs import from_run_lengths, picture_runs, run_lengths
from backend.masks import Mask

pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()
)


@given(pictures)
def test_runs_give_the_array_back(array: np.ndarray) -> None:
    runs = run_lengths(array.ravel())
    assert (runs[1:] > 0).all()
    np.testing.assert_array_equal(from_run_lengths(runs), array.ravel())


@given(pictures)
def test_runs_of_the_crop_are_those_of_the_picture(array: np.ndarray) -> None:
    assert picture_runs(Mask.of(array)).tolist() == run_lengths(array.ravel()).tolist()
