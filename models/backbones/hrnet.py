"""HRNet: four branches at strides 4 to 32 that exchange features all along.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", 2020. The
tensor names are those of the authors' segmentation code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.resnet import BasicBlock, Bottleneck, conv3x3
from models.resampling import resized


class HRNet(nn.Module):
    """HRNet of branch widths (w, 2w, 4w, 8w); `small` is the shallow variant "18s".

    `channels` is the width of its features: 15 w.
    """

    def __init__(self, width: int, *, small: bool = False) -> None:
        super().__init__()
        blocks, modules = (2, (1, 3, 2)) if small else (4, (1, 4, 3))
        widths = [width << branch for branch in range(4)]
        self.channels = sum(widths)
        self.conv1 = conv3x3(3, 64, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = conv3x3(64, 64, 2)
        self.bn2 = nn.BatchNorm2d(64)
        bottlenecks = [Bottleneck(64 if i == 0 else 256, 64) for i in range(blocks)]
        self.layer1 = nn.Sequential(*bottlenecks)
        # Keys of the dictionaries are branch numbers: the names of the tensors need them, and
        # branches that go on as they are have no tensors.
        self.transition1 = nn.ModuleDict(
            {"0": conv_bn_relu(256, widths[0]), "1": nn.Sequential(down(256, widths[1]))}
        )
        self.stage2 = exchanges(modules[0], widths[:2], blocks)
        self.transition2 = nn.ModuleDict({"2": nn.Sequential(down(widths[1], widths[2]))})
        self.stage3 = exchanges(modules[1], widths[:3], blocks)
        self.transition3 = nn.ModuleDict({"3": nn.Sequential(down(widths[2], widths[3]))})
        self.stage4 = exchanges(modules[2], widths, blocks)

    def features(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, 15 w, H/4, W/4], the branches side by side.

        `extra` [B, 64, H/2, W/2] is added after the stem's first convolution.
        """
        x = F.relu_(self.bn1(self.conv1(x)))
        if extra is not None:
            x = x + extra
        x = F.relu_(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        branches = [self.transition1["0"](x), self.transition1["1"](x)]
        branches = run(self.stage2, branches)
        branches = run(self.stage3, [*branches, self.transition2["2"](branches[-1])])
        branches = run(self.stage4, [*branches, self.transition3["3"](branches[-1])])
        size = branches[0].shape[-2:]
        return torch.cat([resized(branch, size) for branch in branches], dim=1)


class Exchange(nn.Module):
    """One HRNet module: blocks within each branch, then every branch receives all others."""

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    str(source): across(widths, source, target)
                    for source in range(len(widths))
                    if source != target
                }
            )
            for target in range(len(widths))
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Branches [B, w_i, H/2^i, W/2^i] -> branches of the same shapes."""
        pairs = zip(self.branches, branches, strict=True)
        branches = [branch(x) for branch, x in pairs]
        return [
            F.relu_(self._received(paths, target, branches))
            for target, paths in enumerate(self.fuse_layers)
        ]

    def _received(self, paths: nn.Module, target: int, branches: list[Tensor]) -> Tensor:
        assert isinstance(paths, nn.ModuleDict)  # noqa: S101 - narrows the type of the container
        size = branches[target].shape[-2:]
        arriving = [
            x if source == target else resized(paths[str(source)](x), size)
            for source, x in enumerate(branches)
        ]
        total = arriving[0] + arriving[1]
        for x in arriving[2:]:
            total += x
        return total


def exchanges(count: int, widths: Sequence[int], blocks: int) -> nn.Sequential:
    """`count` modules one after another."""
    return nn.Sequential(*(Exchange(widths, blocks) for _ in range(count)))


def run(stage: nn.Sequential, branches: list[Tensor]) -> list[Tensor]:
    """A stage takes and gives lists, which Sequential's own signature does not say."""
    for module in stage:
        branches = module(branches)
    return branches


def across(widths: Sequence[int], source: int, target: int) -> nn.Sequential:
    """The path from one branch to another: 1x1 upwards, halving 3x3 downwards."""
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.BatchNorm2d(widths[target]),
        )
    steps = [down(widths[source], widths[source]) for _ in range(target - source - 1)]
    last = nn.Sequential(conv3x3(widths[source], widths[target], 2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*steps, last)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, norm, ReLU."""
    return nn.Sequential(
        conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def down(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution to half the size, norm, ReLU."""
    return conv_bn_relu(inputs, outputs, 2)
