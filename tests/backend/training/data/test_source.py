from __future__ import annotations

import numpy as np

from backend.training.data.source import IGNORE, Annotated, Kind, ObjectRef, pixels_of_ids
from tests.backend.training.data.pictures import Listed, annotated, layer_of, scene


def two_layers() -> Annotated:
    """A whole (1) with ignored pixels beside it, and a part (1 of the second layer) on it."""
    whole = layer_of((20, 30), (2, 2, 12, 22))
    whole[15:18, :] = IGNORE
    part = layer_of((20, 30), (4, 4, 8, 10), (16, 0, 18, 5))
    return annotated(whole, part)


def test_masks_and_areas_are_those_of_the_object_s_own_layer() -> None:
    picture = two_layers()
    assert [(ref.layer, ref.id) for ref in picture.objects] == [(0, 1), (1, 1), (1, 2)]
    assert picture.areas().tolist() == [200, 24, 10]
    assert [int(picture.mask(index).sum()) for index in range(3)] == [200, 24, 10]
    assert int(picture.union((0, 2)).sum()) == 210
    assert not picture.union(()).any()


def test_a_pixel_of_some_object_is_not_ignored() -> None:
    picture = two_layers()
    ignored = picture.ignored()
    assert int(ignored.sum()) == 3 * 30 - 10
    assert not (ignored & picture.mask(2)).any()


def test_background_is_what_no_layer_knows_anything_about() -> None:
    picture = two_layers()
    background = picture.background()
    together = picture.union(range(3)) | picture.ignored()
    np.testing.assert_array_equal(background, ~together)


def test_areas_of_ids_beyond_a_byte() -> None:
    layer = layer_of((10, 10), (0, 0, 5, 10))
    layer[layer == 1] = 70_000
    layer[9] = IGNORE
    picture = Annotated(
        np.zeros((10, 10, 3), np.uint8),
        (layer,),
        (ObjectRef(0, 70_000), ObjectRef(0, 80_000)),
        Kind.INSTANCES,
        "s",
    )
    assert picture.areas().tolist() == [50, 0]
    assert pixels_of_ids(layer)[70_000] == 50


def test_counting_bytes_agrees_with_counting_integers() -> None:
    layer = np.random.default_rng(0).integers(-1, 255, (40, 50)).astype(np.int32)
    counts = pixels_of_ids(layer)
    for id_ in range(255):
        assert counts[id_] == np.count_nonzero(layer == id_)


def test_every_picture_is_as_likely_as_another() -> None:
    source = Listed([scene(seed=seed) for seed in range(4)])
    rng = np.random.default_rng(5)
    counts = np.bincount([source.draw(rng) for _ in range(4000)], minlength=4)
    assert (np.abs(counts - 1000) < 120).all()
