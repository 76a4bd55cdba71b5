"""The training of S2M: its samples, its start, and that it learns."""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import InvalidRequest
from backend.training.chance import seed_all
from backend.training.data.augmentation import ShortSide
from backend.training.optimisation import left_out
from backend.training.recipes import RECIPES
from backend.training.s2m import (
    LAST,
    STEM,
    S2mBatch,
    S2mSamples,
    S2mSettings,
    S2mTask,
    Scribbling,
    joined,
    network_input,
    start_from,
)
from backend.training.scribbles import ScribbleSampler
from backend.training.task import Share
from models.s2m_network import S2mNetwork
from tests.backend.training.two_pictures import small_samples, two_pictures

CPU = torch.device("cpu")
RECIPE = RECIPES["s2m"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same sums in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(**changes: object) -> S2mSettings:
    """The recipe's settings for small whole pictures."""
    assert isinstance(RECIPE.task, Scribbling)
    settings = RECIPE.task.settings
    samples = small_samples(settings.sampling.settings, 64, 64)
    sampling = replace(settings.sampling, settings=samples)
    return replace(settings, sampling=sampling, **changes)  # type: ignore[arg-type]


def task() -> S2mTask:
    torch.manual_seed(0)
    return S2mTask(S2mNetwork(), two_pictures(), small(), seed=0, device=CPU)


def batch_of(settings: S2mSettings, count: int) -> S2mBatch:
    samples = S2mSamples(two_pictures(), settings, 0)
    return joined([samples[number] for number in range(count)])


def test_the_published_numbers() -> None:
    assert RECIPE.steps == 80_000
    assert RECIPE.batch == 32
    optimiser = RECIPE.optimiser
    assert (optimiser.kind, optimiser.rate, optimiser.weight_decay) == ("adam", 1e-4, 1e-7)
    assert RECIPE.schedule.kind == "constant"
    assert RECIPE.sync_batch_norm
    assert json.loads(json.dumps(RECIPE.settings)) == RECIPE.settings


def test_a_sample_has_a_mask_and_strokes_on_what_is_known() -> None:
    batch = batch_of(small(from_nothing=0.0), 8)
    assert batch.images.shape == (8, 3, 64, 64)
    assert batch.told.shape == (8, 3, 64, 64)
    assert set(batch.told.unique().tolist()) == {0, 1}
    truth = batch.labels[:, 0] == 1
    previous = batch.told[:, 0] == 1
    wrong = (truth != previous) & (batch.labels[:, 0] >= 0)
    assert wrong.flatten(1).any(dim=1).all()
    assert previous.flatten(1).any(dim=1).sum() >= 6
    assert batch.told[:, 1:].flatten(1).any(dim=1).all()
    assert not batch.told[(batch.labels < 0).expand_as(batch.told)].any()


def test_some_begin_from_nothing() -> None:
    assert not batch_of(small(from_nothing=1.0), 6).told[:, 0].any()
    begun = batch_of(small(), 24).told[:, 0].flatten(1).any(dim=1)
    assert 8 <= int(begun.sum()) <= 22


def test_a_batch_depends_on_its_number_alone() -> None:
    learning = task()
    first = list(itertools.islice(learning.batches(0, Share(size=2), CPU), 3))
    later = next(learning.batches(2, Share(size=2), CPU))
    assert torch.equal(first[2].images, later.images)
    assert torch.equal(first[2].told, later.told)
    assert not torch.equal(first[1].told, later.told)
    with pytest.raises(InvalidRequest, match="two samples a process"):
        next(learning.batches(0, Share(size=1), CPU))


def test_every_parameter_is_learned() -> None:
    learning = task()
    assert left_out(learning.network, learning.groups()) == []
    seed_all(0, 0, 0)
    learning.network.train()
    losses = learning.losses(learning.network, batch_of(small(), 2), 0)
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in learning.network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_the_loss_falls_on_two_pictures() -> None:
    learning = task()
    batch = batch_of(small(scribbles=ScribbleSampler(anywhere=1.0)), 4)
    optimiser = torch.optim.Adam(learning.network.parameters(), lr=1e-3)
    learning.network.train()
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = learning.losses(learning.network, batch, 0)["cross-entropy"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert min(losses[-3:]) < 0.7 * losses[0], losses
    assert learning.measure(learning.network).keys() == {"train_iou", "train_iou_threshold"}


def test_example_pictures_show_sample_mask_and_answer() -> None:
    learning = task()
    with torch.no_grad():
        pictures = learning.pictures(batch_of(small(), 5))
    assert pictures.shape == (4, 64, 192, 3)
    assert pictures.dtype == np.uint8


def resnet_names(network: S2mNetwork) -> dict[str, torch.Tensor]:
    """A backbone as torchvision saves it."""
    tensors = {
        name.removeprefix("backbone."): torch.rand_like(tensor.float())
        for name, tensor in network.state_dict().items()
        if name.startswith("backbone.") and not name.endswith("num_batches_tracked")
    }
    return {**tensors, "conv1.weight": torch.rand(64, 3, 7, 7), "fc.weight": torch.rand(9, 2048)}


def deeplab_names(network: S2mNetwork) -> dict[str, torch.Tensor]:
    """The network that the authors begin with."""
    tensors = {name: torch.rand_like(x.float()) for name, x in network.state_dict().items()}
    counters = {name: torch.tensor(5) for name in tensors if name.endswith("batches_tracked")}
    other = {STEM: torch.rand(64, 3, 7, 7), f"{LAST}weight": torch.rand(21, 256, 1, 1)}
    return {**tensors, **counters, **other, f"{LAST}bias": torch.rand(21)}


@pytest.mark.parametrize("kind", ["resnet", "deeplab"])
def test_it_starts_from_a_backbone_or_a_deeplab(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    network = S2mNetwork()
    given = resnet_names(network) if kind == "resnet" else deeplab_names(network)
    content: object = given if kind == "resnet" else {"model_state": OrderedDict(given)}
    torch.save(content, tmp_path / "start.pth")
    assert "tensors of start.pth" in start_from(network, tmp_path / "start.pth")
    state = network.state_dict()
    stem = given["conv1.weight" if kind == "resnet" else STEM]
    assert torch.equal(state[STEM][:, :3], stem)
    added = state[STEM][:, 3:].flatten(1)
    product = added @ added.T
    assert torch.allclose(product, torch.eye(64), atol=1e-4)
    assert not state[f"{LAST}bias"].any()
    assert state[f"{LAST}weight"].norm().item() == pytest.approx(1, rel=1e-4)
    deep = "layer4.2.conv3.weight"
    assert torch.equal(
        state[f"backbone.{deep}"], given[deep if kind == "resnet" else f"backbone.{deep}"]
    )


def test_it_goes_on_from_an_s2m(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other, network = S2mNetwork(), S2mNetwork()
    torch.save(OrderedDict(other.state_dict()), tmp_path / "s2m.pth")
    assert start_from(network, tmp_path / "s2m.pth") == "all weights of s2m.pth"
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.rand(3)}, tmp_path / "other.pth")
    with pytest.raises(InvalidRequest, match=r"other\.pth is neither an S2M"):
        start_from(S2mNetwork(), tmp_path / "other.pth")


def test_the_input_is_normalised() -> None:
    grey = torch.full((1, 3, 16, 16), 124, dtype=torch.uint8)
    told = torch.ones((1, 3, 16, 16), dtype=torch.uint8)
    seen = network_input(S2mBatch(grey, torch.zeros(1, 1, 16, 16), told))
    assert seen.shape == (1, 6, 16, 16)
    assert seen[0, 0].abs().max() < 0.01
    assert (seen[0, 3:] == 1).all()


@pytest.mark.parametrize(("size", "wanted"), [((30, 40), (12, 16)), ((50, 10), (60, 12))])
def test_the_short_side_is_given(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    image, layer = np.zeros((*size, 3), np.uint8), np.zeros(size, np.int32)
    image, (layer,) = ShortSide(12)(image, (layer,), np.random.default_rng(0))
    assert image.shape == (*wanted, 3)
    assert layer.shape == wanted
