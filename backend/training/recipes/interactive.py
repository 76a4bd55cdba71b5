"""What the recipes of all systems for clicks have in common."""

from __future__ import annotations

from backend.training.interactive import Interactive, InteractiveSettings
from backend.training.plain import plain
from backend.training.recipe import Optimiser, Recipe, Schedule, steps_of

ADAM = Optimiser("adam", rate=5e-4, betas=(0.9, 0.999), eps=1e-8)
"""The optimiser of RITM and f-BRS."""


def interactive_recipe(
    name: str,
    summary: str,
    settings: InteractiveSettings,
    *,
    epochs: int,
    milestones: tuple[int, ...],
    batch: int,
    architecture: str | None = None,
    optimiser: Optimiser = ADAM,
    sync_batch_norm: bool = False,
) -> Recipe:
    """A recipe of `epochs` of 30,000 samples; the rate falls to a tenth at each of `milestones`.

    Milestones are counted in epochs too. The architecture is called like the recipe where it has
    no name of its own.
    """
    return Recipe(
        name=name,
        architecture=architecture or name,
        summary=summary,
        task=Interactive(settings),
        steps=steps_of(epochs, batch),
        batch=batch,
        optimiser=optimiser,
        schedule=Schedule(
            "multi-step", milestones=tuple(steps_of(epoch, batch) for epoch in milestones)
        ),
        sync_batch_norm=sync_batch_norm,
        settings=plain(settings),
    )
