"""What backpropagating refinement corrects: the network's input, or features inside it.

Sofiiuk et al., "f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation", CVPR
2020, sections 3 and 4. A correction is a vector x of float32; zeros change nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.brs_options import BrsMode
from models.heads.ocr import SegmentationHRNet
from models.resampling import resized
from models.zoom import Size

if TYPE_CHECKING:
    from models.ritm_network import RitmNetwork

PENALTY = 1e-3
BIAS_PENALTY = 10.0
"""How much more a bias costs than a scale."""

Rest = Callable[[Tensor], Tensor]
"""What is left of a network: features [B, C, h, w] -> logits of any size."""


@dataclass(frozen=True)
class Shown:
    """What the network sees: `image` [B, 3, h, w] normalised, `points` [B, 2P, 3] and, where it has
    this input, `previous` [B, 1, h, w]. With `mirrored` the second half of the batch is the
    first, mirrored. `size` (height, width) is that of the logits wanted.
    """

    image: Tensor
    points: Tensor
    previous: Tensor | None
    mirrored: bool
    size: Size


class Correction(ABC):
    """One way to correct a network's answer for one thing shown to it.

    `length` is that of x. The work that x does not change is done once, on construction.
    """

    length: int

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Logits [B, 1, *size] under x."""

    @abstractmethod
    def penalty(self, x: Tensor) -> Tensor:
        """What x costs by itself."""


class ChannelCorrection(Correction):
    """Scales and shifts each channel of features, the same for all of the batch.

    x holds one scale per channel, less 1, then one bias per channel.
    """

    def __init__(self, network: RitmNetwork, mode: BrsMode, shown: Shown) -> None:
        self._size = shown.size
        with torch.no_grad():
            fused = network.joined(shown.image, click_maps(network, shown), shown.previous)
            self._features, self._rest = features_and_rest(network, mode, *fused)
        self.length = 2 * self._features.shape[1]

    def logits(self, x: Tensor) -> Tensor:
        """Of features * (1 + scale) + bias."""
        scale, bias = x.view(2, 1, -1, 1, 1)
        return resized(self._rest(self._features * (1 + scale) + bias), self._size)

    def penalty(self, x: Tensor) -> Tensor:
        """Of the squares of scales, and ten times that of biases."""
        scale, bias = x.view(2, -1).square().sum(dim=1).unbind()
        return PENALTY * (scale + BIAS_PENALTY * bias)


class InputCorrection(Correction):
    """Shifts every pixel of the normalised picture, or of the click maps.

    x is [C, h, w] in row-major order with C = 3, or 2; a mirrored picture gets it mirrored.
    """

    def __init__(self, network: RitmNetwork, mode: BrsMode, shown: Shown) -> None:
        self._network = network
        self._shown = shown
        self._corrects_picture = mode == "RGB-BRS"
        with torch.no_grad():
            self._maps = click_maps(network, shown)
        height, width = self._maps.shape[-2:]
        self._shape = (1, 3 if self._corrects_picture else 2, height, width)
        self.length = self._shape[1] * height * width

    def logits(self, x: Tensor) -> Tensor:
        """Of picture + x, or of click maps + x."""
        picture, maps = self._shown.image, self._maps
        if self._corrects_picture:
            picture = picture + self._for_batch(x)
        else:
            maps = maps + self._for_batch(x)
        network = self._network
        fused = network.joined(picture, maps, self._shown.previous)
        logits = network.classify(network.features(*fused)).logits
        return resized(logits, self._shown.size)

    def penalty(self, x: Tensor) -> Tensor:
        """Of the squares of x, once for every picture of the batch."""
        return PENALTY * self._for_batch(x).square().sum()

    def _for_batch(self, x: Tensor) -> Tensor:
        x = x.view(self._shape)
        return torch.cat([x, x.flip(3)]) if self._shown.mirrored else x


def click_maps(network: RitmNetwork, shown: Shown) -> Tensor:
    """[B, 2, h, w] for the clicks that the network is shown."""
    maps: Tensor = network.dist_maps(shown.points, (shown.image.shape[2], shown.image.shape[3]))
    return maps


def correction(network: RitmNetwork, mode: BrsMode, shown: Shown) -> Correction:
    """The correction of a mode other than NoBRS. The network's own parameters stay as they are."""
    kind = ChannelCorrection if corrects_channels(mode) else InputCorrection
    return kind(network, mode, shown)


def corrects_channels(mode: BrsMode) -> bool:
    """Whether a mode corrects features, so that x fits pictures of any size."""
    return mode.startswith("f-BRS")


def features_and_rest(
    network: RitmNetwork, mode: BrsMode, image: Tensor, extra: Tensor | None
) -> tuple[Tensor, Rest]:
    """The features that a mode corrects, and what the network makes of them.

    With a DeepLab these are the last stage of its backbone (A), the pyramid beside the skipped
    features (B), or the decoder's output (C). With an HRNet, all that the backbone gives (A, B),
    or what the object's context has been added to (C).
    """
    extractor = network.feature_extractor
    if isinstance(extractor, SegmentationHRNet):
        features = extractor.features(image, extra)
        if mode == "f-BRS-C":
            return extractor.context(features)[0], extractor.cls_head
        return features, lambda x: extractor.classify(x).logits
    low, high = extractor.encode(image, extra)
    if mode == "f-BRS-A":
        return high, lambda x: network.head(extractor.decode(extractor.merge(low, x)))
    merged = extractor.merge(low, high)
    if mode == "f-BRS-B":
        return merged, lambda x: network.head(extractor.decode(x))
    return extractor.decode(merged), network.head
