"""Crops: picture and mask move together, and look where they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.training.crops import Chosen, CropDraw, choose, cut, pasted
from backend.training.data.source import Annotated, Image, Kind, Layer, ObjectRef
from backend.training.resident import Mixture, ResidentPictures

SIDE = 64
SIZE = (50, 80)
STILL = CropDraw(turn=0, flip=0, upside_down=0, merges=0, unions=0)


def pictures(kind: Kind = Kind.INSTANCES, count: int = 4) -> ResidentPictures:
    """Objects are red, everything else is blue; three of them on each picture."""
    made = []
    for number in range(count):
        layer: Layer = np.zeros(SIZE, np.int32)
        layer[5:25, 10 + number : 30 + number] = 1
        layer[30:45, 50:75] = 2
        layer[10:14, 60:64] = 3
        image: Image = np.zeros((*SIZE, 3), np.uint8)
        image[..., 2] = 255
        image[layer > 0] = (255, 0, 0)
        objects = tuple(ObjectRef(0, index) for index in (1, 2, 3))
        made.append(Annotated(image, (layer,), objects, kind, "red"))
    return ResidentPictures.of(made, count, 90)


HERE = pictures()
WEIGHTS = Mixture({}).weights(HERE)


def drawn(draw: CropDraw, count: int = 64, seed: int = 0) -> tuple[Chosen, Tensor, Tensor]:
    chosen = choose(HERE, WEIGHTS, count, draw, np.random.default_rng(seed))
    return (chosen, *cut(HERE, chosen, SIDE))


@pytest.mark.parametrize(
    "draw", [STILL, CropDraw(turn=1, upside_down=0.5)], ids=["upright", "turned"]
)
def test_picture_and_target_move_together(draw: CropDraw) -> None:
    _, images, targets = drawn(draw)
    red = images[:, :1] - images[:, 2:]
    assert (targets == 1).flatten(1).any(dim=1).float().mean() > 0.95
    # Half a pixel of doubt at the edges, where red meets blue.
    certain = red.abs() > 0.9
    assert (red[(targets == 1) & certain] > 0).all()
    assert (targets == 1).sum() > 0


def test_a_crop_of_the_whole_picture_shows_all_of_it() -> None:
    chosen, images, targets = drawn(CropDraw(whole=1, turn=0, flip=0, upside_down=0, merges=0))
    assert (targets >= 0).all()
    share = (images[:, 0] > 0.5).float().mean(dim=(1, 2))
    wanted = (20 * 20 + 15 * 25 + 16) / (SIZE[0] * SIZE[1])
    assert share == pytest.approx(np.full(len(share), wanted), abs=0.02)
    assert chosen.table.sum(axis=1).tolist() == [1] * len(share)


def test_a_close_crop_holds_most_of_the_object() -> None:
    _, _, targets = drawn(CropDraw(whole=0, zoom=(1.2, 1.5), turn=0, least=4, merges=0))
    share = (targets == 1).float().mean(dim=(1, 2, 3))
    assert float(share.median()) > 0.3
    assert float(share.min()) > 0.02


def test_what_lies_beyond_the_picture_is_unknown() -> None:
    chosen, _, _ = drawn(STILL, 1)
    matrix = np.array([[[SIZE[1], 0, SIZE[1] / 2], [0, SIZE[0] * 1.0, SIZE[0] / 2]]])
    _, targets = cut(HERE, Chosen(chosen.picture, chosen.table, matrix), SIDE)
    middle = slice(SIDE // 4 + 1, SIDE - SIDE // 4 - 1)
    known = targets[0, 0] >= 0
    assert known[middle, middle].all()
    assert not known[: SIDE // 4 - 1].any()
    assert not known[:, : SIDE // 4 - 1].any()


def test_parts_make_unions() -> None:
    parts = pictures(Kind.PARTS)
    draw = CropDraw(unions=1.0)
    chosen = choose(parts, WEIGHTS, 200, draw, np.random.default_rng(1))
    counts = chosen.table.sum(axis=1)
    assert set(counts.tolist()) == {2, 3}
    never = choose(parts, WEIGHTS, 50, CropDraw(unions=0), np.random.default_rng(1))
    assert never.table.sum(axis=1).max() == 1


def test_equal_seeds_draw_equal_crops() -> None:
    first, second, other = (drawn(CropDraw(), seed=seed)[1:] for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])


def test_pasting_keeps_picture_and_target_together() -> None:
    _, images, targets = drawn(STILL, 32)
    rng = np.random.default_rng(0)
    mixed, aims = pasted(images, targets, 1.0, rng)
    changed = (mixed != images).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.2
    red = mixed[:, 0] - mixed[:, 2]
    assert (red[(aims[:, 0] == 1) & (red.abs() > 0.9)] > 0).all()
    assert (aims == 1).flatten(1).any(dim=1).sum() >= (targets == 1).flatten(1).any(dim=1).sum() - 1


def test_pasting_nothing_changes_nothing() -> None:
    _, images, targets = drawn(STILL, 8)
    same = pasted(images, targets, 0.0, np.random.default_rng(0))
    assert torch.equal(same[0], images)
    assert torch.equal(same[1], targets)
