"""RITM: Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask Guidance for
Interactive Segmentation", 2021, and the training scripts of its code.

Start from ImageNet weights of the HRNet project (`--weights hrnetv2_w18_imagenet_pretrained.pth`):
the branch that brings in the clicks begins almost closed, and hardly learns from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.training.data import published
from backend.training.data.sample import SampleSettings
from backend.training.interactive import InteractiveSettings
from backend.training.interactive_data import Sampling
from backend.training.recipe import Recipe
from backend.training.recipes.interactive import interactive_recipe
from backend.training.start_weights import HRNET

RATES: Mapping[str, float] = {
    "feature_extractor.conv3x3_ocr.": 1.0,
    "feature_extractor.ocr_distri_head.": 1.0,
    "feature_extractor.": 0.1,
}
"""Of the OCR heads only these learn at the full rate; the classifiers count as backbone."""


def _settings(samples: SampleSettings) -> InteractiveSettings:
    return InteractiveSettings(
        sampling=Sampling(samples),
        losses={"focal": 1.0, "aux-cross-entropy": 0.4},
        backbone=HRNET,
        rates=RATES,
    )


COCO_LVIS = _settings(published.ritm_coco_lvis())
SBD = _settings(published.ritm_sbd())

BATCHES: Mapping[str, int] = {"ritm-hrnet18s": 32, "ritm-hrnet18": 28, "ritm-hrnet32": 32}

RECIPES: tuple[Recipe, ...] = (
    *(
        interactive_recipe(
            name,
            "RITM with mask guidance on COCO and LVIS",
            COCO_LVIS,
            epochs=230,
            milestones=(200, 220),
            batch=batch,
        )
        for name, batch in BATCHES.items()
    ),
    *(
        interactive_recipe(
            f"{name}-sbd",
            "RITM with mask guidance on SBD",
            SBD,
            architecture=name,
            epochs=220,
            milestones=(200, 215),
            batch=batch,
        )
        for name, batch in BATCHES.items()
    ),
)
