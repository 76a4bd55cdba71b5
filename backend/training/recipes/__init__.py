"""Every recipe by name: one file a system."""

from __future__ import annotations

from collections.abc import Mapping

from backend.training.recipe import Recipe

RECIPES: Mapping[str, Recipe] = {}
"""The recipes that `train --recipe NAME` knows; a name is that of the architecture."""
