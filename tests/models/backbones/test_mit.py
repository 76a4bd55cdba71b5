"""MiT: grids, the two entries of the second picture, weights of attention, stochastic depth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.backbones.mit import (
    MIT_B0,
    MIT_B3,
    Attention,
    Block,
    DropPath,
    Grid,
    MitShape,
    MixTransformer,
    SideEntry,
    as_map,
    as_tokens,
)

TINY = MitShape((8, 8, 10, 16), (1, 1, 2, 1), heads=(1, 2, 5, 8))


def tiny(entry: SideEntry = SideEntry.SECOND_EMBEDDING) -> MixTransformer:
    torch.manual_seed(0)
    return MixTransformer(TINY, 3, entry).eval()


def picture(seed: int = 0, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_maps_of_a_picture_that_is_not_square() -> None:
    maps = tiny()(picture()).maps
    assert [tuple(one.shape) for one in maps] == [
        (2, 8, 16, 24),
        (2, 8, 8, 12),
        (2, 10, 4, 6),
        (2, 16, 2, 3),
    ]


@pytest.mark.parametrize(
    "shape,numbers", [(MIT_B0, 3_319_392), (MIT_B3, 44_072_128)], ids=["b0", "b3"]
)
def test_number_of_parameters(shape: MitShape, numbers: int) -> None:
    with torch.device("meta"):
        backbone = MixTransformer(shape)
    assert sum(tensor.numel() for tensor in backbone.parameters()) == numbers


def test_norms_have_the_original_epsilons() -> None:
    backbone = tiny()
    found = {
        name: module.eps
        for name, module in backbone.named_modules()
        if isinstance(module, torch.nn.LayerNorm)
    }
    small = {name for name, eps in found.items() if eps == 1e-6}
    assert small == {name for name in found if "patch_embed" not in name and ".attn." not in name}
    assert {found[name] for name in found.keys() - small} == {1e-5}


def test_second_picture_reaches_stage_one_only_where_it_enters_before_its_blocks() -> None:
    for entry, reached in [(SideEntry.FIRST_BLOCKS, True), (SideEntry.SECOND_EMBEDDING, False)]:
        backbone = tiny(entry)
        with torch.inference_mode():
            without, given = (backbone(picture(), side).maps for side in (None, picture(1)))
        assert torch.equal(without[0], given[0]) is not reached
        assert not any(torch.allclose(a, b) for a, b in zip(without[1:], given[1:], strict=True))


def test_kept_attention_gives_the_same_maps_and_rows_that_sum_to_one() -> None:
    backbone = tiny()
    with torch.inference_mode():
        fused, kept = backbone(picture()), backbone(picture(), keep=(2, 3))
    assert not fused.attention
    shapes = {stage: [tuple(m.shape) for m in found] for stage, found in kept.attention.items()}
    assert shapes == {2: [(2, 2, 96, 6)], 3: [(2, 5, 24, 6)] * 2}
    for found in kept.attention.values():
        for matrix in found:
            torch.testing.assert_close(matrix.sum(dim=3), torch.ones(matrix.shape[:3]))
    for a, b in zip(fused.maps, kept.maps, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_weights_multiply_rows_of_the_attention_matrix() -> None:
    torch.manual_seed(1)
    attention, grid = Attention(8, 2, 2).eval(), Grid(4, 6)
    tokens, weights = torch.randn(2, 24, 8), torch.rand(2, 24, 1)
    plain: list[Tensor] = []
    weighted: list[Tensor] = []
    with torch.inference_mode():
        attention(tokens, grid, kept=plain)
        explicit = attention(tokens, grid, weights, weighted)
        fused = attention(tokens, grid, weights)
    torch.testing.assert_close(weighted[0], plain[0] * weights[:, None])
    torch.testing.assert_close(fused, explicit, atol=1e-6, rtol=1e-5)


def test_weigher_sees_each_stage_before_its_blocks() -> None:
    seen: list[tuple[int, tuple[int, ...], Grid]] = []

    def weigh(stage: int, tokens: Tensor, grid: Grid) -> Tensor | None:
        seen.append((stage, tuple(tokens.shape), grid))
        return torch.zeros(2, tokens.shape[1], 1) if stage == 4 else None

    backbone = tiny()
    with torch.inference_mode():
        maps, plain = backbone(picture(), weigh=weigh).maps, backbone(picture()).maps
    assert seen == [
        (1, (2, 384, 8), Grid(16, 24)),
        (2, (2, 96, 8), Grid(8, 12)),
        (3, (2, 24, 10), Grid(4, 6)),
        (4, (2, 6, 16), Grid(2, 3)),
    ]
    assert [torch.equal(a, b) for a, b in zip(maps, plain, strict=True)] == [True] * 3 + [False]


def test_drop_path_leaves_out_whole_samples_in_training_alone() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 3)
    assert torch.equal(drop.eval()(x), x)
    y = drop.train()(x).flatten(1)
    assert torch.equal(y.amin(dim=1), y.amax(dim=1))
    assert sorted(set(y[:, 0].tolist())) == pytest.approx([0, 1 / 0.75])
    assert float(y.mean()) == pytest.approx(1, abs=0.05)


def test_drop_path_grows_linearly_from_block_to_block() -> None:
    rates = [module.drop_path.rate for module in tiny().modules() if isinstance(module, Block)]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])


def test_gradients_reach_every_parameter_also_through_kept_attention() -> None:
    backbone = tiny(SideEntry.FIRST_BLOCKS).train()
    stages = backbone(picture(), picture(1), keep=(1, 2, 3, 4))
    total = sum((one**2).sum() for one in stages.maps)
    total = total + sum((m**2).sum() for found in stages.attention.values() for m in found)
    torch.as_tensor(total).backward()
    assert all(tensor.grad is not None for tensor in backbone.parameters())


def test_tokens_and_maps_share_their_memory() -> None:
    tokens = torch.randn(2, 24, 5)
    seen = as_map(tokens, Grid(4, 6))
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert seen.data_ptr() == as_tokens(seen).data_ptr() == tokens.data_ptr()
    assert torch.equal(as_tokens(seen), tokens)
