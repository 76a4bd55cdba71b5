"""Milliseconds a click, and memory, of every model there is.

    python -m benchmarks zoo
    python -m benchmarks.zoo [--rounds N] [--device cpu] [MODEL ...]

As `benchmarks.segmenters`, on a picture of 1280 x 960 pixels: the first click includes preparing
the picture, a following one continues from the state before it. Each model has its own process,
whose peak of memory is the model's; on a GPU it is the GPU's. Work is the time of all processor
cores together, which hardly depends on what else the machine does. Weights are random unless they
are installed: they take the same time, except for refinement, which ends sooner or later than it
would. A model that this machine has no memory for is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import psutil
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from backend.engine.segmenters import choose_device
from backend.evaluation import machine
from backend.settings import load
from benchmarks import segmenters
from benchmarks.timing import of, stopwatch
from models import zoo

COPIES = 3
"""A network, the copy that a segmenter makes of it, and room for what it computes."""
REST = 1 << 30
"""Bytes of a process around the network."""


@dataclass(frozen=True)
class Measured:
    """One model: milliseconds (medians; `p95` of following clicks) and peak mebibytes.

    The `work` of a click is the processor time of all threads.
    """

    model: str
    weights: str
    first: float
    following: float
    p95: float
    first_work: float
    following_work: float
    peak: float


def main() -> None:
    """Measure one model after the other and print; one alone as JSON."""
    parser = argparse.ArgumentParser(description="Time and memory of every model.")
    parser.add_argument("models", nargs="*", default=list(zoo.SEGMENTERS), metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default=load().device)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    if arguments.alone:
        print(json.dumps(asdict(_measure(arguments.models[0], arguments.rounds, device))))
        return
    table = Table("model", "first click", "following", "p95", "work, first", "following", "memory")
    table.box, table.columns[0].no_wrap = SIMPLE, True
    for name in arguments.models:
        found = _apart(name, arguments.rounds, device)
        if isinstance(found, str):
            table.add_row(name, found)
            continue
        times = (found.first, found.following, found.p95, found.first_work, found.following_work)
        cells = (f"{value:.0f} ms" for value in times)
        table.add_row(name, *cells, f"{found.peak:.0f} MiB")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe(device))


def _apart(name: str, rounds: int, device: str) -> Measured | str:
    """A model measured in a process of its own, or why it was not."""
    needed = int(zoo.architecture(name.partition("@")[0]).mebibytes * 2**20) * COPIES + REST
    free = psutil.virtual_memory().available
    if needed > free:
        return f"left out: needs {needed / 2**30:.1f} GiB, free are {free / 2**30:.1f}"
    command = [sys.executable, "-m", "benchmarks.zoo", "--alone", name]
    options = ["--rounds", str(rounds), "--device", device]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if ran.returncode:
        return f"failed: {ran.stderr.strip().splitlines()[-1][:60]}"
    return Measured(**json.loads(ran.stdout))


def _measure(name: str, rounds: int, device: str) -> Measured:
    """One model, in this process."""
    segmenter, origin = segmenters.made(name, load(), device)
    calls = segmenters.steps(segmenter, origin)
    times: dict[str, list[float]] = {step: [] for step in calls}
    work: dict[str, list[float]] = {step: [] for step in calls}
    for count in range(rounds + 1):
        for step, call in calls.items():
            before = time.process_time()
            taken = stopwatch(call)
            if count:
                times[step].append(taken)
                work[step].append((time.process_time() - before) * 1000)
    found = {step: of(taken) for step, taken in times.items()}
    busy = {step: of(taken).median for step, taken in work.items()}
    return Measured(
        model=name,
        weights=origin,
        first=found["prepare"].median + found["first click"].median,
        following=found["following click"].median,
        p95=found["following click"].p95,
        first_work=busy["prepare"] + busy["first click"],
        following_work=busy["following click"],
        peak=_peak(device),
    )


def _peak(device: str) -> float:
    """Mebibytes at most in use so far: of the GPU where it is one, else of this process."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
