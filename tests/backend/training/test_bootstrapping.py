"""Which pixels count, and what their loss is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from backend.training.bootstrapping import Bootstrapping
from models.soft_aggregation import aggregated

USUAL = Bootstrapping()


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1.0), (10_000, 1.0), (20_000, 0.575), (30_000, 0.15), (80_000, 0.15)]
)
def test_the_share_falls_linearly(step: int, share: float) -> None:
    assert USUAL.share(step) == pytest.approx(share)


def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((2, 1, 10, 10), generator=generator)
    return logits, (torch.rand(logits.shape, generator=generator) > 0.5).float()


def test_it_is_the_cross_entropy_of_the_aggregated_logits() -> None:
    logits, labels = example()
    both = aggregated(logits.sigmoid(), dim=1).logits
    wanted = F.cross_entropy(both, labels[:, 0].long())
    assert torch.allclose(USUAL.loss(logits, labels, 0), wanted, atol=1e-5)


def test_later_only_the_hardest_pixels_count() -> None:
    logits, labels = example()
    every = F.binary_cross_entropy_with_logits(2 * logits, labels, reduction="none").flatten()
    hardest = every.sort(descending=True).values[:30].mean()
    leaf = logits.clone().requires_grad_()
    loss = USUAL.loss(leaf, labels, 30_000)
    assert torch.allclose(loss, hardest)
    loss.backward()
    assert leaf.grad is not None
    assert int((leaf.grad != 0).sum()) == 30


def test_unknown_pixels_do_not_count() -> None:
    logits, labels = example()
    unknown = labels.clone()
    unknown[:, :, 5:] = -1
    found = USUAL.loss(logits, unknown, 0)
    assert torch.allclose(found, USUAL.loss(logits[:, :, :5], labels[:, :, :5], 0))
    leaf = logits.clone().requires_grad_()
    nothing = USUAL.loss(leaf, torch.full_like(labels, -1), 50_000)
    nothing.backward()
    assert nothing.item() == 0
    assert leaf.grad is not None and not leaf.grad.any()


@pytest.mark.parametrize("values", [(5, 5, 0.1), (-1, 5, 0.1), (0, 5, 0.0), (0, 5, 1.5)])
def test_what_cannot_be_is_refused(values: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="bootstrapping needs"):
        Bootstrapping(*values)
