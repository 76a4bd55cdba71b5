"""The tokens that prompts become."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.heads.sam_prompt import PromptEncoder


@pytest.fixture
def encoder() -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(dim=32, input_side=64).eval()


def points(count: int) -> tuple[Tensor, Tensor]:
    return torch.rand(2, count, 2) * 64, torch.ones(2, count, dtype=torch.int64)


def test_points_without_a_box_are_followed_by_padding(encoder: PromptEncoder) -> None:
    with torch.inference_mode():
        tokens = encoder.sparse(*points(3))
    assert tokens.shape == (2, 4, 32)
    assert torch.equal(tokens[:, 3], encoder.not_a_point_embed.weight.expand(2, -1))


def test_a_box_takes_the_place_of_the_padding(encoder: PromptEncoder) -> None:
    boxes = torch.tensor([[4.0, 5.0, 40.0, 50.0]] * 2)
    with torch.inference_mode():
        tokens = encoder.sparse(*points(3), boxes)
        alone = encoder.sparse(*points(0), boxes)
    assert tokens.shape == (2, 5, 32)
    assert alone.shape == (2, 2, 32)
    assert torch.equal(tokens[:, 3:], alone)


def test_nothing_at_all_gives_no_tokens(encoder: PromptEncoder) -> None:
    assert encoder.sparse(*points(0)).shape == (2, 0, 32)


def test_labels_add_or_replace(encoder: PromptEncoder) -> None:
    at = torch.tensor([[[10.0, 20.0]] * 4])
    with torch.inference_mode():
        tokens = encoder.sparse(at, torch.tensor([[0, 1, -1, 7]]))[0]
    negative, positive, padding, unknown = tokens[:4]
    kinds = [encoder.point_embeddings[index].weight[0] for index in (0, 1)]
    torch.testing.assert_close(negative - kinds[0], unknown)
    torch.testing.assert_close(positive - kinds[1], unknown)
    assert torch.equal(padding, encoder.not_a_point_embed.weight[0])


def test_a_mask_must_be_a_quarter_of_the_input(encoder: PromptEncoder) -> None:
    assert encoder.dense(None, 3).shape == (3, 32, 4, 4)
    assert encoder.dense(torch.zeros(2, 1, 16, 16), 2).shape == (2, 32, 4, 4)


def test_the_grid_is_coded_at_the_middle_of_its_cells(encoder: PromptEncoder) -> None:
    code = encoder.grid_code()[0, :, 1, 2]
    torch.testing.assert_close(code, encoder.pe_layer(torch.tensor([2.5 / 4, 1.5 / 4])))
