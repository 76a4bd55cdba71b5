from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as pycocotools_mask

from backend.training.data.instances import (
    SMALLER,
    WITHIN,
    Instance,
    decoded,
    drawn,
    layered,
    overlaps,
)
from backend.training.data.source import Annotated, Kind

SIZE = (36, 50)

corner = st.tuples(st.floats(-10, 60), st.floats(-10, 46))
polygons = st.lists(st.lists(corner, min_size=3, max_size=7), min_size=1, max_size=3)
flags = st.tuples(st.booleans(), st.booleans())


def outline(points: list[list[tuple[float, float]]]) -> list[list[float]]:
    return [[value for point in polygon for value in point] for polygon in points]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(polygons)
def test_polygons_are_pycocotools_own(points: list[list[tuple[float, float]]]) -> None:
    rle = drawn(outline(points), SIZE, "a")
    pieces = pycocotools_mask.frPyObjects(outline(points), *SIZE)
    expected = pycocotools_mask.decode(pycocotools_mask.merge(pieces))
    assert rle is not None
    np.testing.assert_array_equal(decoded(rle), expected.astype(bool))


@given(st.lists(st.tuples(polygons, flags), max_size=8), st.booleans())
def test_every_instance_keeps_its_mask_whatever_overlaps(
    described: list[tuple[list[list[tuple[float, float]]], tuple[bool, bool]]], hierarchy: bool
) -> None:
    instances = []
    for points, (crowd, stuff) in described:
        rle = drawn(outline(points), SIZE, "a")
        assert rle is not None
        instances.append(Instance(rle, crowd, stuff))
    layers, objects = layered(instances, SIZE, hierarchy=hierarchy)
    image = np.zeros((*SIZE, 3), np.uint8)
    picture = Annotated(image, layers, objects, Kind.INSTANCES, "s")
    masks = [decoded(one.rle) for one in instances if not one.crowd and decoded(one.rle).any()]
    assert len(objects) == len(masks) and all(layer.dtype == np.int32 for layer in layers)
    assert all(layer.flags.c_contiguous for layer in layers)
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(picture.mask(index), mask)
    known = np.logical_or.reduce([np.zeros(SIZE, bool), *masks])
    crowds = [decoded(one.rle) for one in instances if one.crowd]
    crowd = np.logical_or.reduce([np.zeros(SIZE, bool), *crowds])
    np.testing.assert_array_equal(picture.ignored(), crowd & ~known)
    check_family(picture, masks, hierarchy)


def check_family(picture: Annotated, masks: list[np.ndarray], hierarchy: bool) -> None:
    for index, object_ in enumerate(picture.objects):
        for child in object_.children:
            assert picture.objects[child].parent == index
        if object_.parent is None:
            continue
        assert hierarchy and not object_.stuff
        whole = masks[object_.parent]
        assert (masks[index] & whole).sum() >= WITHIN * masks[index].sum() - 1e-9
        assert masks[index].sum() <= SMALLER * whole.sum()
        assert index in picture.objects[object_.parent].children
    for index in range(len(picture.objects)):
        seen, above = {index}, picture.objects[index].parent
        while above is not None:
            assert above not in seen, "nobody is their own ancestor"
            seen.add(above)
            above = picture.objects[above].parent


def test_two_outlines_of_one_thing_are_no_parts_of_each_other() -> None:
    boxes = ([5, 5, 25, 5, 25, 25, 5, 25], [5, 5, 25, 5, 25, 24, 5, 24])
    rles = [drawn([box], SIZE, "a") for box in boxes]
    instances = [Instance(rle) for rle in rles if rle is not None]
    _, objects = layered(instances, SIZE, hierarchy=True)
    assert [(ref.layer, ref.parent) for ref in objects] == [(0, None), (1, None)]
    iou = overlaps([instances[0].rle], [instances[1].rle])
    assert 0.9 < iou[0, 0] < 1


def test_nothing_is_one_empty_layer() -> None:
    layers, objects = layered([], SIZE)
    assert len(layers) == 1 and not layers[0].any() and objects == ()
    assert overlaps([], []).shape == (0, 0)
