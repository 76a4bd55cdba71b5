"""The loop: from a recipe and data to weights, whatever the network.

Exactness: batches and chance are functions of the seed and the step, the optimiser's and the
average's state lie in the checkpoint, so a training that goes on after a kill makes the weights
that it would have made (bit for bit on the CPU with the same threads; on a GPU as far as its
kernels are deterministic).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from backend.engine.segmenters import choose_device
from backend.errors import InvalidRequest
from backend.training import assembly, distributed, lock
from backend.training.distributed import World
from backend.training.feed import Feed
from backend.training.monitor import Monitor
from backend.training.recipe import Recipe
from backend.training.run import Run
from backend.training.settings import RunSettings
from backend.training.stopping import Stop

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop: asking costs a wait."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: after `step` steps, at the recipe's end or before, with these files."""

    step: int
    finished: bool
    sentence: str
    weights: tuple[Path, ...]


def train(
    recipe: Recipe,
    data: Sequence[Path],
    out: Path,
    settings: RunSettings,
    *,
    weights: Path | None = None,
    world: World | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train until the recipe's last step, a signal, or the end of the minutes given.

    Goes on from the newest checkpoint in `out` if there is one; `weights` are where a training
    begins. Checkpoints, curves, TensorBoard's files, the summary and the weights are written into
    `out`. Raises InvalidRequest, InvalidSettings and TrainingFailed with a sentence.
    """
    world = world or World()
    check_paths(data, out, weights)
    with Stop(settings.minutes) as stop:
        device = distributed.own_device(choose_device(settings.device), world)
        assembly.tune(device)
        with distributed.joined(world, device):
            run = Run(
                recipe, tuple(data), out, settings, weights=weights, world=world, device=device
            )
            monitor = Monitor(out, recipe.steps, run.done, shown=world.first, console=console)
            with _own(out) if world.first else nullcontext(), monitor:
                return _train(run, monitor, stop)


def check_paths(data: Sequence[Path], out: Path, weights: Path | None) -> None:
    """Raise InvalidRequest for what is not there, or is not what it should be."""
    if not data:
        raise InvalidRequest("training needs data: give a path with --data", field="data")
    for path in data:
        if not path.exists():
            raise InvalidRequest(f"there are no data at {path} (--data)", field="data")
    if out.exists() and not out.is_dir():
        raise InvalidRequest(f"{out} is a file; --out wants a folder", field="out")
    if weights is not None and not weights.is_file():
        raise InvalidRequest(
            f"there is no file of weights at {weights} (--weights)", field="weights"
        )


def _own(out: Path) -> AbstractContextManager[None]:
    """The folder, made if it is not there, and no other training's while inside."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(
            f"the folder {out} cannot be made: {error.strerror} (--out)", field="out"
        ) from None
    return lock.held(out)


def _train(run: Run, monitor: Monitor, stop: Stop) -> Outcome:
    if run.done >= run.recipe.steps:
        reason = "Finished before: nothing is left to do"
    else:
        for sentence in run.begin():
            monitor.say(sentence)
        reason = _steps(run, monitor, stop)
    weights = run.end()
    finished = run.done >= run.recipe.steps
    sentence = f"{reason} after step {run.done} of {run.recipe.steps}."
    if not finished:
        sentence += " The same command goes on from there."
    monitor.say(sentence)
    for path in weights:
        monitor.say(f"Weights: {path}")
    return Outcome(run.done, finished, sentence, weights)


def _steps(run: Run, monitor: Monitor, stop: Stop) -> str:
    """Make steps until one of the reasons to stop, which is returned."""
    batches = run.task.batches(run.done * run.settings.accumulate, run.share, run.device)
    with Feed(batches, run.device, run.settings.accumulate) as feed:
        while run.done < run.recipe.steps:
            if (reason := _agreed(run, stop)) is not None:
                break
            try:
                parts = [feed.take() for _ in range(run.settings.accumulate)]
            except Exception:
                # Ctrl-C reaches the processes that load data as well, and ends them.
                reason = stop.reason() if run.world.count == 1 else None
                if reason is None:
                    raise
                break
            run.step(parts)
            run.after_step(parts[0], feed, monitor)
        else:
            reason = "Finished"
        run.read(feed, monitor)
    return reason


def _agreed(run: Run, stop: Stop) -> str | None:
    """The reason to stop; several processes stop after the same step."""
    reason = stop.reason()
    if run.world.count == 1:
        return reason
    if run.done % AGREE_EVERY == 0 and distributed.any_of(
        reason is not None, run.world, run.device
    ):
        return reason or "Stopped with another process"
    return None
