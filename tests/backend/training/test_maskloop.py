"""The training of our own network."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from backend.errors import InvalidRequest
from backend.training.maskloop import MaskloopTask, hard_iou, started
from backend.training.prompting import PromptDraw, first_prompt
from backend.training.task import Share
from models import checkpoints
from models.checkpoints import Checkpoint
from models.maskloop_network import MaskloopNetwork
from models.mobilesam_network import MobileSam
from tests.models.maskloop_networks import SIDE, SMALL, task, trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def learning() -> MaskloopTask:
    return task()


def first_click_iou(network: MaskloopNetwork) -> float:
    """The mean IoU after one click, on crops that were not learned from."""
    batch = task(network).batch(range(5000, 5048))
    only_click = PromptDraw(box=0, stroke=0, mask=0, many=0)
    maps = first_prompt(batch.targets, only_click, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = network.eval()(batch.images, maps).logits
    return float(hard_iou(logits, batch.targets).mean())


def test_it_learns_to_cut_out_what_is_clicked_on() -> None:
    torch.manual_seed(1)
    assert first_click_iou(trained()) > first_click_iou(MaskloopNetwork(SMALL)) + 0.15


def test_a_batch_depends_on_its_number_alone(learning: MaskloopTask) -> None:
    share = Share(rank=1, count=2, size=4)
    stream = list(islice(learning.batches(0, share, CPU), 4))
    later = next(learning.batches(3, share, CPU))
    assert torch.equal(stream[3].images, later.images)
    assert torch.equal(stream[3].targets, later.targets)
    assert not torch.equal(stream[2].images, later.images)
    other = next(learning.batches(3, Share(rank=0, count=2, size=4), CPU))
    assert not torch.equal(other.images, later.images)


def test_every_parameter_is_in_one_group(learning: MaskloopTask) -> None:
    groups = learning.groups()
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in learning.network.parameters())
    encoder = [group for group in groups if group.name.startswith("encoder")]
    assert all(group.rate < 1 for group in encoder)
    assert {group.decay for group in encoder} == {True, False}


def test_losses_are_named_and_finite(learning: MaskloopTask) -> None:
    batch = learning.batch(range(6))
    losses = learning.losses(learning.network, batch, 0)
    assert list(losses) == ["focal", "overlap", "aux_focal", "aux_overlap", "quality"]
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    assert learning.network.training


def test_example_pictures_show_prompt_and_outline(learning: MaskloopTask) -> None:
    learning.network.eval()
    with torch.no_grad():
        shown = learning.pictures(learning.batch(range(12)))
    assert shown.shape == (8, SIDE, 2 * SIDE, 3)
    assert (shown == (0, 255, 0)).all(axis=-1).any()
    assert (shown == (255, 255, 0)).all(axis=-1).any()


def test_the_summary_counts_the_pictures(learning: MaskloopTask) -> None:
    described = learning.describe()
    assert described["pictures"] == 24
    assert described["pictures_by_source"] == {"shapes": 24}


def test_iou_counts_known_pixels() -> None:
    target = torch.tensor([[[[1.0, 1.0, 0.0, -1.0]]], [[[0.0, 0.0, -1.0, -1.0]]]])
    logits = torch.tensor([[[[1.0, -1.0, 1.0, 1.0]]], [[[-1.0, -1.0, 1.0, 1.0]]]])
    assert hard_iou(logits, target).tolist() == pytest.approx([1 / 3, 1])


def test_starts_from_mobilesam(tmp_path: Path) -> None:
    donor = MobileSam().state_dict()
    file = tmp_path / "sam.safetensors"
    checkpoints.save(Checkpoint("mobilesam", donor), file)
    network = started(0, file)
    name = "layers.1.blocks.0.mlp.fc1.weight"
    assert torch.equal(network.state_dict()[name], donor[f"image_encoder.{name}"])
    again = started(0, file).state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in network.state_dict().items())


def test_goes_on_from_its_own_weights_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(3)
    own = MaskloopNetwork().state_dict()
    half = {name: t.half() if t.is_floating_point() else t for name, t in own.items()}
    file = tmp_path / "own.safetensors"
    checkpoints.save(Checkpoint("maskloop", half), file)
    network = started(0, file)
    name = "decoder.last.weight"
    torch.testing.assert_close(network.state_dict()[name], own[name], atol=1e-3, rtol=1e-3)
    assert network.state_dict()[name].dtype == torch.float32


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(InvalidRequest, match=r"other\.pth"):
        started(0, file)
