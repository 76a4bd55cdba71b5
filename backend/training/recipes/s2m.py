"""S2M: Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation", CVPR 2021, and the
training settings of its code.

Start from a DeepLabV3+ on ResNet-50 (`--weights`): that of VainF/DeepLabV3Plus-Pytorch. The
authors learn from LVIS and from sets of salient objects, those twice as often.
"""

from __future__ import annotations

from backend.training.data.augmentation import Flip, Pad, RandomCrop, ShiftScaleRotate, ShortSide
from backend.training.data.colour import BrightnessContrast, Greyscale
from backend.training.data.objects import ObjectChoice
from backend.training.data.points import PointSampler
from backend.training.data.sample import SampleSettings
from backend.training.interactive_data import Sampling
from backend.training.plain import plain
from backend.training.recipe import Optimiser, Recipe
from backend.training.s2m import S2mSettings, Scribbling

SIDE = 480

SETTINGS = S2mSettings(
    Sampling(
        SampleSettings(
            augmentations=(
                ShiftScaleRotate(shift=0.0, scale=0.25, degrees=20.0, p=1.0),
                ShortSide(SIDE),
                Pad(SIDE, SIDE),
                RandomCrop(SIDE, SIDE),
                Flip("horizontal"),
                BrightnessContrast(brightness=(-0.1, 0.1), contrast=(-0.03, 0.03), p=1.0),
                Greyscale(0.05),
            ),
            objects=ObjectChoice(smallest=2500),
            points=PointSampler(most=1),
        )
    )
)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="s2m",
        architecture="s2m",
        summary="S2M on LVIS and sets of salient objects, from simulated strokes",
        task=Scribbling(SETTINGS),
        steps=80_000,
        batch=32,
        optimiser=Optimiser("adam", rate=1e-4, weight_decay=1e-7),
        sync_batch_norm=True,
        settings=plain(SETTINGS),
    ),
)
