"""Losses and simulated training clicks against the recordings of the originals."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.training import losses
from backend.training.next_click import add_clicks
from tests.goldens.cases import Case, cases, parametrize

Loss = Callable[[Tensor, Tensor], Tensor]

PLAIN: dict[str, Loss] = {"bce": losses.binary_cross_entropy, "softiou": losses.soft_iou}
FOCAL = re.compile(
    r"(?P<kind>nfl|focal)_a(?P<alpha>\d+)_g(?P<gamma>\d+)"
    r"(?P<attached>_nodetach)?(_maxmult(?P<limit>\d+))?"
)
"""How recordings spell the parameters of a focal loss: a025 is an alpha of 0.25."""

RECORDINGS = ("losses.npz", "losses_fbrs.npz", "train_next_points.npz")


def loss_of(name: str) -> Loss:
    """The loss that a recording is of."""
    if name in PLAIN:
        return PLAIN[name]
    spelled = FOCAL.fullmatch(name)
    assert spelled is not None, f"{name} is no known loss"
    digits = spelled["alpha"]
    shape = {"alpha": float(f"{digits[0]}.{digits[1:]}"), "gamma": float(spelled["gamma"])}
    if spelled["kind"] == "focal":
        return partial(losses.focal, **shape)
    limit = float(spelled["limit"]) if spelled["limit"] else None
    detached = spelled["attached"] is None
    return partial(losses.normalized_focal, **shape, detached=detached, limit=limit)


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
        value = loss_of(name)(logits, torch.from_numpy(arrays["label"]))
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
    seeds = re.findall(r"seed\((\d+)\)", case.document["files"]["train_next_points.npz"])
    assert len(seeds) == 1, "case.json names the seed of the draws"
    draw = np.random.RandomState(int(seeds[0])).randint
    recorded = sorted(name for name in arrays if name.removeprefix("points_").isdigit())
    for index, name in enumerate(recorded, start=1):
        points = add_clicks(points, probabilities, labels, index, draw)
        np.testing.assert_array_equal(points, arrays[name])
