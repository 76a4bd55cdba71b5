"""f-BRS: Sofiiuk, Petrov, Barinova, Konushin, "f-BRS: Rethinking Backpropagating Refinement for
Interactive Segmentation", CVPR 2020, and the training settings of its code. All on SBD.

Start from ImageNet weights (`--weights`): GluonCV's ResNets, or the HRNet project's networks. The
network learns from the sampled clicks alone; there is no previous mask and no simulated round.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.training.click_rounds import Rounds
from backend.training.data import published
from backend.training.interactive import InteractiveSettings
from backend.training.interactive_data import Sampling
from backend.training.recipe import Recipe
from backend.training.recipes.interactive import interactive_recipe
from backend.training.start_weights import HRNET, RESNET

SAMPLING = Sampling(published.fbrs_sbd())

DEEPLAB = InteractiveSettings(
    sampling=SAMPLING,
    losses={"focal": 1.0},
    backbone=RESNET,
    rounds=Rounds(0, 0),
    rates={"feature_extractor.backbone.": 0.1},
)

HRNET_OCR = InteractiveSettings(
    sampling=SAMPLING,
    losses={"focal": 1.0, "aux-cross-entropy": 0.4},
    backbone=HRNET,
    rounds=Rounds(0, 0),
    rates={
        "feature_extractor.aux_head.": 1.0,
        "feature_extractor.cls_head.": 1.0,
        "feature_extractor.conv3x3_ocr.": 1.0,
        "feature_extractor.ocr_distri_head.": 1.0,
        "feature_extractor.": 0.1,
    },
)
"""Unlike RITM's: all heads learn at the full rate."""

BATCHES: Mapping[str, int] = {
    "fbrs-resnet34": 28,
    "fbrs-resnet50": 28,
    "fbrs-resnet101": 28,
    "fbrs-hrnet18": 28,
    "fbrs-hrnet32": 32,
}

RECIPES: tuple[Recipe, ...] = tuple(
    interactive_recipe(
        name,
        "f-BRS on SBD",
        HRNET_OCR if "hrnet" in name else DEEPLAB,
        epochs=120,
        milestones=(100,),
        batch=batch,
    )
    for name, batch in BATCHES.items()
)
