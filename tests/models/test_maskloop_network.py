"""Our own network: shapes, what the prompt does, and what it starts from."""

from __future__ import annotations

import pytest
import torch

from models.fold_norm import folded
from models.maskloop_network import MaskloopNetwork, start_from_mobilesam
from models.mobilesam_network import MobileSam
from tests.models.maskloop_networks import SMALL, trained

MILLION = 1_000_000
HALF = 2
"""Bytes of a number in half precision."""


def inputs(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, height, width, generator=generator)
    maps = (torch.rand(2, 4, height, width, generator=generator) > 0.9).float()
    return image, maps


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (224, 16)])
def test_logits_have_the_size_of_the_crop(size: tuple[int, int]) -> None:
    answer = MaskloopNetwork(SMALL).eval()(*inputs(*size))
    assert answer.logits.shape == (2, 1, *size)
    assert answer.aux.shape == (2, 1, size[0] // 4, size[1] // 4)
    assert answer.quality.shape == (2,)
    assert ((answer.quality >= 0) & (answer.quality <= 1)).all()


def test_the_file_fits_into_the_repository() -> None:
    values = sum(tensor.numel() for tensor in MaskloopNetwork().state_dict().values())
    assert values * HALF < 16 * MILLION


def test_the_prompt_enters_the_encoder_at_zero() -> None:
    network = MaskloopNetwork(SMALL).eval()
    image, maps = inputs(64, 64)
    _, stem, stage = network.prompt(maps)
    assert not stem.any()
    assert not stage.any()
    parameters = [network.prompt.into_stem.weight, network.prompt.into_stage.weight]
    network(image, maps).logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in parameters)


def test_every_parameter_learns() -> None:
    network = MaskloopNetwork(SMALL).train()
    answer = network(*inputs(64, 64))
    (answer.logits.square().mean() + answer.aux.square().mean() + answer.quality.mean()).backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert without == []


def test_folded_norms_give_the_same_answer() -> None:
    network = trained()
    image, maps = inputs(64, 64)
    with torch.inference_mode():
        straight, fast = network(image, maps), folded(network)(image, maps)
    torch.testing.assert_close(fast.logits, straight.logits, atol=1e-3, rtol=1e-3)


def test_starts_with_the_encoder_of_mobilesam() -> None:
    donor = MobileSam(64).state_dict()
    network = MaskloopNetwork()
    copied = start_from_mobilesam(network, donor)
    assert copied == sum(
        name.startswith(("image_encoder.patch_embed.", "image_encoder.layers.")) for name in donor
    )
    own = network.state_dict()
    name = "layers.2.blocks.3.attn.qkv.weight"
    assert torch.equal(own[name], donor[f"image_encoder.{name}"])


def test_other_weights_are_no_start() -> None:
    with pytest.raises(ValueError, match="not MobileSAM's"):
        start_from_mobilesam(MaskloopNetwork(SMALL), {"a": torch.zeros(1)})
