"""ClickAttention: "ClickAttention: Click Region Similarity Guided Interactive Segmentation", arXiv
2408.06021, and the training script of its B3-S2 network. On COCO and LVIS, 500 epochs.

The script for B0-S2 is not published; its recipe here is that of B3-S2. Start from ImageNet weights
of the SegFormer project's mix transformers (`--weights`). In several processes batch norms are
synchronised, as the authors do it. Their networks were trained on five GPUs at 512 x 512.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.training.click_rounds import Rounds
from backend.training.data import published
from backend.training.interactive import InteractiveSettings
from backend.training.interactive_data import Sampling
from backend.training.recipe import Optimiser, Recipe
from backend.training.recipes.focalclick import FULLEST, LEAST
from backend.training.recipes.interactive import interactive_recipe
from backend.training.start_weights import MIT

SIDE = 512

ROUNDS = Rounds(least=1, most=3, slots="first-free", fewer_at_first=1, afresh=0.02)
"""A weight needs two positive clicks: one round less where a sample has fewer as yet."""

SETTINGS = InteractiveSettings(
    sampling=Sampling(published.focalclick(SIDE, colours=True), least=LEAST, fullest=FULLEST),
    losses={"focal": 1.0, "affinity": 1.0, "weight-supervision": 1.0},
    backbone=MIT,
    rounds=ROUNDS,
    rates={"feature_extractor.backbone.": 0.1},
    initial="own",
)

ADAMW = Optimiser("adamw", rate=5e-4, weight_decay=0.01)

BATCHES: Mapping[str, int] = {"clickattention-b0-s2": 64, "clickattention-b3-s2": 64}

RECIPES: tuple[Recipe, ...] = tuple(
    interactive_recipe(
        name,
        "ClickAttention on COCO and LVIS",
        SETTINGS,
        epochs=500,
        milestones=(160, 210),
        batch=batch,
        optimiser=ADAMW,
        sync_batch_norm=True,
    )
    for name, batch in BATCHES.items()
)
