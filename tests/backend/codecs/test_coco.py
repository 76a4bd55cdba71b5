"""COCO's run lengths, checked by pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as pycocotools_mask

from backend.codecs import coco
from backend.errors import InvalidRequest
from backend.masks import Mask

pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()
)


def uncompressed(array: np.ndarray) -> list[int]:
    flat = array.ravel(order="F").tolist()
    counts, value = [0], False
    for pixel in flat:
        if pixel is not value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@given(pictures)
def test_pycocotools_reads_what_is_encoded(array: np.ndarray) -> None:
    rle = coco.encode(Mask.of(array))
    assert isinstance(rle["counts"], str)
    np.testing.assert_array_equal(pycocotools_mask.decode(rle), array)


@given(pictures)
def test_both_forms_are_decoded(array: np.ndarray) -> None:
    rle = coco.encode(Mask.of(array))
    np.testing.assert_array_equal(coco.decode(rle, array.shape).full, array)
    plain = {"size": list(array.shape), "counts": uncompressed(array)}
    np.testing.assert_array_equal(coco.decode(plain, array.shape).full, array)


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_long_runs_survive(height: int, width: int, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, height * width), max_size=8))
    counts = np.diff([0, *sorted(cuts), height * width]).tolist()
    rle = pycocotools_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    rle = {"size": [height, width], "counts": rle["counts"].decode("ascii")}
    assert coco.decode(rle, (height, width)).area == pycocotools_mask.area(rle)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {"size": [10, 10]},
        {"size": [10, 11], "counts": [110]},
        {"size": [10, 10], "counts": None},
        {"size": [10, 10], "counts": []},
        {"size": [10, 10], "counts": ""},
        {"size": [10, 10], "counts": [50]},
        {"size": [10, 10], "counts": [50, 51]},
        {"size": [10, 10], "counts": [-5, 105]},
        {"size": [10, 10], "counts": [5.0, 95.0]},
        {"size": [10, 10], "counts": [True, 99]},
        {"size": [10, 10], "counts": [1 << 70, 2]},
        {"size": [10, 10], "counts": [0] * 200 + [100]},
        {"size": [10, 10], "counts": "zzzzzz"},
        {"size": [10, 10], "counts": "é"},
        {"size": [10, 10], "counts": "P" * 20},
        {"size": [10, 10], "counts": "PPPPPPPPPPPPPPP0"},
        {"size": [10, 10], "counts": "0" * 50},
        {"size": [10, 10], "counts": "b1"},
    ],
)
def test_malformed_masks_are_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^outline ") as raised:
        coco.decode(value, (10, 10), field="outline")
    assert raised.value.field == "outline"


@given(st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=30))
def test_any_text_is_a_mask_or_an_error_of_ours(text: str) -> None:
    try:
        mask = coco.decode({"size": [7, 9], "counts": text}, (7, 9))
    except InvalidRequest:
        return
    assert mask.full.shape == (7, 9)
    again = coco.decode(coco.encode(mask), (7, 9))
    np.testing.assert_array_equal(again.full, mask.full)
