"""SimpleClick: Liu, Xu, Bertasius, Niethammer, "SimpleClick: Interactive Image Segmentation with
Simple Vision Transformers", ICCV 2023, and the training scripts of its code. On COCO and LVIS.

Start from weights of a masked autoencoder (`--weights mae_pretrain_vit_base.pth`, Meta, for
non-commercial use); their position embedding is resized to the larger grid.
"""

from __future__ import annotations

from dataclasses import replace

from backend.training.data import published
from backend.training.interactive import InteractiveSettings
from backend.training.interactive_data import Sampling
from backend.training.recipe import Recipe
from backend.training.recipes.interactive import ADAM, interactive_recipe
from backend.training.start_weights import MAE

SIDE = 448

SETTINGS = InteractiveSettings(
    sampling=Sampling(published.ritm_coco_lvis(SIDE, SIDE)),
    losses={"focal": 1.0},
    backbone=MAE,
    initial="own",
)

RECIPES: tuple[Recipe, ...] = tuple(
    interactive_recipe(
        name,
        "SimpleClick on COCO and LVIS",
        SETTINGS,
        epochs=55,
        milestones=(50, 55),
        batch=32,
        optimiser=replace(ADAM, rate=5e-5),
    )
    for name in ("simpleclick-vit-b", "simpleclick-vit-l", "simpleclick-vit-h")
)
