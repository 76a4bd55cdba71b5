"""`python -m backend train`: train a network by a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import InvalidRequest

if TYPE_CHECKING:
    from backend.training.recipe import Recipe


def train(
    *,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to train; --list names them.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Pictures and masks; several: --data A --data B."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where checkpoints and weights go; resumed if it can be."),
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list", help="Show the recipes and leave.")
    ] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Samples a step, over all processes and parts.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Take each process's batch in so many parts: less memory.")
    ] = 1,
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16; the recipe's by default.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.0, help="Learning rate in place of the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="In place of the recipe's.")] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; MASKLOOP_DEVICE by default.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that load data, for each training process.")
    ] = 2,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so long, with a checkpoint.")
    ] = None,
    save_minutes: Annotated[
        float, typer.Option(min=0.0, help="Minutes between checkpoints.")
    ] = 10.0,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints that are kept.")] = 2,
    checkpoint_half: Annotated[
        bool, typer.Option("--checkpoint-half", help="Checkpoints of half the size, not exact.")
    ] = False,
    log_steps: Annotated[int, typer.Option(min=1, help="Steps between numbers.")] = 20,
    picture_steps: Annotated[int, typer.Option(min=1, help="Steps between pictures.")] = 500,
    measure_steps: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = 2000,
    validate: Annotated[
        list[Path] | None,
        typer.Option(metavar="SET", help="Evaluation set to click on at each measurement."),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write the weights in float16 as well.")
    ] = False,
    channels_last: Annotated[
        bool | None,
        typer.Option("--channels-last/--channels-first", help="Order of pixels in memory."),
    ] = None,
    compiled: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Let torch.compile at it.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the weights, after the @; by default the folder's.")
    ] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although settings differ.")
    ] = False,
) -> None:
    """Train a network by a recipe, or go on where an earlier run stopped."""
    import os

    from backend.training.recipe import named
    from backend.training.recipes import RECIPES

    if list_recipes:
        _show(RECIPES)
        return
    if recipe is None or out is None:
        missing = "--recipe" if recipe is None else "--out"
        raise InvalidRequest(f"train needs {missing}; --list shows the recipes")
    chosen = changed(
        named(recipe, RECIPES),
        steps=steps,
        batch=batch,
        rate=rate,
        precision=precision,
        seed=seed,
        channels_last=channels_last,
        compiled=compiled,
    )
    _check_name(name)
    from backend import settings as configuration
    from backend.training.distributed import world_of
    from backend.training.loop import train as run
    from backend.training.settings import RunSettings

    configured = configuration.load()
    if configured.torch_threads is not None:
        import torch

        torch.set_num_threads(configured.torch_threads)
    run(
        chosen,
        data or [],
        out,
        RunSettings(
            device=device or configured.device,
            accumulate=accumulate,
            workers=workers,
            minutes=minutes,
            save_minutes=save_minutes,
            keep=keep,
            checkpoint_half=checkpoint_half,
            log_steps=log_steps,
            picture_steps=picture_steps,
            measure_steps=measure_steps,
            validation=tuple(validate or ()),
            half=half,
            name=name,
            accept_changes=accept_changes,
        ),
        weights=weights,
        world=world_of(os.environ),
    )


def changed(
    recipe: Recipe,
    *,
    steps: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    precision: str | None = None,
    seed: int | None = None,
    channels_last: bool | None = None,
    compiled: bool | None = None,
) -> Recipe:
    """The recipe with what is not None in place of its own.

    Raises InvalidRequest for a precision that does not exist.
    """
    from typing import get_args

    from backend.training.recipe import Precision

    if precision is not None and precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise InvalidRequest(f"--precision {precision} is none of {known}", field="precision")
    if steps is not None:
        recipe = recipe.with_steps(steps)
    if rate is not None:
        recipe = replace(recipe, optimiser=replace(recipe.optimiser, rate=rate))
    given = {
        "batch": batch,
        "precision": precision,
        "seed": seed,
        "channels_last": channels_last,
        "compiled": compiled,
    }
    fields = {field: value for field, value in given.items() if value is not None}
    return replace(recipe, **fields)  # type: ignore[arg-type]


def _check_name(name: str | None) -> None:
    from models.zoo import WEIGHTS_NAME

    if name is not None and not WEIGHTS_NAME.fullmatch(name):
        raise InvalidRequest(
            f"--name {name!r}: a name has lower-case letters, digits, dots, dashes and"
            " underscores, and begins with a letter or digit",
            field="name",
        )


def _show(recipes: Mapping[str, Recipe]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    # A name that is cut short cannot be typed.
    name = Column("recipe", min_width=max(map(len, recipes), default=0))
    table = Table(name, "steps", "batch", "precision", "what it trains")
    for recipe in recipes.values():
        numbers = (f"{recipe.steps:,}", str(recipe.batch))
        table.add_row(recipe.name, *numbers, recipe.precision, recipe.summary)
    Console().print(table)
