"""The FocalClick network: a coarse network on the object, a refiner on what a click changed.

Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022. Tensor
names are the authors'.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.backbones.mit import MIT_B0, MIT_B3, MixTransformer, SideEntry
from models.clicks_encoding import DistMaps
from models.focalclick_config import FocalClickConfig
from models.focalclick_refiner import Refined, Refiner
from models.fold_norm import channels_last, folded
from models.heads.ocr import SegmentationHRNet
from models.heads.segformer import FoldedSegFormerHead, SegFormerHead
from models.resampling import resized
from models.ritm_network import Scaled

MIT_SHAPES = {"b0": (MIT_B0, 256), "b3": (MIT_B3, 512)}
"""Backbone and width of the decoder."""

REFINER_RADIUS = 5
"""Of a click's disk in the refiner's crop, in pixels."""


class Focus(NamedTuple):
    """Where the refiner looks, one crop a picture.

    `image` [B, 3, H, W] is the crop in [0, 1], as large as the coarse network's input; `points`
    [B, 2P, 3] the clicks in its pixels; `regions` [B, 4] float (left, top, right, bottom) where it
    lies in the coarse network's input, half-open.
    """

    image: Tensor
    points: Tensor
    regions: Tensor


class Outputs(NamedTuple):
    """What the network gives out.

    `instances` [B, 1, H, W] are the coarse logits, `features` [B, C, h, w] what the refiner takes
    beside them. `aux` are the auxiliary head's logits; None for SegFormer, which has none. With a
    `Focus`, `refined` holds the refiner's logits, trimap logits, and coarse logits of its crop.
    """

    instances: Tensor
    features: Tensor
    aux: Tensor | None = None
    refined: Refined | None = None


class FocalClickNetwork(nn.Module):
    """Picture, clicks and previous mask to coarse logits, and a crop of them to refined ones.

    To train it, call it with a `Focus`: coarse logits, auxiliary logits, refined logits and trimap
    all come from that one call, as DistributedDataParallel needs it. Clicks are simulated with
    calls without one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: FocalClickConfig) -> None:
        super().__init__()
        self.config = config
        mean, std = (torch.tensor(row).view(1, 3, 1, 1) for row in config.norm_mean_std)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.click_maps = DistMaps(config.click_radius, disks=True)
        self.refiner_click_maps = DistMaps(REFINER_RADIUS, disks=True)
        segformer = config.kind == "segformer"
        self.maps_transform = maps_transform(config)
        self.feature_extractor: SegFormer | SegmentationHRNet
        if segformer:
            # These layers are in the authors' files, and nothing uses them.
            self.maps_transform.requires_grad_(False)
            self.feature_extractor = SegFormer(config.model_version)
            channels = MIT_SHAPES[config.model_version][1]
        else:
            self.feature_extractor = SegmentationHRNet(
                config.width, config.ocr_width, small=config.small
            )
            channels = 2 * config.ocr_width
        self.refiner = Refiner(channels, gate=segformer)

    def forward(
        self,
        image: Tensor,
        points: Tensor,
        previous: Tensor | None = None,
        focus: Focus | None = None,
    ) -> Outputs:
        """Logits at the picture's size, and with a `focus` the refiner's too.

        `image` [B, 3, H, W] is RGB in [0, 1], H and W multiples of 32 (64 where it is halved);
        `points` [B, 2P, 3] as `DistMaps` reads them; `previous` [B, 1, H, W] the previous
        probabilities, None where there are none yet.
        """
        size = (image.shape[2], image.shape[3])
        logits, features, aux = self._coarse(*self._inputs(image, points, previous))
        outputs = Outputs(
            resized(logits, size),
            features,
            resized(aux, size) if aux is not None and self.config.with_aux_output else None,
        )
        return outputs if focus is None else outputs._replace(refined=self.refine(outputs, focus))

    def refine(self, outputs: Outputs, focus: Focus) -> Refined:
        """Look at one crop of each picture again, all [B, 1, H, W]."""
        clicks = self.refiner_click_maps(focus.points, (focus.image.shape[2], focus.image.shape[3]))
        refined: Refined = self.refiner(
            focus.image, clicks, outputs.features, outputs.instances, focus.regions
        )
        return refined

    def _inputs(
        self, image: Tensor, points: Tensor, previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What the coarse network takes: its picture, and previous mask and clicks [B, 3, h, w]."""
        size = (image.shape[2], image.shape[3])
        maps = self.click_maps(points, size)
        if previous is None:
            previous = torch.zeros_like(maps[:, :1])
        elif self.config.binary_prev_mask:
            previous = (previous > 0.5).to(image.dtype)
        image = (image - self.mean) / self.std
        side = torch.cat([previous, maps], dim=1)
        if self.config.halved:
            half = (size[0] // 2, size[1] // 2)
            image, side = resized(image, half), resized(side, half)
        return image, side

    def _coarse(self, image: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits, the refiner's features and auxiliary logits, all at a quarter of the input."""
        if isinstance(self.feature_extractor, SegFormer):
            features = self.feature_extractor(image, side)
            return self.feature_extractor.decode_head.classify(features), features, None
        extractor = self.feature_extractor
        context, aux = extractor.context(extractor.features(image, self.maps_transform(side)))
        return extractor.cls_head(context), context, aux


class SegFormer(nn.Module):
    """MiT and its decoder; clicks and previous mask enter before the second stage."""

    def __init__(self, version: str) -> None:
        super().__init__()
        shape, width = MIT_SHAPES[version]
        self.backbone = MixTransformer(shape, 3, SideEntry.SECOND_EMBEDDING)
        self.decode_head: SegFormerHead | FoldedSegFormerHead = SegFormerHead(shape.dims, width)

    def forward(self, image: Tensor, side: Tensor) -> Tensor:
        """[B, 3, H, W] twice -> features [B, C, H/4, W/4]."""
        maps: Sequence[Tensor] = self.backbone(image, side).maps
        return self.decode_head.features(maps)


def maps_transform(config: FocalClickConfig) -> nn.Sequential:
    """Click maps and previous mask as features for HRNet's stem: [B, 3, H, W] -> [B, 64, ...]."""
    activation = nn.LeakyReLU(0.2) if config.use_leaky_relu else nn.ReLU()
    if config.kind == "segformer":
        first, last = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
    else:
        first, last = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 64, 3, 2, 1)
    return nn.Sequential(first, activation, last, Scaled())


def for_inference(network: FocalClickNetwork) -> FocalClickNetwork:
    """A faster copy in eval mode: the same sums in another order. It is not for saving."""
    network = copy.deepcopy(network).eval()
    extractor = network.feature_extractor
    if isinstance(extractor, SegFormer) and isinstance(extractor.decode_head, SegFormerHead):
        extractor.decode_head = FoldedSegFormerHead(extractor.decode_head)
    return channels_last(folded(network))
