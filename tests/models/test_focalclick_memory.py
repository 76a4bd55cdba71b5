"""What FocalClick remembers: pieces of an answer, upon each other, and the annotator's mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.focalclick_memory import MOST_BYTES, Layer, Memory, packed, union, unpacked
from models.state import MAX_STATE_BYTES, State
from models.zoom import Roi, mask_roi

SIZE = (90, 120)
ALL = Roi(0, 89, 0, 119)


def smooth(height: int = 16, width: int = 16, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.interpolate(
        torch.rand(1, 1, 4, 4), (height, width), mode="bicubic"
    ).clamp(0, 1)[0, 0]


def two_layers() -> Memory:
    base = Layer.kept(Roi(10, 69, 20, 99), smooth())
    fine = Layer.kept(Roi(30, 49, 50, 79), smooth(seed=1) * 8 - 4, logits=True)
    return Memory((base,)).with_layer(fine)


def over_all(memory: Memory) -> Tensor:
    """The answer over the whole picture, pixel by pixel."""
    return memory.seen(ALL, SIZE)


def test_later_pieces_lie_upon_earlier_ones() -> None:
    memory = two_layers()
    base, fine = memory.layers
    whole = over_all(memory)
    assert memory.region == base.region
    assert not whole[:10].any() and not whole[:, 100:].any()
    assert torch.equal(whole[30:50, 50:80], fine.rendered())
    assert torch.equal(whole[10:30, 20:100], base.rendered()[:20])
    assert fine.rendered().min() > 0 and fine.rendered().max() < 1


def test_crop_is_read_from_the_answer() -> None:
    memory = two_layers()
    whole = over_all(memory)
    assert torch.equal(memory.seen(Roi(5, 64, 30, 109), (60, 80)), whole[5:65, 30:110])
    wanted = torch.nn.functional.interpolate(
        whole[None, None, 5:65, 30:110], (32, 48), mode="bilinear", align_corners=True
    )[0, 0]
    found = memory.seen(Roi(5, 64, 30, 109), (32, 48))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert not Memory().seen(ALL, (32, 32)).any()


def test_covered_pieces_are_forgotten() -> None:
    memory = two_layers()
    cover = Layer.kept(Roi(25, 55, 45, 85), smooth(), logits=True)
    assert memory.with_layer(cover).layers == (memory.layers[0], cover)
    assert memory.with_layer(Layer.kept(ALL, smooth())).layers[0].region == ALL


def test_too_many_pieces_become_one_that_looks_the_same() -> None:
    memory = Memory((Layer.kept(ALL, smooth(256, 256)),))
    counts = []
    for step in range(30):
        region = Roi(step, step + 40, step, step + 50)
        memory = memory.with_layer(Layer.kept(region, smooth(256, 256, step) * 8 - 4, logits=True))
        counts.append(len(memory.layers))
        assert sum(layer.nbytes for layer in memory.layers) <= MOST_BYTES
    collapsed = next(i for i in range(1, 30) if counts[i] < counts[i - 1])
    assert collapsed > 20
    state = replace(memory, bounds=ALL).state("v", "p")
    assert len(state.to_bytes()) < MAX_STATE_BYTES


def test_putting_together_keeps_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = two_layers()
    piece = Layer.kept(Roi(0, 20, 0, 30), smooth(seed=3), logits=True)
    apart = memory.with_layer(piece)
    monkeypatch.setattr("models.focalclick_memory.MOST_BYTES", 1000)
    together = memory.with_layer(piece)
    assert (len(apart.layers), len(together.layers)) == (3, 1)
    torch.testing.assert_close(over_all(together), over_all(apart), rtol=0, atol=2e-3)


def test_memory_survives_as_bytes() -> None:
    merged = np.zeros(SIZE, np.bool_)
    merged[3:50, 7:90] = True
    memory = replace(two_layers(), bounds=Roi(1, 2, 3, 4), roi=ALL, merged=merged)
    state = State.from_bytes(memory.state("version", "picture").to_bytes())
    assert state is not None
    again = Memory.recalled(state)
    assert (again.bounds, again.roi, again.region) == (memory.bounds, ALL, memory.region)
    assert torch.equal(over_all(again), over_all(memory))
    assert again.merged is not None and np.array_equal(again.merged, merged)
    assert Memory.recalled(Memory().state("v", "p")) == Memory()


def test_mask_counts_as_an_answer() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[10:40, 20:70] = True
    memory = Memory.of_mask(mask)
    assert memory.bounds == mask_roi(mask)
    assert np.array_equal(over_all(memory).numpy(), mask.astype(np.float32))
    assert Memory.of_mask(np.zeros(SIZE, np.bool_)) == Memory()


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (90, 120), (301, 203)])
def test_masks_are_packed_without_loss(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(size) > 0.5
    assert np.array_equal(unpacked(packed(mask), size), mask)


def test_mask_that_does_not_compress_is_kept_coarser() -> None:
    mask = np.random.default_rng(0).random((2301, 2203)) > 0.5
    small = packed(mask)
    again = unpacked(small, (2301, 2203))
    assert small.nbytes < 600_000
    assert again.shape == mask.shape
    assert np.array_equal(again[::2, ::2], mask[::2, ::2])
    assert np.array_equal(again[1::2], again[:-1:2])


def test_certain_logits_stay_finite() -> None:
    layer = Layer.kept(ALL, torch.tensor([[1e9, -1e9], [float("inf"), 0.0]]), logits=True)
    assert torch.isfinite(layer.rendered()).all()


def test_union_of_regions() -> None:
    assert union([]) is None
    assert union([Roi(1, 5, 9, 9), Roi(0, 3, 10, 12)]) == Roi(0, 5, 9, 12)
