"""ClickAttention's network: similarity weights, and when they exist and matter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.backbones.mit import Grid
from models.clickattention_config import ClickAttentionConfig
from models.clickattention_network import (
    ClickAttentionNetwork,
    SimilarityWeights,
    patch_numbers,
)
from tests.models.clickattention_networks import calibrated, inputs

GRID = Grid(4, 6)


def module() -> SimilarityWeights:
    torch.manual_seed(0)
    return SimilarityWeights(8).eval()


def weigh(tokens: Tensor, clicked: list[list[int]]) -> tuple[Tensor, list[int]]:
    with torch.inference_mode():
        weights, count = module()(tokens, GRID, torch.tensor(clicked))
    return weights[..., 0], count.tolist()


def tokens(batch: int = 1) -> Tensor:
    return torch.randn(batch, 24, 8, generator=torch.Generator().manual_seed(3))


def test_patches_are_counted_row_by_row() -> None:
    points = torch.tensor([[[0, 0, 0], [9.5, 23, 1], [8, 16.0, 2], [-1, -1, -1]]])
    assert patch_numbers(points, 8, GRID)[0, :3].tolist() == [0, 8, 8]
    assert patch_numbers(points, 8, GRID)[0, 3] < 0


def test_fewer_than_two_clicks_weigh_nothing() -> None:
    weights, count = weigh(tokens(3), [[-7, -7], [5, -7], [5, 9]])
    assert count == [0, 1, 2]
    assert bool((weights[:2] == 1).all())
    assert 0 < float(weights[2].min()) < 0.4
    assert 0.6 < float(weights[2].max()) < 1


def test_two_clicks_in_one_patch_are_two() -> None:
    once, _ = weigh(tokens(), [[5, 9, -7]])
    twice, count = weigh(tokens(), [[5, 9, 9]])
    assert count == [3]
    assert not torch.allclose(once, twice)
    alone, _ = weigh(tokens(), [[9, 9]])
    assert bool((alone != 1).all())


def test_order_of_clicks_and_their_padding_mean_nothing() -> None:
    given, _ = weigh(tokens(), [[5, 9]])
    other, _ = weigh(tokens(), [[-1, 9, -99, 5, 24]])
    torch.testing.assert_close(given, other)


def test_weights_compare_the_patches_of_one_picture() -> None:
    weights, _ = weigh(tokens(), [[5, 9]])
    similarity = weights.logit()
    assert float(similarity.mean()) == pytest.approx(0, abs=1e-5)
    assert float(similarity.var(unbiased=False)) == pytest.approx(1, abs=1e-2)


def test_samples_do_not_see_each_other() -> None:
    both, _ = weigh(tokens(2), [[5, 9], [1, 2]])
    first, _ = weigh(tokens(2)[:1], [[5, 9]])
    torch.testing.assert_close(both[:1], first)


@torch.inference_mode()
def test_weights_change_the_logits_in_paper_mode_from_the_second_positive_click_on() -> None:
    network = calibrated()
    images, points = inputs()
    single = points.clone()
    single[:, 1] = -1
    logits = {}
    for mode in ("released", "paper"):
        network.mode = mode
        logits[mode] = [network(images, given).instances for given in (single, points)]
    network.mode = "released"
    assert torch.equal(logits["released"][0], logits["paper"][0])
    assert not torch.allclose(logits["released"][1], logits["paper"][1], atol=0.1)


@torch.inference_mode()
def test_what_losses_need_is_there_only_where_asked_for() -> None:
    network = calibrated()
    images, points = inputs()
    plain = network(images, points)
    assert not plain.weights and not plain.attention
    full = network(images, points, supervised=True)
    assert full.positives.tolist() == plain.positives.tolist() == [2] * 4
    assert {stage: tuple(map_.shape) for stage, map_ in full.weights.items()} == {
        2: (4, 1, 8, 8),
        3: (4, 1, 4, 4),
        4: (4, 1, 2, 2),
    }
    assert {stage: len(found) for stage, found in full.attention.items()} == {2: 2, 3: 2, 4: 2}
    torch.testing.assert_close(full.instances, plain.instances, atol=1e-4, rtol=1e-4)


def test_training_gives_them_by_itself_and_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = ClickAttentionNetwork(ClickAttentionConfig("b0"))
    output = network(*inputs(batch=2))
    total = output.instances.square().sum()
    for map_ in output.weights.values():
        total = total + map_.square().sum()
    total.backward()
    without = [name for name, tensor in network.named_parameters() if tensor.grad is None]
    assert without == []


def test_weight_modules_take_part_even_where_no_weight_is_made() -> None:
    """A process with such a batch alone must not leave gradients out that others wait for."""
    torch.manual_seed(0)
    network = ClickAttentionNetwork(ClickAttentionConfig("b0"))
    images, points = inputs(batch=2)
    points = points.clone()
    points[:, 1] = -1
    output = network(images, points)
    (output.instances.sum() + sum(map_.sum() for map_ in output.weights.values())).backward()
    weights = {name: tensor for name, tensor in network.named_parameters() if "attn_weight" in name}
    assert all(t.grad is not None and not t.grad.any() for t in weights.values())


def test_stages_without_flag_have_no_module() -> None:
    with torch.device("meta"):
        network = ClickAttentionNetwork(ClickAttentionConfig("b0", (False, False, True, False)))
    stages = {name.split(".")[2] for name in network.state_dict() if "attn_weight" in name}
    assert stages == {"attn_weight3"}


@torch.inference_mode()
def test_previous_mask_matters_and_none_means_empty() -> None:
    network = calibrated()
    images, points = inputs()
    empty = network(images, points).instances
    assert torch.equal(network(images, points, torch.zeros(4, 1, 64, 64)).instances, empty)
    assert not torch.allclose(network(images, points, torch.ones(4, 1, 64, 64)).instances, empty)
