"""TinyViT's parts that no shape would give away."""

from __future__ import annotations

import pytest
import torch

from models.backbones.tiny_vit import TinyVit, TinyVitShape, WindowAttention, bias_index

SMALL = TinyVitShape(dims=(32, 32, 64, 64), depths=(1, 1, 1, 1), neck=32, classes=3)


def test_the_bias_depends_on_the_distances_alone() -> None:
    index = bias_index(7)
    assert index.shape == (49, 49)
    assert torch.equal(index, index.T)
    assert index.diagonal().eq(0).all()
    first, second = 2 * 7 + 5, 4 * 7 + 1
    assert index[first, second] == 2 * 7 + 4


@pytest.mark.parametrize("side", [64, 80, 96, 224])
def test_the_embedding_is_a_sixteenth_of_the_input(side: int) -> None:
    network = TinyVit(SMALL).eval()
    with torch.inference_mode():
        embedding = network(torch.randn(1, 3, side, side))
    assert tuple(embedding.shape) == (1, 32, side // 16, side // 16)


def test_windows_do_not_see_each_other() -> None:
    attention = WindowAttention(32, 7).eval()
    x = torch.randn(1, 14, 14, 32)
    changed = x.clone()
    changed[:, :7, :7] += 1
    with torch.inference_mode():
        before, after = attention(x), attention(changed)
    assert not torch.allclose(before[:, :7, :7], after[:, :7, :7])
    assert torch.equal(before[:, 7:], after[:, 7:])
    assert torch.equal(before[:, :7, 7:], after[:, :7, 7:])


def test_padding_takes_part_in_the_attention() -> None:
    attention = WindowAttention(32, 7).eval()
    x = torch.randn(1, 5, 5, 32)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 2, 0, 2))
    with torch.inference_mode():
        assert torch.equal(attention(x), attention(padded)[:, :5, :5])
        attention.norm.bias += 1
        moved = attention(x)
    with torch.inference_mode():
        assert torch.allclose(moved, attention(padded)[:, :5, :5])


def test_heads_are_split_before_q_k_and_v() -> None:
    attention = WindowAttention(64, 7).eval()
    x = torch.randn(1, 7, 7, 64)
    with torch.no_grad():
        before = attention._attend(x.view(1, 49, 64))
        attention.proj.weight.copy_(torch.eye(64))
        # The last 32 rows of the fused projection are the second head's values.
        attention.qkv.weight[160:].zero_()
        attention.qkv.bias[160:].zero_()
        attention.proj.bias.zero_()
        after = attention._attend(x.view(1, 49, 64))
    assert before.shape == after.shape
    assert after[..., 32:].eq(0).all()
    assert not after[..., :32].eq(0).any()
