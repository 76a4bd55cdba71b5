"""ResNet: as published, and with dilated instead of strided last stages, for dense prediction.

He et al., "Deep Residual Learning for Image Recognition", 2016. `ResNet` has stems and dilation of
the GluonCV variants v1b (depth 34) and v1s (50 and 101), `PlainResNet` the stem of the paper; both
keep the usual tensor names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size (at stride 1)."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut. `dilations` are those of the two convolutions."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, planes, stride, dilations[0])
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, 1, dilations[1])
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, planes, H/stride, W/stride]."""
        out = F.relu_(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return F.relu_(out)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut; stride and the first dilation act on the 3x3."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride, dilations[0])
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, 4 * planes, H/stride, W/stride]."""
        out = F.relu_(self.bn1(self.conv1(x)))
        out = F.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return F.relu_(out)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The projection beside a block that changes width or size; None where it changes neither."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """ResNet of depth 34, 50 or 101 at output stride 8, without its classifier.

    `stem_channels` is the width after the stem, `channels` those of the four stages.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        block, counts = BLOCKS[depth]
        deep = block is Bottleneck
        self.stem_channels = 128 if deep else 64
        planes = (64, 128, 256, 512)
        self.channels = tuple(width * block.expansion for width in planes)
        inputs = (self.stem_channels, *self.channels)
        self.conv1 = deep_stem() if deep else nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(self.stem_channels)
        self.layer1 = stage(block, inputs[0], planes[0], counts[0])
        self.layer2 = stage(block, inputs[1], planes[1], counts[1], stride=2)
        self.layer3 = stage(block, inputs[2], planes[2], counts[2], dilation=2)
        self.layer4 = stage(block, inputs[3], planes[3], counts[3], dilation=4)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] -> features of the first stage at stride 4 and of the last at stride 8.

        `extra` [B, at most stem_channels, H/2, W/2] is added to the first channels of the stem's
        output.
        """
        x = F.relu_(self.bn1(self.conv1(x)))
        if extra is not None:
            missing = self.stem_channels - extra.shape[1]
            x = x + F.pad(extra, (0, 0, 0, 0, 0, missing))
        low = self.layer1(F.max_pool2d(x, 3, 2, padding=1))
        high = self.layer4(self.layer3(self.layer2(low)))
        return low, high


@dataclass(frozen=True)
class StageShape:
    """How a stage of `PlainResNet` looks: its stride, and the dilation of its 3x3 convolutions.

    `first_dilation` is that of the first block's where it differs; None means half of the others.
    """

    stride: int = 1
    dilation: int = 1
    first_dilation: int | None = None


class PlainResNet(nn.Module):
    """ResNet with the paper's stem, a 7x7 convolution to 64 channels, and without its classifier.

    There are as many stages as `shapes`; `channels` are their widths. `inputs` are the channels of
    the picture and of what is stacked upon it.
    """

    def __init__(self, depth: int, shapes: Sequence[StageShape], inputs: int = 3) -> None:
        super().__init__()
        block, counts = BLOCKS[depth]
        planes = [64 << index for index in range(len(shapes))]
        self.channels = tuple(width * block.expansion for width in planes)
        self.conv1 = nn.Conv2d(inputs, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = (64, *self.channels)
        for index, shape in enumerate(shapes):
            layer = stage(
                block,
                before[index],
                planes[index],
                counts[index],
                stride=shape.stride,
                dilation=shape.dilation,
                first_dilation=shape.first_dilation,
            )
            self.add_module(f"layer{index + 1}", layer)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, inputs, H, W] -> features of every stage, the first at stride 4."""
        x = F.max_pool2d(F.relu_(self.bn1(self.conv1(x))), 3, 2, padding=1)
        found = []
        for index in range(len(self.channels)):
            x = self.get_submodule(f"layer{index + 1}")(x)
            found.append(x)
        return found


def deep_stem() -> nn.Sequential:
    """Three 3x3 convolutions in place of one 7x7: [B, 3, H, W] -> [B, 128, H/2, W/2]."""
    return nn.Sequential(
        conv3x3(3, 64, 2),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        conv3x3(64, 64),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        conv3x3(64, 128),
    )


def stage(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    planes: int,
    count: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    first_dilation: int | None = None,
) -> nn.Sequential:
    """`count` blocks; the first takes the stride, and half the dilation in its first 3x3."""
    first = max(dilation // 2, 1) if first_dilation is None else first_dilation

    def blocks() -> Iterator[nn.Module]:
        yield block(inputs, planes, stride, (first, dilation))
        for _ in range(count - 1):
            yield block(planes * block.expansion, planes, 1, (dilation, dilation))

    return nn.Sequential(*blocks())
