"""Milliseconds of tracking: starting a track, and following 1, 8 and 32 objects to a frame.

    python -m benchmarks.tracking [--rounds N] [--device cpu] [--threads 1] [--faithful]

TransT with four and with two fusion layers and random weights, which take the same time as any, on
frames of 1280 x 960 pixels, without HTTP or codecs. On a CPU the processor's time is measured, so
that other work on the machine does not count; elsewhere the time on the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Timing, of
from models.prompts import Box
from models.transt import FAITHFUL, LAYERS, TransTNetwork, TransTOptions, TransTTracker

SIZE = (960, 1280)
COUNTS = (1, 8, 32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Milliseconds of tracking.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--faithful", action="store_true", help="The authors' own arithmetic.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.device == "cpu" else time.perf_counter
    table = Table("network", "step", "median", "p95", "per object")
    for layers in LAYERS:
        options = FAITHFUL if arguments.faithful else TransTOptions()
        network = TransTNetwork(layers)
        tracker = TransTTracker(network, "transt@random:0", arguments.device, options)
        for step, count, call in steps(tracker):
            timing = measured(call, arguments.rounds, clock)
            table.add_row(f"N{layers}", step, *timing.cells, f"{timing.median / count:.1f} ms")
    Console().print(table)


def steps(tracker: TransTTracker) -> list[tuple[str, int, Callable[[], object]]]:
    """What is measured: its name, the number of objects, and the call."""
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (*SIZE, 3), np.uint8)
    boxes: list[Box] = [
        (float(x), float(y), float(x + 90), float(y + 120))
        for x, y in random.integers(0, (SIZE[1] - 90, SIZE[0] - 120), (max(COUNTS), 2))
    ]
    states = [tracker.start(frame, box) for box in boxes]

    def following(count: int) -> Callable[[], object]:
        return lambda: tracker.track_many(frame, states[:count])

    found: list[tuple[str, int, Callable[[], object]]] = [
        ("start", 1, lambda: tracker.start(frame, boxes[0]))
    ]
    found += [(f"frame, {count} objects", count, following(count)) for count in COUNTS]
    return found


def measured(call: Callable[[], object], rounds: int, clock: Callable[[], float]) -> Timing:
    """`rounds` calls after one that fills the caches."""
    call()
    times = []
    for _ in range(rounds):
        started = clock()
        call()
        times.append((clock() - started) * 1000)
    return of(times)


if __name__ == "__main__":
    main()
