from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.training import losses
from backend.training.interactive_data import FocusBatch, InteractiveBatch
from backend.training.loss_terms import TERMS


def noise(seed: int) -> Tensor:
    return torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def truth(seed: int) -> Tensor:
    return (noise(seed) > 0).to(torch.int8)


@pytest.fixture
def batch() -> InteractiveBatch:
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    views = FocusBatch(images, truth(1), truth(2).to(torch.uint8), torch.zeros(2, 4))
    return InteractiveBatch(images, truth(3), torch.full((2, 8, 3), -1.0), views)


def outputs(**changes: Any) -> Any:
    refined = SimpleNamespace(logits=noise(6), trimap=noise(7))
    return SimpleNamespace(**{"instances": noise(4), "aux": noise(5), "refined": refined} | changes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("focal", losses.normalized_focal(noise(4), truth(3)).mean()),
        ("cross-entropy", losses.binary_cross_entropy(noise(4), truth(3)).mean()),
        ("overlap", losses.soft_iou(noise(4), truth(3)).mean()),
        ("aux-cross-entropy", losses.binary_cross_entropy(noise(5), truth(3)).mean()),
        ("refined-focal", losses.weighted_normalized_focal(noise(6), truth(1), truth(2))),
        ("trimap", losses.binary_cross_entropy(noise(7), truth(2)).mean()),
    ],
)
def test_every_term_takes_its_own_output_and_truth(
    name: str, expected: Tensor, batch: InteractiveBatch
) -> None:
    torch.testing.assert_close(TERMS[name](outputs(), batch), expected)


@pytest.mark.parametrize("name", ["affinity", "weight-supervision"])
def test_terms_of_attention(name: str, batch: InteractiveBatch) -> None:
    weights = {2: torch.full((2, 1, 4, 4), 0.7)}
    attention = {2: [torch.full((2, 1, 16, 4), 0.25)]}
    counted = outputs(weights=weights, attention=attention, positives=torch.tensor([2, 3]))
    value = TERMS[name](counted, batch)
    assert value.dim() == 0
    assert value > 0
    none = outputs(weights=weights, attention=attention, positives=torch.tensor([1, 0]))
    assert TERMS[name](none, batch) == 0


@pytest.mark.parametrize("name", ["refined-focal", "trimap"])
def test_a_close_view_is_missed(name: str, batch: InteractiveBatch) -> None:
    with pytest.raises(ValueError, match="close views"):
        TERMS[name](outputs(), batch.first(2))
