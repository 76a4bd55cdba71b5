"""The plain vision transformer: windows, positions of other sizes, blocks that see everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from models.backbones.vit import PlainVit, VitShape, into_windows, out_of_windows

TINY = VitShape(patch=32, dim=16, depth=4, heads=2, side=448)
"""Windows of 7 x 7 tokens."""


def network(shape: VitShape = TINY) -> PlainVit:
    torch.manual_seed(0)
    return PlainVit(shape).eval()


@pytest.mark.parametrize(
    "shape, window, every, grid",
    [
        (VitShape(), 14, 6, 28),
        (VitShape(dim=1024, depth=24, heads=16), 14, 6, 28),
        (VitShape(patch=14, dim=1280, depth=32, heads=16), 16, 8, 32),
        (VitShape(dim=160, depth=8, heads=4), 14, 2, 28),
        (VitShape(dim=160, depth=2, heads=4), 14, 1, 28),
    ],
)
def test_windows_and_global_blocks(shape: VitShape, window: int, every: int, grid: int) -> None:
    assert (shape.window, shape.every, shape.grid) == (window, every, grid)


@pytest.mark.parametrize("change", [{"patch": 15}, {"side": 450}, {"heads": 5}, {"depth": 0}])
def test_impossible_sizes_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a ViT"):
        replace(VitShape(), **change)


def test_windows_are_tiles_of_the_grid() -> None:
    tokens = torch.arange(2 * 4 * 6 * 3).view(2, 24, 3)
    tiles = into_windows(tokens, (4, 6), 2)
    assert tiles.shape == (2 * 6, 4, 3)
    field = tokens.view(2, 4, 6, 3)
    assert torch.equal(tiles[7], field[1, 0:2, 2:4].reshape(4, 3))
    assert torch.equal(out_of_windows(tiles, (4, 6), 2), tokens)


def changed_tokens(vit: PlainVit, blocks: int) -> set[tuple[int, int]]:
    """The tokens, in a grid of 14 x 14, that the first few blocks let depend on the first one."""
    vit.blocks = vit.blocks[:blocks]
    tokens = torch.randn(1, 196, 16, generator=torch.Generator().manual_seed(1))
    other = tokens.clone()
    other[0, 0, 0] += 9
    with torch.inference_mode():
        difference = vit.attended(tokens, (14, 14)) - vit.attended(other, (14, 14))
    rows, columns = (difference.abs().amax(dim=2).view(14, 14) > 0).nonzero().unbind(1)
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_blocks_stay_within_windows_until_a_global_one() -> None:
    deep = replace(TINY, depth=12)
    within = {(row, column) for row in range(7) for column in range(7)}
    assert changed_tokens(network(deep), 5) == within
    assert len(changed_tokens(network(deep), 6)) > 2 * len(within)


def test_positions_are_a_pure_function_of_the_grid() -> None:
    vit = network()
    stored = vit.pos_embed.detach().clone()
    wide = vit.positions((7, 21))
    assert wide.shape == (1, 1 + 147, 16)
    assert torch.equal(wide[:, :1], stored[:, :1])
    field = stored[:, 1:].transpose(1, 2).reshape(1, 16, 14, 14)
    wanted = functional.interpolate(field, (7, 21), mode="bicubic", align_corners=False)
    assert torch.equal(wide[:, 1:].transpose(1, 2).reshape(1, 16, 7, 21), wanted)
    assert torch.equal(vit.positions((14, 14)), stored)
    assert torch.equal(vit.positions((7, 21)), wide)


def test_a_size_leaves_no_trace() -> None:
    vit = network()
    image = torch.rand(1, 3, 448, 448)
    with torch.inference_mode():
        before = vit(image)
        assert vit(torch.rand(2, 3, 224, 672)).shape == (2, 16, 7, 21)
        assert torch.equal(vit(image), before)


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    vit = network()
    images, extra = torch.rand(3, 3, 448, 224), torch.rand(3, 98, 16)
    with torch.inference_mode():
        together = vit(images, extra)
        alone = torch.cat([vit(images[i : i + 1], extra[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_what_is_added_to_the_tokens_counts() -> None:
    vit = network()
    image = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(vit(image), vit(image, torch.zeros(1, 49, 16)))
        assert not torch.equal(vit(image), vit(image, torch.ones(1, 49, 16)))


@pytest.mark.parametrize("size", [(224, 225), (100, 224), (0, 224)])
def test_sides_are_multiples_of_a_window(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 224"):
        network()(torch.zeros(1, 3, *size))


def test_the_classifier_of_pre_training_has_no_gradient() -> None:
    vit = network()
    vit(torch.rand(1, 3, 224, 224)).square().sum().backward()
    without = {name for name, parameter in vit.named_parameters() if parameter.grad is None}
    names = {"cls_token", "fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    assert without == names
