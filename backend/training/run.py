"""A run of a training: its steps, and what is done beside them."""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from backend.engine.device import is_out_of_memory
from backend.errors import TrainingFailed
from backend.evaluation import machine
from backend.training import assembly, checkpoint, curves, export, resuming, summary
from backend.training.distributed import World
from backend.training.feed import Feed
from backend.training.monitor import Monitor, Reading
from backend.training.optimisation import rate_factor, set_rate
from backend.training.plot import FILE, write_curves
from backend.training.recipe import Inputs, Recipe
from backend.training.settings import RunSettings
from backend.training.step import Progress, Stepper
from backend.training.summary import History, Told
from backend.training.trained import evaluating
from models import checkpoints

MOST_SKIPPED = 50
"""Steps in a row whose gradient is not finite, after which a training is given up."""


class Run:
    """Everything that makes and keeps the steps of a training.

    Made anew or from the newest checkpoint in `out`; `done` counts the steps that are made.
    Raises as `loop.train` does.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: tuple[Path, ...],
        out: Path,
        settings: RunSettings,
        *,
        weights: Path | None,
        world: World,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recipe, self.settings = recipe, settings
        self.world, self.device = world, device
        self.share = assembly.share_of(recipe.batch, settings.accumulate, world)
        self._out, self._clock = out, clock
        fingerprints = [summary.fingerprint(path) for path in data]
        changeable = settings.accept_changes
        start = resuming.find(out, recipe, fingerprints, weights, accept_changes=changeable)
        self.task = assembly.make_task(
            recipe, Inputs(data, weights, device, settings.workers, settings.validation), world
        )
        self._trained = assembly.make_trained(recipe, self.task, device)
        self.done = start.step
        self._history = History(begun=summary.now())
        if start.content is not None:
            self._trained.restore(start.content)
            self._history = History(**start.content["run"]["history"])
        self._told = Told(
            summary.described(recipe),
            dataclasses.asdict(settings),
            start.weights,
            fingerprints,
            dict(self.task.describe()),
            {**machine.describe(str(device)), "processes": world.count},
        )
        self._changes = start.changes
        self._stepper = Stepper(
            self.task,
            assembly.wrapped(recipe, self.task, world, device),
            self._trained.optimiser,
            self._trained.scaler,
            precision=recipe.precision,
            clip_norm=recipe.clip_norm,
            seed=recipe.seed,
            world=world,
            device=device,
        )
        self._began = self._read_at = self._saved_at = clock()

    def begin(self) -> Sequence[str]:
        """Start the clocks and write the summary; gives sentences for the person who looks on."""
        sentences = []
        if self.done:
            row = {"step": self.done, "at": summary.now(), "changes": list(self._changes)}
            self._history.resumed.append(row)
            sentences.append(f"Going on from the checkpoint after step {self.done}.")
            sentences += [f"Changed since: {change}." for change in self._changes]
        if self.recipe.sync_batch_norm and self.world.count > 1 and self.device.type != "cuda":
            sentences.append("Batch norms are not synchronised: only GPUs can do that.")
        if self.world.first:
            self._summarise("running", ())
        self._began = self._read_at = self._saved_at = self._clock()
        return sentences

    def step(self, parts: Sequence[Any]) -> None:
        """Make one step with the parts of its batch. Raises TrainingFailed where memory ends."""
        factor = rate_factor(self.recipe.schedule, self.done, self.recipe.steps)
        set_rate(self._trained.optimiser, self.recipe.optimiser.rate * factor)
        try:
            self._stepper.step(self.done, parts)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingFailed(
                f"the memory of {self.device} ended in step {self.done}; take the batch in more"
                f" parts (--accumulate, now {self.settings.accumulate}), or a smaller one"
                f" (--batch, now {self.recipe.batch}). {self._kept()}"
            ) from None
        if self._trained.average is not None:
            self._trained.average.update(self.task.network, self.done)
        self.done += 1

    def after_step(self, batch: Any, feed: Feed[Any], monitor: Monitor) -> None:
        """What is due after this step: numbers, pictures, measurements, a checkpoint."""
        due = self.settings
        monitor.advance(self.done)
        if self.done % due.log_steps == 0 or self.done == self.recipe.steps:
            self.read(feed, monitor)
        aside = self._clock()
        if self.world.first:
            if self.done % due.picture_steps == 0 or self.done == self.recipe.steps:
                self._picture(batch, monitor)
            if self.done % due.measure_steps == 0 or self.done == self.recipe.steps:
                self._measure(monitor)
            if self._clock() - self._saved_at >= due.save_minutes * 60:
                self.save("running")
        self._read_at += self._clock() - aside

    def read(self, feed: Feed[Any], monitor: Monitor) -> None:
        """Read and show the numbers of the steps since the last reading.

        Raises TrainingFailed where no step has changed anything for too long.
        """
        tally = self._stepper.tally
        if tally is None or not tally.steps:
            return
        progress = tally.read(self.world)
        self._history.skipped += progress.skipped
        now = self._clock()
        seconds, self._read_at = now - self._read_at, now
        monitor.read(self._reading(progress, seconds, feed.waited()))
        if progress.skipped and self.recipe.precision != "float16":
            monitor.say(_skipped(progress, self.done))
        if progress.streak >= MOST_SKIPPED:
            raise TrainingFailed(
                f"{_skipped(progress, self.done)} The last {progress.streak} steps changed"
                f" nothing, so the training ends. Lower the learning rate or clip the gradient;"
                f" with float16, try --precision bfloat16. {self._kept()}"
            )

    def save(self, status: str) -> None:
        """Write a checkpoint and the summary. Raises TrainingFailed for weights that are none."""
        if bad := export.not_finite(self._trained.network):
            raise TrainingFailed(
                f"after step {self.done}, {len(bad)} tensors of the network hold infinities or"
                f" NaN ({', '.join(bad[:3])}): nothing is saved. {self._kept()}"
            )
        self._count_time()
        content = self._trained.content()
        if self.settings.checkpoint_half:
            content = checkpoint.halved(content)
        told = {
            "recipe": self._told.recipe,
            "start_weights": self._told.start_weights,
            "data": self._told.data,
            "history": dataclasses.asdict(self._history),
        }
        checkpoint.write(self._out, self.done, {**content, "run": told}, self.settings.keep)
        self._summarise(status, ())
        self._saved_at = self._clock()

    def end(self) -> tuple[Path, ...]:
        """Write checkpoint, weights, summary and curves; gives the files of weights."""
        if not self.world.first:
            return ()
        status = "finished" if self.done >= self.recipe.steps else "stopped"
        self.save(status)
        name = self.settings.name or checkpoints.name_from(self._out.resolve())
        files = export.export(
            self._out,
            self.task,
            self._trained.best,
            self.recipe.architecture,
            name,
            half=self.settings.half,
        )
        self._summarise(status, files)
        write_curves(
            self._out / FILE,
            curves.thinned(curves.read(self._out)),
            self._history.measured,
            f"{self.recipe.name}, {self.done:,} steps of {self.recipe.batch} samples",
        )
        return tuple(files)

    def _reading(self, progress: Progress, seconds: float, waited: float) -> Reading:
        rate = self._trained.optimiser.param_groups[0]
        seconds = max(seconds, 1e-9)
        return Reading(
            step=self.done,
            total=progress.total,
            losses=progress.losses,
            rate=rate["lr"] / rate["rate"] if rate["rate"] else 0.0,
            norm=progress.norm,
            samples_per_second=progress.steps * self.recipe.batch / seconds,
            wait=min(waited / seconds, 1.0),
            skipped=progress.skipped,
        )

    def _picture(self, batch: Any, monitor: Monitor) -> None:
        with evaluating(self.task.network):
            pictures = self.task.pictures(batch)
        if pictures is not None:
            monitor.pictures(self.done, pictures)

    def _measure(self, monitor: Monitor) -> None:
        with evaluating(self._trained.best):
            measured = dict(self.task.measure(self._trained.best))
        if measured:
            row = {"step": self.done, **{name: float(value) for name, value in measured.items()}}
            self._history.measured.append(row)
            monitor.scalars(self.done, {f"measured/{name}": row[name] for name in measured})
            told = ", ".join(f"{name} {row[name]:.4g}" for name in measured)
            monitor.say(f"After step {self.done}: {told}")

    def _count_time(self) -> None:
        now = self._clock()
        seconds, self._began = now - self._began, now
        self._history.seconds += seconds
        self._history.device_hours += seconds * self.world.count / 3600
        peak = peak_mebibytes(self.device)
        self._history.peak_mebibytes = max(self._history.peak_mebibytes, peak)

    def _summarise(self, status: str, weights: Sequence[Path]) -> None:
        summary.write(
            self._out,
            status=status,
            step=self.done,
            told=self._told,
            history=self._history,
            weights=[summary.exported(path) for path in weights],
        )

    def _kept(self) -> str:
        kept = checkpoint.found(self._out)
        if not kept:
            return "There is no checkpoint before."
        return f"The newest checkpoint is {kept[0]}."


def peak_mebibytes(device: torch.device) -> int:
    """The most memory held so far: of the GPU by tensors, else of the machine by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10


def _skipped(progress: Progress, step: int) -> str:
    """The sentence on steps that changed nothing."""
    text = (
        f"Of the {progress.steps} steps up to step {step}, {progress.skipped} were skipped because"
        " their gradient was not finite"
    )
    if progress.not_finite:
        text += f"; not finite themselves were the losses {', '.join(progress.not_finite)}"
    return text + "."
