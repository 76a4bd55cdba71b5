"""Milliseconds of a RITM click, and what each way of computing it costs.

    python -m benchmarks.ritm [--rounds N] [--device cpu] [MODEL ...]

Zoom 400 on a picture of 1280 x 960 pixels: the first click sees it at 800 x 600, the following
one a crop of 400 x 400 around a square object. Weights are random: they take the same time. The
ways take turns, so that a busy machine is equally unfair to all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import models
from backend.engine.segmenters import choose_device
from backend.evaluation import machine
from benchmarks.timing import of, stopwatch
from models.prompts import Click, Prompt
from models.ritm import CONFIGS
from models.segmenter import Image, Query, Segmenter

HEIGHT, WIDTH = 960, 1280
CLICKS = (Click(640.0, 480.0), Click(600.0, 450.0))
WAYS: Mapping[str, dict[str, Any]] = {
    "as served": {},
    "without flip": {"flip": False},
    "the authors' arithmetic": {"fast_arithmetic": False},
    "the authors' first click": {"first_click_side": None},
}
BATCH = 4
TOGETHER = f"{BATCH} at once, each"

Call = Callable[[], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Milliseconds of a RITM click.")
    parser.add_argument("models", nargs="*", default=list(CONFIGS), metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    table = Table("model", "way", "step", "median", "p95", "x as served")
    for name in arguments.models:
        served: dict[str, float] = {}
        for (way, step), milliseconds in measure(name, device, arguments.rounds).items():
            timing = of(milliseconds)
            ratio = timing.median / served.setdefault(step, timing.median)
            table.add_row(name, way, step, *timing.cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe(device))


def measure(name: str, device: str, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds by (way, step), all ways in turn; the first round does not count."""
    calls: dict[tuple[str, str], Call] = {}
    for way, options in WAYS.items():
        first, following, together = steps(models.segmenter(name, device=device, **options))
        calls[way, "first click"], calls[way, "following click"] = first, following
        if not options:
            calls[TOGETHER, "following click"] = together
    found: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for count in range(rounds + 1):
        for key, call in calls.items():
            share = BATCH if key[0] == TOGETHER else 1
            taken = stopwatch(call) / share
            if count:
                found[key].append(taken)
    return found


def steps(segmenter: Segmenter) -> tuple[Call, Call, Call]:
    """A first click, a following one, and several following ones in one batch."""
    prepared = segmenter.prepare(picture())
    given = segmenter.segment(prepared, Prompt(mask=square())).state
    first, following = Prompt(CLICKS[:1]), Prompt(CLICKS, mask=square())
    return (
        lambda: segmenter.segment(prepared, first).mask,
        lambda: segmenter.segment(prepared, following, given).mask,
        lambda: segmenter.segment_batch([Query(prepared, following, given)] * BATCH),
    )


def picture() -> Image:
    """Noise; the content does not matter."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def square() -> npt.NDArray[np.bool_]:
    """An object of 240 x 240 pixels, whose crop is 336 x 336."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[360:600, 520:760] = True
    return mask


if __name__ == "__main__":
    main()
