"""Losses and simulated training clicks against the recordings of the originals."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from backend.training import losses
from backend.training.next_click import add_clicks
from tests.goldens.cases import Case, cases, parametrize

LOSSES = {
    "nfl_a05_g2": partial(losses.normalized_focal, alpha=0.5, gamma=2),
    "nfl_a025_g2": partial(losses.normalized_focal, alpha=0.25, gamma=2),
    "nfl_a05_g2_nodetach": partial(losses.normalized_focal, alpha=0.5, gamma=2, detached=False),
    "nfl_a05_g2_maxmult3": partial(losses.normalized_focal, alpha=0.5, gamma=2, limit=3),
    "focal_a05_g2": partial(losses.focal, alpha=0.5, gamma=2),
    "bce": losses.binary_cross_entropy,
    "softiou": losses.soft_iou,
}
RECORDINGS = ("losses.npz", "losses_fbrs.npz", "train_next_points.npz")
SEED = 1234


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    listed = cases(metafunc.config, lambda document: "files" in document)
    file = next(name for name in RECORDINGS if metafunc.function.__name__ == f"test_{name[:-4]}")
    parametrize(metafunc, "case", [case for case in listed if case.has(file)])


def checked(case: Case, file: str) -> None:
    """Every recorded value and gradient of `file`, which may take its inputs from losses.npz."""
    arrays = case.arrays("losses.npz") | case.arrays(file)
    names = [name for name in case.arrays(file) if f"{name}_grad" in arrays]
    assert names, f"{file} records no loss"
    for name in names:
        logits = torch.from_numpy(arrays["pred"]).requires_grad_()
        value = LOSSES[name](logits, torch.from_numpy(arrays["label"]))
        value.mean().backward()
        np.testing.assert_allclose(value.detach(), arrays[name], rtol=1e-6, err_msg=name)
        gradient = arrays[f"{name}_grad"]
        assert logits.grad is not None
        close = {"rtol": 1e-4, "atol": 1e-6 * np.abs(gradient).max()}
        np.testing.assert_allclose(logits.grad, gradient, err_msg=name, **close)


def test_losses(case: Case) -> None:
    checked(case, "losses.npz")


def test_losses_fbrs(case: Case) -> None:
    checked(case, "losses_fbrs.npz")


def test_train_next_points(case: Case) -> None:
    arrays = case.arrays("train_next_points.npz")
    points = torch.from_numpy(arrays["points_in"])
    probabilities, labels = torch.from_numpy(arrays["pred"]), torch.from_numpy(arrays["gt"])
    draw = np.random.RandomState(SEED).randint
    recorded = sorted(name for name in arrays if name.removeprefix("points_").isdigit())
    for index, name in enumerate(recorded, start=1):
        points = add_clicks(points, probabilities, labels, index, draw)
        np.testing.assert_array_equal(points, arrays[name])
