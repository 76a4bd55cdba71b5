from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.training.data.copy_paste import CopyPaste
from backend.training.data.source import IGNORE, Annotated, Kind
from tests.backend.training.data.pictures import annotated, layer_of, scene

PLAIN = CopyPaste(p=1, smallest=100, recolour=(), blend=(0.3, 0.3))


def donor() -> Annotated:
    """One disc in the middle, in the colour of id 3."""
    picture = scene(objects=2, seed=4)
    layer = np.where(picture.layers[0] == 1, 3, 0).astype(np.int32)
    return annotated(layer)


def host() -> Annotated:
    return annotated(layer_of((120, 160), (20, 20, 100, 140)), layer_of((120, 160), (0, 0, 60, 60)))


@pytest.mark.parametrize("seed", range(15))
def test_the_pasted_object_is_seen_and_known(seed: int) -> None:
    before = host()
    after = PLAIN.paste(before, donor(), np.random.default_rng(seed))
    assert len(after.objects) == 3
    new = after.mask(2)
    assert new.any()
    colour = after.image[new].astype(int)
    assert (np.abs(colour - (60, 60, 220)).max(axis=1) <= 2).mean() > 0.8
    np.testing.assert_array_equal(after.image[~new], before.image[~new])
    for index in (0, 1):
        np.testing.assert_array_equal(after.mask(index), before.mask(index) & ~new)
    np.testing.assert_array_equal(before.image, host().image)
    np.testing.assert_array_equal(before.layers[0], host().layers[0])


def test_places_and_sizes_vary_within_their_shares() -> None:
    boxes = []
    for seed in range(200):
        mask = replace(PLAIN, share=(0.1, 0.4)).paste(
            annotated(np.zeros((300, 400), np.int32)), donor(), np.random.default_rng(seed)
        )
        rows, columns = np.nonzero(mask.mask(0))
        boxes.append((np.ptp(columns) + 1, rows.mean(), columns.mean()))
    widths, rows, columns = np.array(boxes).T
    largest = 1.5 * (np.ptp(np.nonzero(donor().mask(0))[1]) + 1)
    assert widths.max() == pytest.approx(largest, abs=1), "enlarged 1.5 times at most"
    assert 40 < np.median(widths) < largest
    assert rows.min() < 30 and rows.max() > 270 and columns.min() < 40 and columns.max() > 360


def test_edges_are_blended_inside_the_object() -> None:
    after = replace(PLAIN, blend=(1.5, 1.5)).paste(host(), donor(), np.random.default_rng(3))
    new = after.mask(2)
    distance = np.abs(after.image[new].astype(int) - (60, 60, 220)).max(axis=1)
    assert 0.02 < (distance > 20).mean() < 0.6


def test_objects_that_are_cut_off_or_small_are_not_taken() -> None:
    touching = annotated(layer_of((120, 160), (0, 20, 50, 60)))
    small = annotated(layer_of((120, 160), (30, 30, 35, 35)))
    nothing = annotated(layer_of((120, 160)))
    before = host()
    for other in (touching, small, nothing):
        assert PLAIN.paste(before, other, np.random.default_rng(0)) is before


def test_stuff_is_not_taken() -> None:
    grass = donor()
    grass = replace(grass, objects=tuple(replace(ref, stuff=True) for ref in grass.objects))
    before = host()
    assert PLAIN.paste(before, grass, np.random.default_rng(0)) is before


def test_a_thing_on_parts_is_no_part() -> None:
    parts = replace(host(), kind=Kind.PARTS)
    assert PLAIN.paste(parts, donor(), np.random.default_rng(0)).kind is Kind.INSTANCES
    regions = replace(host(), kind=Kind.REGIONS)
    assert PLAIN.paste(regions, donor(), np.random.default_rng(0)).kind is Kind.REGIONS


def test_a_host_of_which_nothing_is_known() -> None:
    unknown = annotated(np.full((120, 160), IGNORE, np.int32))
    after = PLAIN.paste(unknown, donor(), np.random.default_rng(0))
    assert [ref.id for ref in after.objects] == [1] and after.mask(0).any()
    np.testing.assert_array_equal(after.ignored(), ~after.mask(0))


def test_recolouring_changes_the_object_alone() -> None:
    before = host()
    after = replace(CopyPaste(p=1), smallest=100).paste(before, donor(), np.random.default_rng(8))
    new = after.mask(2)
    np.testing.assert_array_equal(after.image[~new], before.image[~new])
