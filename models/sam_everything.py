"""Every mask that MobileSAM is sure of, without a prompt from anybody.

Kirillov et al., Segment Anything (arXiv 2304.02643), appendix B: a grid of points is asked one by
one; of the masks that come back those stay which the network scores high, which hardly change when
their threshold does, and which are not one of the others again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.mobilesam_network import EncodedPrompt, MobileSam
from models.sam_frame import Frame
from models.segmenter import Image

Mask = npt.NDArray[np.bool_]

MOST_POINTS = 64
"""Points of one pass of the decoder."""


@dataclass(frozen=True)
class EverythingOptions:
    """What counts as a mask.

    `points` per long side of the picture are asked. A mask stays with a score of at least `score`
    and a stability of at least `stability`: the IoU of the masks at logits of `offset` and
    -`offset`. It fills at least `least_area` pixels and at most `most_share` of the picture. Of
    two with an IoU above `same` the one of the higher score stays.
    """

    points: int = 16
    score: float = 0.88
    stability: float = 0.92
    offset: float = 1.0
    least_area: int = 144
    most_share: float = 0.8
    same: float = 0.7


@dataclass(frozen=True)
class FoundMask:
    """A mask, bool HxW of the picture, and what the network thinks of it."""

    mask: Mask
    score: float
    stability: float


def everything(
    network: MobileSam, image: Image, options: EverythingOptions | None = None
) -> list[FoundMask]:
    """The masks of a uint8 HxWx3 RGB picture, highest score first.

    `network` is one made by `MobileSam.for_inference`. Raises ValueError for a picture that is
    too narrow for it.
    """
    options = options or EverythingOptions()
    frame = Frame.of((image.shape[0], image.shape[1]), network.input_side)
    device = next(network.parameters()).device
    with torch.inference_mode():
        embedding = network.encode(torch.from_numpy(frame.network_input(image)).to(device))
        found = [
            candidate
            for places in np.array_split(*_chunks(frame, options.points))
            for candidate in _asked(network, embedding, frame, places, options)
        ]
    found.sort(key=lambda candidate: -candidate.score)
    return _distinct(found, options.same)


def _chunks(frame: Frame, count: int) -> tuple[npt.NDArray[np.float32], int]:
    """The grid's points (x, y) in the network's square, and into how many parts to cut them."""
    height, width = frame.size
    step = max(height, width) / count
    xs = (np.arange(max(1, round(width / step))) + 0.5) * width / max(1, round(width / step))
    ys = (np.arange(max(1, round(height / step))) + 0.5) * height / max(1, round(height / step))
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return frame.points(grid), max(1, -(-len(grid) // MOST_POINTS))


def _asked(
    network: MobileSam,
    embedding: Tensor,
    frame: Frame,
    places: npt.NDArray[np.float32],
    options: EverythingOptions,
) -> list[FoundMask]:
    """What the network answers to single positive clicks [N, 2], as far as it is good enough."""
    points = torch.from_numpy(places).to(embedding.device)[:, None]
    labels = torch.ones(len(places), 1, device=embedding.device)
    decoded = network.decode(embedding, EncodedPrompt(points, labels))
    # The first of the four masks is meant for several points; the others are part, thing, whole.
    logits, scores = decoded.logits[:, 1:].flatten(0, 1), decoded.scores[:, 1:].flatten()
    inner = (logits > options.offset).flatten(1).sum(dim=1).float()
    outer = (logits > -options.offset).flatten(1).sum(dim=1).float()
    stability = inner / outer.clamp_min(1)
    good = (scores >= options.score) & (stability >= options.stability)
    found = []
    for low, score, stable in zip(logits[good], scores[good], stability[good], strict=True):
        mask = frame.logits(low.float().cpu().numpy()) > 0
        area = int(np.count_nonzero(mask))
        if options.least_area <= area <= options.most_share * mask.size:
            found.append(FoundMask(mask, float(score), float(stable)))
    return found


def _distinct(found: list[FoundMask], same: float) -> list[FoundMask]:
    """Those that are not an earlier one again."""
    kept: list[FoundMask] = []
    for candidate in found:
        if all(_iou(candidate.mask, other.mask) <= same for other in kept):
            kept.append(candidate)
    return kept


def _iou(a: Mask, b: Mask) -> float:
    common = int(np.count_nonzero(a & b))
    return common / max(1, int(np.count_nonzero(a)) + int(np.count_nonzero(b)) - common)
