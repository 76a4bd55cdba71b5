"""Pictures on the training device: what is kept of them, and how often each object is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from backend.training.data.source import Annotated, Image, Kind, Layer, ObjectRef
from backend.training.resident import IGNORE, Mixture, ResidentPictures

LONGEST = 66


def picture(layers: tuple[Layer, ...], kind: Kind = Kind.INSTANCES, source: str = "a") -> Annotated:
    image: Image = np.random.default_rng(0).integers(0, 256, (*layers[0].shape, 3)).astype(np.uint8)
    objects = tuple(
        ObjectRef(number, int(index))
        for number, layer in enumerate(layers)
        for index in np.unique(layer)
        if index > 0
    )
    return Annotated(image, layers, objects, kind, source)


def kept_of(pictures: list[Annotated]) -> ResidentPictures:
    return ResidentPictures.of(pictures, len(pictures), LONGEST)


def plain(size: tuple[int, int] = (40, 60)) -> Layer:
    layer: Layer = np.zeros(size, np.int32)
    layer[5:15, 10:30] = 7
    layer[20:30, 40:50] = 3
    layer[35:, :] = -1
    return layer


def test_pictures_lie_in_the_corner_and_around_them_nothing_is_known() -> None:
    one = picture((plain(),))
    kept = kept_of([one])
    assert kept.images.shape == (1, 3, LONGEST, LONGEST)
    assert np.array_equal(kept.images[0, :, 1:41, 1:61].permute(1, 2, 0).numpy(), one.image)
    mask = kept.masks[0].numpy()
    for rim in (mask[0], mask[:, 0], mask[41:], mask[:, 61:]):
        assert (rim == IGNORE).all()
    assert (mask[36:41, 1:61] == IGNORE).all()
    assert kept.sizes.tolist() == [[40, 60]]


def test_the_table_has_every_object_with_its_box() -> None:
    table = kept_of([picture((plain(),)), picture((plain(),))]).objects
    assert len(table) == 4
    boxes = set(zip(table.left, table.top, table.right, table.bottom, table.area, strict=True))
    assert boxes == {(10, 5, 30, 15, 200), (40, 20, 50, 30, 100)}
    assert table.picture.tolist() == [0, 0, 1, 1]


def test_every_picture_knows_its_objects() -> None:
    kept = kept_of([picture((plain(),)), picture((plain(),))])
    assert [rows.tolist() for rows in kept.on_picture] == [[0, 1], [2, 3]]


def test_of_overlapping_objects_the_smaller_keeps_its_pixels() -> None:
    large: Layer = np.zeros((40, 60), np.int32)
    large[:30, :40] = 1
    small: Layer = np.zeros((40, 60), np.int32)
    small[10:14, 10:14] = 1
    kept = kept_of([picture((small, large))])
    assert sorted(kept.objects.area.tolist()) == [16, 30 * 40 - 16]


def test_a_large_picture_is_reduced() -> None:
    layer: Layer = np.zeros((128, 256), np.int32)
    layer[32:96, 64:128] = 1
    kept = kept_of([picture((layer,))])
    assert kept.sizes.tolist() == [[32, 64]]
    assert kept.objects.area.tolist() == [16 * 16]


def test_without_objects_there_is_nothing_to_train_on() -> None:
    empty: Layer = np.zeros((40, 60), np.int32)
    with pytest.raises(ValueError, match="not one"):
        kept_of([picture((empty,))])


def test_a_source_of_many_objects_does_not_drown_the_others() -> None:
    crowd: Layer = np.zeros((60, 60), np.int32)
    for index in range(100):
        row, column = divmod(index, 10)
        crowd[6 * row : 6 * row + 4, 6 * column : 6 * column + 4] = index + 1
    single: Layer = np.zeros((60, 60), np.int32)
    single[:4, :4] = 1
    kept = kept_of([picture((crowd,), source="crowd"), picture((single,), source="single")])
    weights = Mixture({"instances": 1.0}, area_power=0).weights(kept)
    assert weights.sum() == pytest.approx(1)
    # A hundred against one: their square roots, ten to one.
    assert weights[:100].sum() / weights[100] == pytest.approx(10)


def test_kinds_weigh_as_told_and_large_objects_more() -> None:
    pictures = [
        picture((plain(),), source="a"),
        picture((plain(),), kind=Kind.PARTS, source="b"),
    ]
    weights = Mixture({"parts": 0.25}, area_power=0.5).weights(kept_of(pictures))
    assert weights[2:].sum() / weights[:2].sum() == pytest.approx(0.25)
    assert weights.max() / weights[:2].min() == pytest.approx(np.sqrt(2))
