"""SegFormer's decoder, as published and folded for inference."""

from __future__ import annotations

import torch
from torch import Tensor

from models.heads.segformer import FoldedSegFormerHead, SegFormerHead, enlarged

DIMS = (8, 12, 16, 20)


def head() -> SegFormerHead:
    torch.manual_seed(0)
    made = SegFormerHead(DIMS, 24)
    norm = made.linear_fuse.bn
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert tensor is not None
            tensor.uniform_(0.5, 1.5)
    return made.eval()


def maps(height: int = 16, width: int = 24) -> list[Tensor]:
    torch.manual_seed(1)
    return [
        torch.randn(2, channels, height >> stage, width >> stage)
        for stage, channels in enumerate(DIMS)
    ]


def test_logits_lie_on_the_finest_grid() -> None:
    decoder = head()
    with torch.inference_mode():
        features = decoder.features(maps())
        assert features.shape == (2, 24, 16, 24)
        assert float(features.min()) >= 0
        assert torch.equal(decoder(maps()), decoder.classify(features))


def test_coarsest_stage_comes_first_in_the_fusion() -> None:
    decoder, given = head(), maps()
    with torch.inference_mode():
        before = decoder.features(given)
        decoder.linear_fuse.conv.weight[:, :24] = 0
        given[3] = torch.zeros_like(given[3])
        without = decoder.features(given)
        given[3] += 7
        assert torch.equal(decoder.features(given), without)
        assert not torch.allclose(before, without)


def test_folded_decoder_gives_the_same_features_and_logits() -> None:
    decoder = head()
    folded = FoldedSegFormerHead(decoder)
    with torch.inference_mode():
        torch.testing.assert_close(
            folded.features(maps()), decoder.features(maps()), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(folded(maps()), decoder(maps()), atol=1e-5, rtol=1e-5)


def test_folding_leaves_the_decoder_as_it_was() -> None:
    decoder = head().train()
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    FoldedSegFormerHead(decoder)
    assert decoder.training
    after = decoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_channels_are_dropped_in_training_alone() -> None:
    decoder = head()
    decoder.linear_fuse.bn.eval()
    with torch.no_grad():
        decoder.linear_fuse.bn.bias.fill_(50)
        decoder.dropout.train()
        kept = decoder.features(maps()).amax(dim=(2, 3)) > 0
        assert 0 < int((~kept).sum()) < kept.numel()
        decoder.dropout.eval()
        assert bool((decoder.features(maps()).amax(dim=(2, 3)) > 0).all())


def test_areas_lie_on_areas_when_enlarging() -> None:
    row = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)
    assert enlarged(row, (1, 4)).flatten().tolist() == [0, 1, 3, 4]
    assert enlarged(row, (1, 2)) is row
