"""What a person sees of a training: a progress bar, TensorBoard, sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

from backend.training import curves
from backend.training.task import Pictures

FOLDER = "tensorboard"


@dataclass(frozen=True)
class Reading:
    """The numbers of the steps since the last reading, the newest of them number `step`.

    `losses` by name and their sum `total`; `rate`, the learning rate; `norm`, the gradient's
    before it was clipped; `samples_per_second`; `wait`, the share of time (0 to 1) in which
    training stood still for want of data; `skipped`, steps whose gradient was not finite.
    """

    step: int
    total: float
    losses: Mapping[str, float]
    rate: float
    norm: float
    samples_per_second: float
    wait: float
    skipped: int

    def text(self) -> str:
        """One line for a person."""
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
        line = (
            f"loss {self.total:.4g} ({terms}), rate {self.rate:.3g},"
            f" {self.samples_per_second:.3g} samples/s, {self.wait:.0%} waiting for data"
        )
        return line + (f", {self.skipped} steps skipped" if self.skipped else "")

    def row(self) -> dict[str, float | int]:
        """The row of the curves."""
        return {
            "step": self.step,
            "loss": self.total,
            **{f"loss/{name}": value for name, value in self.losses.items()},
            "rate": self.rate,
            "norm": self.norm,
            "samples_per_second": self.samples_per_second,
            "wait": self.wait,
            "skipped": self.skipped,
        }


class _Bar(Progress):
    """The bar with the newest numbers in a line of their own: together they are too wide."""

    numbers = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, then the numbers."""
        yield from super().get_renderables()
        if self.numbers:
            yield Text(self.numbers)


class Monitor:
    """Shows a training of `steps` steps that is at step `start`, and keeps its numbers in `out`.

    A context manager. On a terminal there is a progress bar; elsewhere each reading is a line.
    Those of `shown` False (all processes but the first) do nothing at all.
    """

    def __init__(
        self, out: Path, steps: int, start: int, *, shown: bool, console: Console | None = None
    ) -> None:
        self._out = out
        self._shown = shown
        self._console = console or Console(stderr=True)
        self._writer: SummaryWriter | None = None
        self._start = start
        self._bar = _Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not shown or not self._console.is_terminal,
        )
        self._line = self._bar.add_task("", total=steps, completed=start)

    def __enter__(self) -> Self:
        if self._shown:
            curves.rewind(self._out, self._start)
            self._writer = SummaryWriter(str(self._out / FOLDER), purge_step=self._start + 1)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def say(self, sentence: str) -> None:
        """A sentence for the person at the terminal."""
        if self._shown:
            self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def advance(self, step: int) -> None:
        """`step` steps are done."""
        self._bar.update(self._line, completed=step)

    def read(self, reading: Reading) -> None:
        """Show and keep the numbers."""
        if not self._shown:
            return
        row = reading.row()
        curves.append(self._out, row)
        self.scalars(reading.step, {key: row[key] for key in row if key != "step"})
        self._bar.numbers = reading.text()
        if self._bar.disable:
            self.say(f"step {reading.step}: {reading.text()}")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers for TensorBoard."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, pictures: Pictures) -> None:
        """Example pictures for TensorBoard."""
        if self._writer is not None:
            self._writer.add_images("examples", pictures, step, dataformats="NHWC")
