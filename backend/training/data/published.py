"""Sample settings of the published recipes.

Sizes are height x width in pixels. RITM: Sofiiuk et al., 2021; f-BRS: Sofiiuk et al., CVPR 2020;
FocalClick: Chen et al., CVPR 2022; ClickAttention: arXiv 2408.06021; SimpleClick: Liu et al.,
ICCV 2023.
"""

from __future__ import annotations

from backend.training.data.augmentation import (
    AlignedCrop,
    Augmentation,
    Flip,
    Pad,
    RandomCrop,
    RandomResize,
    Rotate90,
    ShiftScaleRotate,
)
from backend.training.data.colour import BrightnessContrast, ShiftRgb
from backend.training.data.objects import ObjectChoice
from backend.training.data.points import PointSampler
from backend.training.data.sample import SampleSettings

COLOURS: tuple[Augmentation, ...] = (BrightnessContrast(), ShiftRgb())


def ritm_coco_lvis(height: int = 320, width: int = 480) -> SampleSettings:
    """RITM and SimpleClick (448 x 448) on COCO and LVIS."""
    return SampleSettings(
        augmentations=(
            RandomResize((0.75, 1.40)),
            Flip("horizontal"),
            Pad(height, width),
            RandomCrop(height, width),
            *COLOURS,
        ),
        objects=ObjectChoice(smallest=1000, empty=0.05, stuff=0.30),
    )


def ritm_sbd(height: int = 320, width: int = 480) -> SampleSettings:
    """RITM and SimpleClick (448 x 448) on SBD."""
    return SampleSettings(
        augmentations=(
            RandomResize((0.75, 1.25)),
            Flip("any"),
            Rotate90(),
            ShiftScaleRotate(shift=0.03, scale=0.0, degrees=3.0, p=0.75),
            Pad(height, width),
            RandomCrop(height, width),
            *COLOURS,
        ),
        objects=ObjectChoice(smallest=80, empty=0.01, fill=0.08),
    )


def fbrs_sbd(height: int = 320, width: int = 480) -> SampleSettings:
    """f-BRS on SBD: RITM's settings with fewer clicks."""
    settings = ritm_sbd(height, width)
    return SampleSettings(
        augmentations=settings.augmentations,
        objects=settings.objects,
        points=PointSampler(most=10, gamma=0.7),
    )


def focalclick(
    size: int = 256, *, colours: bool = False, combined: bool = False, faithful: bool = False
) -> SampleSettings:
    """FocalClick on COCO and LVIS, or with `combined` on the authors' seven sets together.

    ClickAttention is the same at 512 with `colours`. `faithful` keeps the crop's habits.
    """
    mean, shares = (1.0, (0.5, 1.3)) if combined else (0.8, (0.3, 1.3))
    return SampleSettings(
        augmentations=(
            AlignedCrop(size, mean=mean, shares=shares, faithful=faithful),
            Flip("horizontal", p=0.3),
            Flip("vertical", p=0.3),
            *(COLOURS if colours else ()),
        ),
        objects=ObjectChoice(smallest=1000, empty=0.05, stuff=0.20),
        points=PointSampler(centred=True),
    )
