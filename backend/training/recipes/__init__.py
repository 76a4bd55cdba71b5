"""Every recipe by name: one file a system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from backend.training.recipe import Recipe
from backend.training.recipes import (
    clickattention,
    fbrs,
    focalclick,
    maskloop,
    ritm,
    s2m,
    simpleclick,
)


def table(recipes: Iterable[Recipe]) -> Mapping[str, Recipe]:
    """The recipes by name. Raises ValueError for two of one name."""
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name in found:
            raise ValueError(f"two recipes are called {recipe.name!r}; a name stands for one")
        found[recipe.name] = recipe
    return found


RECIPES: Mapping[str, Recipe] = table(
    chain(
        maskloop.RECIPES,
        ritm.RECIPES,
        fbrs.RECIPES,
        focalclick.RECIPES,
        clickattention.RECIPES,
        simpleclick.RECIPES,
        s2m.RECIPES,
    )
)
"""The recipes that `train --recipe NAME` knows; a name is that of the architecture, alone or with
what sets the recipe apart from another one of it."""
