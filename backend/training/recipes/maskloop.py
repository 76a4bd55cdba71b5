"""The recipe of our own network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend.training.recipe import Inputs, Optimiser, Recipe, Schedule

if TYPE_CHECKING:
    from backend.training.maskloop import MaskloopTask

LONGEST = 372
"""Pictures are kept with their long side at most two pixels less."""


def task(recipe: Recipe, inputs: Inputs) -> MaskloopTask:
    """The network with its pictures on the device.

    Starts from `inputs.weights`: a maskloop, or a MobileSAM whose encoder is taken; without any,
    from the MobileSAM in the data directory. Raises WeightsMissing with what to type where there
    is none, and InvalidRequest for weights of another network.
    """
    from backend.training.data.opening import open_sources
    from backend.training.maskloop import MaskloopSettings, MaskloopTask, started
    from backend.training.resident import ResidentPictures

    settings = MaskloopSettings(side=recipe.settings["side"])
    source = open_sources(inputs.data, longest=LONGEST - 2)
    network = started(recipe.seed, inputs.weights).to(inputs.device)
    pictures = (source.load(index) for index in range(len(source)))
    resident = ResidentPictures.of(pictures, len(source), LONGEST, inputs.device)
    return MaskloopTask(network, resident, settings, recipe.seed, source.fingerprint())


def _settings(side: int) -> dict[str, Any]:
    return {"side": side}


MASKLOOP = Recipe(
    name="maskloop",
    architecture="maskloop",
    summary="our own network, crops of 224 pixels, from MobileSAM's encoder",
    task=task,
    steps=60_000,
    batch=256,
    optimiser=Optimiser("adamw", rate=2e-3, betas=(0.9, 0.99), weight_decay=0.02),
    schedule=Schedule("cosine", floor=0.01, warm_up=500),
    precision="bfloat16",
    ema=0.999,
    clip_norm=3.0,
    sync_batch_norm=True,
    channels_last=True,
    settings=_settings(224),
)

RECIPES = (
    MASKLOOP,
    replace(
        MASKLOOP,
        name="maskloop-fine",
        summary="the end of maskloop's training: crops of 448 pixels, as it is served",
        steps=10_000,
        batch=64,
        optimiser=replace(MASKLOOP.optimiser, rate=5e-4),
        settings=_settings(448),
    ),
)
