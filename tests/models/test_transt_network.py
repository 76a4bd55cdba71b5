"""TransT's network: its two sizes, its positions, and what must not be looked at."""

from __future__ import annotations

import pytest
import torch

from models.transt import network, network_of
from models.transt_fusion import FeatureFusion, FusionLayer, Grid, Pair, sine_positions
from models.transt_network import TransTNetwork, layers_of, normalised


@pytest.mark.parametrize(("layers", "values"), [(4, 23_046_641), (2, 16_731_633)])
def test_both_networks(layers: int, values: int) -> None:
    with torch.device("meta"):
        built = network_of("transt", {"layers": layers})
    tensors = built.state_dict()
    assert built.layers == layers_of(list(tensors)) == layers
    assert sum(tensor.numel() for tensor in tensors.values()) == values


@pytest.mark.parametrize("wrong", [0, 3, "4", True, None])
def test_other_numbers_of_layers_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="fusion layers; TransT's have 4"):
        network_of("transt", {"layers": wrong})
    with pytest.raises(KeyError):
        network("transt-n4")


def test_the_third_stage_is_dilated_in_its_first_block_alone() -> None:
    with torch.device("meta"):
        body = TransTNetwork(2).backbone[0].body
    assert [block.conv2.dilation[0] for block in body.layer3] == [2, 1, 1, 1, 1, 1]
    assert [block.conv2.stride[0] for block in body.layer3] == [1] * 6
    assert not hasattr(body, "layer4")


@torch.inference_mode()
def test_shapes_and_ranges_of_the_answers() -> None:
    torch.manual_seed(0)
    found = TransTNetwork(2).eval()(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 96, 128))
    assert found.logits.shape == (2, 12 * 16, 2)
    assert found.boxes.shape == (2, 12 * 16, 4)
    assert found.boxes.min() > 0
    assert found.boxes.max() < 1


def test_gradients_reach_every_tensor() -> None:
    torch.manual_seed(0)
    built = TransTNetwork(2)
    found = built(torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64))
    (found.logits.square().mean() + found.boxes.square().mean()).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_positions_count_rows_first_and_end_at_a_whole_turn() -> None:
    found = sine_positions(4, 6).view(4, 6, 256)
    assert torch.equal(found[:, 0, :128], found[:, 5, :128])
    assert torch.equal(found[0, :, 128:], found[3, :, 128:])
    turn = torch.tensor(2 * torch.pi)
    assert torch.allclose(found[3, 5, [0, 128]], turn.sin(), atol=1e-5)
    assert torch.allclose(found[3, 5, [1, 129]], turn.cos(), atol=1e-5)
    assert torch.allclose(found[0, 0, 0], (turn / 4).sin(), atol=1e-5)
    assert torch.allclose(found[0, 0, 128], (turn / 6).sin(), atol=1e-5)
    padded = torch.zeros(1, 4, 6, dtype=torch.bool)
    padded[..., 4:] = True
    shorter = sine_positions(4, 6, padded).view(4, 6, 256)
    assert torch.equal(shorter[:, :4], sine_positions(4, 4).view(4, 4, 256))


@torch.inference_mode()
def test_padded_tokens_are_not_looked_at() -> None:
    torch.manual_seed(0)
    layer = FusionLayer().eval()
    tokens = Pair(torch.randn(1, 4, 256), torch.randn(1, 12, 256))
    padded = torch.zeros(1, 12, dtype=torch.bool)
    padded[:, 9:] = True
    template = Grid(sine_positions(2, 2))
    search = Grid(sine_positions(3, 4), padded)
    changed = tokens.search.clone()
    changed[:, 9:] += 5
    found = layer(tokens, template, search)
    other = layer(Pair(tokens.template, changed), template, search)
    assert torch.allclose(found.template, other.template, atol=1e-6)
    assert torch.allclose(found.search[:, :9], other.search[:, :9], atol=1e-6)
    unmasked = layer(Pair(tokens.template, changed), template, Grid(search.positions))
    assert not torch.allclose(found.template, unmasked.template, atol=1e-3)


@torch.inference_mode()
def test_attention_is_pytorchs_own() -> None:
    torch.manual_seed(0)
    own = FeatureFusion(1).eval().encoder.layers[0].self_attn1
    theirs = torch.nn.MultiheadAttention(256, 8, dropout=0.1, batch_first=True).eval()
    theirs.load_state_dict(own.state_dict(), strict=True)
    query, key, value = (torch.randn(2, count, 256) for count in (5, 7, 7))
    padded = torch.tensor([[False] * 7, [False] * 5 + [True] * 2])
    wanted, _ = theirs(query, key, value, key_padding_mask=padded)
    assert torch.allclose(own(query, key, value, padded), wanted, atol=1e-5)


def test_pictures_are_normalised_by_imagenets_numbers() -> None:
    picture = torch.tensor([[[[255, 0, 128]]]], dtype=torch.uint8)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (128 / 255 - 0.406) / 0.225]
    assert normalised(picture).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert normalised(picture).shape == (1, 3, 1, 1)
