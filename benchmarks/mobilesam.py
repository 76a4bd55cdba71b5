"""Milliseconds of MobileSAM at several input sizes, and what a large photograph adds to a click.

    python -m benchmarks.mobilesam [--rounds N] [--device cpu] [SIDE ...]

Preparing a picture of 1280 x 960 pixels, a first and a following click on it, a box, and the same
following click on a picture of 12 megapixels, whose mask has to be brought to its size. Without
installed weights random ones are measured: they take the same time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

import models
from backend import weights
from backend.engine.segmenters import choose_device
from backend.errors import WeightsMissing
from backend.evaluation import machine
from backend.settings import Settings, load
from benchmarks.timing import repeated
from models.prompts import Click, Prompt
from models.segmenter import Segmenter

PICTURE = Path(__file__).parents[1] / "docs" / "example.jpg"
SIZE = (1280, 960)
LARGE = (4000, 3000)
SIDES = (1024, 768, 512)
CLICKS = (Click(510, 570), Click(600, 640), Click(510, 860, positive=False))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Milliseconds of MobileSAM.")
    parser.add_argument("sides", nargs="*", type=int, default=SIDES, metavar="SIDE")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default=None)
    arguments = parser.parse_args()
    settings = load()
    device = choose_device(arguments.device or settings.device)
    table = Table("input side", "weights", "step", "median", "p95", f"x {arguments.sides[0]}")
    base: dict[str, float] = {}
    for side in arguments.sides:
        segmenter, origin = _segmenter(settings, device, side)
        for step, call in _steps(segmenter).items():
            timing = repeated(call, arguments.rounds)
            ratio = timing.median / base.setdefault(step, timing.median)
            table.add_row(str(side), origin, step, *timing.cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe(device))


def _steps(segmenter: Segmenter) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    image = _picture(SIZE)
    prepared = segmenter.prepare(image)
    first = Prompt(CLICKS[:1])
    state = segmenter.segment(prepared, first).state
    large = segmenter.prepare(_picture(LARGE))
    scale = LARGE[0] / SIZE[0]
    enlarged = [Click(c.x * scale, c.y * scale, c.positive) for c in CLICKS[:2]]
    large_state = segmenter.segment(large, Prompt(tuple(enlarged[:1]))).state
    box = Prompt(box=(330, 400, 690, 800))
    return {
        "prepare": lambda: segmenter.prepare(image),
        "first click": lambda: segmenter.segment(prepared, first).mask,
        "following click": lambda: segmenter.segment(prepared, Prompt(CLICKS[:2]), state).mask,
        "box": lambda: segmenter.segment(prepared, box).mask,
        "click, 12 megapixels": lambda: (
            segmenter.segment(large, Prompt(tuple(enlarged)), large_state).mask
        ),
    }


def _segmenter(settings: Settings, device: str, side: int) -> tuple[Segmenter, str]:
    """The segmenter at an input side, and whether its weights are real."""
    try:
        path, origin = weights.installed(settings, "mobilesam").path, "installed"
    except WeightsMissing:
        path, origin = None, "random"
    return models.segmenter("mobilesam", weights=path, device=device, input_side=side), origin


def _picture(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The example at `size` (width, height), uint8 HxWx3 RGB."""
    with Image.open(PICTURE) as opened:
        return np.asarray(opened.convert("RGB").resize(size))


if __name__ == "__main__":
    main()
