from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backend.training import losses

PER_PICTURE: list[Callable[[Tensor, Tensor], Tensor]] = [
    losses.normalized_focal,
    losses.focal,
    losses.binary_cross_entropy,
    losses.soft_iou,
]


def labels(*, ignored: bool = True) -> Tensor:
    """Two objects on 6x8 pixels, the second picture with a column about which nothing is known."""
    rows = torch.zeros(2, 1, 6, 8)
    rows[0, :, 1:4, 2:6] = 1
    rows[1, :, 2:, :3] = 1
    if ignored:
        rows[1, :, :, 5] = losses.IGNORED
    return rows


def logits(seed: int = 0) -> Tensor:
    return torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("loss", PER_PICTURE)
def test_one_value_per_picture_that_only_its_own_pixels_change(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    values = loss(logits(), labels())
    assert values.shape == (2,)
    assert values.dtype == torch.float32
    torch.testing.assert_close(loss(logits()[:1], labels()[:1]), values[:1])


@pytest.mark.parametrize("loss", PER_PICTURE)
def test_ignored_pixels_change_nothing(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    other = logits()
    other[1, :, :, 5] = 7
    torch.testing.assert_close(loss(other, labels()), loss(logits(), labels()))
    watched = logits().requires_grad_()
    loss(watched, labels()).sum().backward()
    assert watched.grad is not None
    assert not watched.grad[1, :, :, 5].any()


@pytest.mark.parametrize("loss", PER_PICTURE)
@pytest.mark.parametrize("kind", [torch.int8, torch.bfloat16])
def test_labels_may_be_of_any_type(
    loss: Callable[[Tensor, Tensor], Tensor], kind: torch.dtype
) -> None:
    torch.testing.assert_close(loss(logits(), labels().to(kind)), loss(logits(), labels()))


@pytest.mark.parametrize("loss", PER_PICTURE)
@pytest.mark.parametrize("sure", [30.0, 120.0])
def test_sure_predictions_give_finite_values_and_gradients(
    loss: Callable[[Tensor, Tensor], Tensor], sure: float
) -> None:
    for sign in (1, -1):
        watched = ((labels() * 2 - 1) * sure * sign).requires_grad_()
        value = loss(watched, labels())
        value.sum().backward()
        assert watched.grad is not None
        assert value.isfinite().all()
        assert watched.grad.isfinite().all()


@pytest.mark.parametrize("loss", PER_PICTURE)
def test_a_perfect_prediction_costs_nothing_and_a_worse_one_more(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    truth = labels(ignored=False)
    perfect, doubtful, wrong = (loss((truth * 2 - 1) * factor, truth) for factor in (40, 1, -1))
    assert (perfect < 1e-5).all()
    assert (perfect < doubtful).all()
    assert (doubtful < wrong).all()


@pytest.mark.parametrize("loss", PER_PICTURE)
def test_a_picture_without_any_label_is_finite(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    watched = logits().requires_grad_()
    value = loss(watched, torch.full_like(watched, losses.IGNORED))
    value.sum().backward()
    assert watched.grad is not None
    assert value.isfinite().all()
    assert not watched.grad.any()


def test_the_weights_of_the_normalised_loss_have_the_mean_one() -> None:
    truth = labels(ignored=False)
    likelihood = 1 - (truth - logits().sigmoid()).abs()
    weights = (1 - likelihood) ** 2
    weights = weights / weights.mean(dim=(-2, -1), keepdim=True)
    expected = (-0.5 * weights * likelihood.log()).flatten(1).mean(dim=1)
    torch.testing.assert_close(losses.normalized_focal(logits(), truth), expected)


def test_a_limit_bounds_the_weight_of_a_pixel() -> None:
    truth = torch.zeros(1, 1, 4, 4)
    one_wrong = torch.full((1, 1, 4, 4), -3.0)
    one_wrong[..., 0, 0] = 3.0
    free = losses.normalized_focal(one_wrong, truth)
    bound = losses.normalized_focal(one_wrong, truth, limit=2)
    wrong = math.log(1 + math.exp(3)) * 0.5 / 16
    rest = float(free) - wrong * 16 * 0.9525741**2 / (0.9525741**2 + 15 * 0.0474259**2)
    assert float(bound) == pytest.approx(2 * wrong + rest, rel=1e-4)


def test_the_weighted_loss_without_a_difference_between_pixels_is_the_normalised_one() -> None:
    truth = labels(ignored=False)
    plain = losses.normalized_focal(logits(), truth).mean()
    for weight in (0.0, 0.4, 1.0):
        uniform = torch.full_like(truth, weight)
        value = losses.weighted_normalized_focal(logits(), truth, uniform)
        torch.testing.assert_close(value, plain)


def test_the_weighted_loss_looks_where_the_weights_are() -> None:
    truth = labels(ignored=False)
    trimap = torch.zeros_like(truth)
    trimap[:, :, :, :4] = 1
    watched = logits().requires_grad_()
    losses.weighted_normalized_focal(watched, truth, trimap).backward()
    weighted = watched.grad
    plain_logits = logits().requires_grad_()
    losses.normalized_focal(plain_logits, truth).mean().backward()
    assert weighted is not None
    assert plain_logits.grad is not None
    ratio = weighted / plain_logits.grad
    # Weights of 1 and 1/2 over a mean of 3/4.
    torch.testing.assert_close(ratio[..., :4], torch.full((2, 1, 6, 4), 4 / 3), rtol=1e-4, atol=0)
    torch.testing.assert_close(ratio[..., 4:], torch.full((2, 1, 6, 4), 2 / 3), rtol=1e-4, atol=0)


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    value = losses.normalized_focal(logits().bfloat16(), labels())
    torch.testing.assert_close(
        value, losses.normalized_focal(logits(), labels()), rtol=2e-2, atol=0
    )
