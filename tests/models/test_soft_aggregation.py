"""Aggregation: shares that sum to 1, whatever the objects say of themselves."""

from __future__ import annotations

import pytest
import torch

from models.soft_aggregation import LEAST, aggregated


@pytest.fixture
def probability() -> torch.Tensor:
    return torch.rand((3, 1, 5, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("background", ["product", "half"])
def test_shares_sum_to_one(probability: torch.Tensor, hard: bool, background: str) -> None:
    shares = aggregated(probability, hard=hard, background=background).probability  # type: ignore[arg-type]
    assert shares.shape == (4, 1, 5, 7)
    assert torch.allclose(shares.sum(dim=0), torch.ones(1, 5, 7))


def test_odds_are_shared_in_proportion() -> None:
    shares = aggregated(torch.tensor([0.8, 0.5])).probability
    odds = torch.tensor([0.1 / 0.9, 4.0, 1.0])
    assert torch.allclose(shares, odds / odds.sum())


def test_the_background_can_be_as_likely_as_not() -> None:
    shares = aggregated(torch.tensor([0.8, 0.5]), background="half").probability
    odds = torch.tensor([1.0, 4.0, 1.0])
    assert torch.allclose(shares, odds / odds.sum())


def test_a_single_object_has_its_log_odds_doubled() -> None:
    logits = torch.linspace(-6, 6, 25)
    found = aggregated(logits.sigmoid()[None], keep_background=False)
    assert found.probability.shape == (1, 25)
    assert torch.allclose(found.probability[0], (2 * logits).sigmoid(), atol=1e-6)
    assert torch.allclose(found.logits[1], -found.logits[0], atol=1e-3)


def test_hard_shares_are_labels(probability: torch.Tensor) -> None:
    soft, hard = (aggregated(probability, hard=hard).probability for hard in (False, True))
    assert torch.equal(soft.argmax(dim=0), hard.argmax(dim=0))
    assert (hard.max(dim=0).values > 0.99).float().mean() > 0.9


def test_the_background_is_left_out_after_it_took_its_share(probability: torch.Tensor) -> None:
    every = aggregated(probability)
    objects = aggregated(probability, keep_background=False)
    assert torch.equal(objects.probability, every.probability[1:])
    assert torch.equal(objects.logits, every.logits)


def test_objects_lie_along_any_axis(probability: torch.Tensor) -> None:
    first = aggregated(probability)
    second = aggregated(probability.transpose(0, 1), dim=1)
    assert torch.equal(second.probability, first.probability.transpose(0, 1))
    assert torch.equal(second.logits, first.logits.transpose(0, 1))


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("hard", [False, True])
def test_certainty_does_no_harm(value: float, hard: bool) -> None:
    found = aggregated(torch.full((2, 3), value), hard=hard)
    assert torch.isfinite(found.logits).all()
    assert torch.isfinite(found.probability).all()
    certain = torch.tensor(1 - LEAST).logit()
    assert found.logits[1, 0].abs().item() == pytest.approx(certain.item(), rel=0.02)
