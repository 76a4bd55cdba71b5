"""Whether data keep up with a training: each alone, and both together.

    python -m benchmarks.training RECIPE PATH... [--device cuda] [--batch 32] [--workers 8]

Samples a second of the data alone (made, copied to the device, thrown away), of the training step
alone (one batch again and again), and of both as `train` runs them, with the share of time in
which the step had to wait. Where the data alone are slower than the step alone, they are what to
make faster: more workers, smaller pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from backend.engine.segmenters import choose_device
from backend.evaluation import machine
from backend.training import assembly
from backend.training.distributed import World, own_device
from backend.training.feed import Feed
from backend.training.recipe import Inputs, Recipe, named
from backend.training.recipes import RECIPES
from backend.training.step import Stepper
from backend.training.task import AnyTask

WARM_UP = 5
"""Steps that are not counted: kernels are chosen, workers start."""


def main() -> None:
    """Measure and print."""
    given = _arguments()
    device = own_device(choose_device(given.device), World())
    assembly.tune(device)
    recipe = named(given.recipe, RECIPES)
    recipe = replace(recipe, batch=given.batch or recipe.batch)
    task = assembly.make_task(
        recipe, Inputs(tuple(given.data), given.weights, device, given.workers), World()
    )
    stepper = _stepper(recipe, task, device)
    table = Table("what runs", "samples/s", "waiting for data")
    with _feed(recipe, task, device) as feed:
        seconds = _measured(lambda number: feed.take(), given.steps, device)
        batch = feed.take()
    table.add_row("data alone", _rate(recipe, given.steps, seconds), "")
    seconds = _measured(lambda number: stepper.step(number, [batch]), given.steps, device)
    table.add_row("step alone", _rate(recipe, given.steps, seconds), "")
    with _feed(recipe, task, device) as feed:

        def both(number: int) -> None:
            if number == 0:
                feed.waited()
            stepper.step(number, [feed.take()])

        seconds = _measured(both, given.steps, device)
        share = min(feed.waited() / seconds, 1.0)
    table.add_row("both", _rate(recipe, given.steps, seconds), f"{share:.0%}")
    told = machine.describe(str(device))
    table.title = f"{recipe.name}, batch {recipe.batch}, {given.workers} workers, {told['device']}"
    Console().print(table)


def _measured(work: Callable[[int], Any], steps: int, device: torch.device) -> float:
    """The seconds of `steps` calls, numbered from 0, after WARM_UP others."""
    for number in range(1, WARM_UP + 1):
        work(number)
    _settle(device)
    begun = time.perf_counter()
    for number in range(steps):
        work(number)
    _settle(device)
    return time.perf_counter() - begun


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rate(recipe: Recipe, steps: int, seconds: float) -> str:
    return f"{steps * recipe.batch / seconds:.1f}"


def _feed(recipe: Recipe, task: AnyTask, device: torch.device) -> Feed[Any]:
    share = assembly.share_of(recipe.batch, 1, World())
    batches: Iterator[Any] = task.batches(0, share, device)
    return Feed(batches, device)


def _stepper(recipe: Recipe, task: AnyTask, device: torch.device) -> Stepper:
    trained = assembly.make_trained(recipe, task, device)
    return Stepper(
        task,
        assembly.wrapped(recipe, task, World(), device),
        trained.optimiser,
        trained.scaler,
        precision=recipe.precision,
        clip_norm=recipe.clip_norm,
        seed=recipe.seed,
        world=World(),
        device=device,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("recipe")
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
