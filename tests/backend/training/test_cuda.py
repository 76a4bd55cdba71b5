"""What only a GPU can show: copies on a stream of their own, half precision, its starvation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.training import summary
from backend.training.export import WEIGHTS
from backend.training.feed import Feed
from backend.training.loop import train
from backend.training.settings import RunSettings
from tests.backend.training.toy import NORMED

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DATA = [Path(__file__)]


@pytest.fixture
def gpu() -> torch.device:
    return torch.device("cuda", 0)


def test_batches_arrive_whole_while_the_device_works(gpu: torch.device) -> None:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        number = 0
        while True:
            made = torch.full((64, 1024), float(number), device=gpu)  # on the feed's own stream
            yield torch.full((64, 1024), float(number)), made
            number += 1

    busy = torch.randn(2048, 2048, device=gpu)
    sums = []
    with Feed(batches(), gpu) as feed:
        for _ in range(200):
            copied, made = feed.take()
            busy = torch.tanh(busy @ busy)
            sums.append(torch.stack([copied.mean(), made.mean()]))
            del copied, made
    expected = torch.arange(200.0).repeat(2, 1).T
    assert torch.equal(torch.stack(sums).cpu(), expected)


@pytest.mark.parametrize(("seconds", "starves"), [(0.0, False), (0.05, True)])
def test_only_a_device_without_work_counts_as_waiting(
    seconds: float, starves: bool, gpu: torch.device
) -> None:
    def batches() -> Iterator[Tensor]:
        while True:
            time.sleep(seconds)
            yield torch.ones(8)

    busy = torch.randn(4096, 4096, device=gpu)
    with Feed(batches(), gpu) as feed:
        for _ in range(5):  # until the kernels are chosen
            feed.take()
            busy = torch.tanh(busy @ busy)
        feed.waited()
        begun = time.monotonic()
        for _ in range(20):
            feed.take()
            for _ in range(5):
                busy = torch.tanh(busy @ busy)
        torch.cuda.synchronize()
        share = feed.waited() / (time.monotonic() - begun)
    assert (share > 0.3) is starves


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_trains_and_goes_on(precision: Any, channels_last: bool, tmp_path: Path) -> None:
    recipe = replace(NORMED, steps=60, precision=precision, channels_last=channels_last)
    settings = RunSettings(device="cuda", log_steps=10)
    train(replace(recipe, steps=30), DATA, tmp_path / "parts", settings)
    outcome = train(recipe, DATA, tmp_path / "parts", settings)
    assert outcome.finished
    train(recipe, DATA, tmp_path / "whole", settings)
    rows = summary.read(tmp_path / "whole")
    assert rows is not None
    assert rows["curves"][-1]["loss"] < rows["curves"][0]["loss"]
    assert rows["peak_mebibytes"] < 4096
    for out in ("parts", "whole"):
        tensors = load_file(tmp_path / out / WEIGHTS)
        assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_a_pass_without_gradient_leaves_the_gradient_of_the_next_one(gpu: torch.device) -> None:
    """Autocast keeps the weights that it has cast; those of simulated clicks must not stay."""
    network = nn.Conv2d(3, 4, 3).to(gpu)
    images = torch.randn(2, 3, 16, 16, device=gpu)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        with torch.no_grad():
            network(images)
        loss = network(images).float().square().mean()
    loss.backward()
    assert network.weight.grad is not None
    assert network.weight.grad.abs().sum() > 0
