from __future__ import annotations

import pytest
import torch

from backend.training.adaptive_iou import AdaptiveIoU

CPU = torch.device("cpu")


def logit(probability: float) -> float:
    return float(torch.logit(torch.tensor(probability)))


def test_a_low_but_clear_answer_moves_the_threshold_down() -> None:
    labels = torch.zeros(2, 1, 4, 4, dtype=torch.int8)
    labels[:, :, :2] = 1
    logits = torch.full((2, 1, 4, 4), logit(0.1))
    logits[:, :, :2] = logit(0.39)
    metric = AdaptiveIoU(CPU)
    metric.update(logits, labels)
    assert metric.threshold == pytest.approx(0.99 * 0.4 + 0.01 * 0.375)
    assert metric.value == pytest.approx(0.1)
    for _ in range(200):
        metric.update(logits, labels)
    assert metric.value == pytest.approx(1, abs=1e-6)
    assert metric.threshold < 0.39


def test_the_value_is_the_mean_over_pictures_of_the_best_threshold() -> None:
    labels = torch.zeros(2, 1, 4, 4, dtype=torch.int8)
    labels[0, :, :2] = 1
    labels[1, :, :1] = 1
    logits = torch.full((2, 1, 4, 4), -9.0)
    logits[0, :, :1] = 9.0
    logits[1, :, :1] = 9.0
    metric = AdaptiveIoU(CPU, memory=0)
    metric.update(logits, labels)
    assert metric.value == pytest.approx(0.75)
    assert metric.threshold == pytest.approx(0.4)


def test_ignored_pixels_do_not_count() -> None:
    labels = torch.zeros(1, 1, 4, 4, dtype=torch.int8)
    labels[:, :, 0] = 1
    labels[:, :, 3] = -1
    logits = torch.full((1, 1, 4, 4), -9.0)
    logits[:, :, 0] = 9.0
    logits[:, :, 3] = 9.0
    metric = AdaptiveIoU(CPU, memory=0)
    metric.update(logits, labels)
    assert metric.value == pytest.approx(1)


def test_a_batch_without_an_object_changes_nothing() -> None:
    metric = AdaptiveIoU(CPU)
    metric.update(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    assert (metric.value, metric.threshold) == (0, pytest.approx(0.4))
