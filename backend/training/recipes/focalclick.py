"""FocalClick: Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR
2022, and the training scripts of its code.

On COCO and LVIS. Start from ImageNet weights (`--weights`): the SegFormer project's mix
transformers, or the HRNet project's networks. The crop is the one that the paper describes; that
of the authors' code always reaches to the right border of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backend.training.data import published
from backend.training.data.sample import SampleSettings
from backend.training.focus import SPECK
from backend.training.interactive import InteractiveSettings
from backend.training.interactive_data import Sampling
from backend.training.recipe import Optimiser, Recipe
from backend.training.recipes.interactive import ADAM, interactive_recipe
from backend.training.start_weights import HRNET, MIT

LEAST = 1000
"""Pixels that an object must exceed."""

FULLEST = 0.85
"""The share of the crop that it must stay below."""


def sampling(samples: SampleSettings) -> Sampling:
    """Samples with their close views; objects that are tiny or fill the crop are left out."""
    return Sampling(samples, focused=True, least=LEAST, fullest=FULLEST, speck=SPECK)


SEGFORMER = InteractiveSettings(
    sampling=sampling(published.focalclick()),
    losses={"focal": 1.0, "refined-focal": 1.0, "trimap": 1.0},
    backbone=MIT,
    rates={"feature_extractor.backbone.": 0.1},
    initial="own",
)

LARGE = replace(SEGFORMER, sampling=sampling(published.focalclick(colours=True)))

HRNET_OCR = replace(
    SEGFORMER,
    losses={"focal": 1.0, "aux-cross-entropy": 0.4, "refined-focal": 1.0, "trimap": 1.0},
    backbone=HRNET,
    rates={"feature_extractor.": 2.0},
    initial="xavier",
)

FAST = Optimiser("adam", rate=5e-3)
"""Ten times the rate of the HRNets, and a tenth of that for the backbone."""


SETTINGS: Mapping[str, tuple[InteractiveSettings, Optimiser, int]] = {
    "focalclick-segformerb0-s1": (SEGFORMER, FAST, 64),
    "focalclick-segformerb0-s2": (SEGFORMER, FAST, 64),
    "focalclick-segformerb3-s2": (LARGE, FAST, 32),
    "focalclick-hrnet18s-s1": (HRNET_OCR, ADAM, 64),
    "focalclick-hrnet18s-s2": (HRNET_OCR, ADAM, 64),
    "focalclick-hrnet32-s2": (HRNET_OCR, ADAM, 32),
}
"""Settings, optimiser and batch."""

RECIPES: tuple[Recipe, ...] = tuple(
    interactive_recipe(
        name,
        "FocalClick with its refiner on COCO and LVIS",
        settings,
        epochs=230,
        milestones=(190, 210),
        batch=batch,
        optimiser=optimiser,
    )
    for name, (settings, optimiser, batch) in SETTINGS.items()
)
