"""Milliseconds of a network alone: preparing a picture, and a click on it.

    python -m benchmarks.segmenters [--rounds N] [--device cpu] [MODEL ...]

RITM's three HRNets at zoom 400 with flip, and MobileSAM, on a picture of 1280 x 960 pixels, without
HTTP, queue or codecs. A following click continues from the state of the one before it. Where no
weights are installed, random ones are measured: they take the same time, but as what they see is
no object to zoom in on, the object is then given as an initial mask.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import models
from backend import weights
from backend.engine.segmenters import choose_device, served_options
from backend.errors import WeightsMissing
from backend.evaluation import machine
from backend.settings import Settings, load
from benchmarks.timing import Timing, of, stopwatch
from models import zoo
from models.prompts import Click, Prompt
from models.segmenter import Segmenter

PICTURE = Path(__file__).parents[1] / "docs" / "example.jpg"
SIZE = (1280, 960)
OBJECT = (510.0, 570.0)
"""The middle of the orange, as large as it is here."""
RADIUS = 184
CLICKS = (Click(*OBJECT), Click(600.0, 640.0))
MODELS = ("ritm-hrnet18s", "ritm-hrnet18", "ritm-hrnet32", "mobilesam")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Milliseconds of the networks alone.")
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default=None)
    arguments = parser.parse_args()
    settings = load()
    device = choose_device(arguments.device or settings.device)
    calls: dict[tuple[str, str, str], Callable[[], object]] = {}
    for name in arguments.models:
        segmenter, origin = made(name, settings, device)
        for step, call in steps(segmenter, origin).items():
            calls[name, origin, step] = call
    table = Table("model", "weights", "step", "median", "p95", "x " + arguments.models[0])
    table.columns[0].no_wrap = True
    base: dict[str, float] = {}
    for (name, origin, step), timing in _in_turn(calls, arguments.rounds).items():
        ratio = timing.median / base.setdefault(step, timing.median)
        table.add_row(name, origin, step, *timing.cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe(device))


def _in_turn(
    calls: Mapping[tuple[str, str, str], Callable[[], object]], rounds: int
) -> dict[tuple[str, str, str], Timing]:
    """All calls in turn, so that a busy machine is unfair to none; the first round warms up."""
    times: dict[tuple[str, str, str], list[float]] = {key: [] for key in calls}
    for count in range(rounds + 1):
        for key, call in calls.items():
            taken = stopwatch(call)
            if count:
                times[key].append(taken)
    return {key: of(taken) for key, taken in times.items()}


def steps(segmenter: Segmenter, origin: str) -> dict[str, Callable[[], object]]:
    """What an annotator waits for, by name."""
    image = _picture()
    prepared = segmenter.prepare(image)
    first = Prompt(CLICKS[:1])
    mask = _object() if origin == "random" else None
    state = segmenter.segment(prepared, first if mask is None else Prompt(mask=mask)).state
    following = Prompt(CLICKS, mask=mask)
    return {
        "prepare": lambda: segmenter.prepare(image),
        "first click": lambda: segmenter.segment(prepared, first).mask,
        "following click": lambda: segmenter.segment(prepared, following, state).mask,
    }


def made(name: str, settings: Settings, device: str) -> tuple[Segmenter, str]:
    """The segmenter as it is served, and whether its weights are real."""
    architecture, _ = zoo.parse(name)
    options = served_options(architecture.system, settings)
    try:
        path, origin = weights.installed(settings, name).path, "installed"
    except WeightsMissing:
        path, origin = None, "random"
    segmenter = models.segmenter(architecture.name, weights=path, device=device, **options)
    return segmenter, origin


def _picture() -> npt.NDArray[np.uint8]:
    """The example at 1280 x 960, uint8 HxWx3 RGB."""
    image = cv2.imread(str(PICTURE))
    assert image is not None, f"{PICTURE} is missing"
    enlarged = cv2.resize(image, SIZE, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(enlarged[..., ::-1], np.uint8)


def _object() -> npt.NDArray[np.bool_]:
    """The square around the orange, bool HxW."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    x, y = map(int, OBJECT)
    mask[y - RADIUS : y + RADIUS, x - RADIUS : x + RADIUS] = True
    return mask


if __name__ == "__main__":
    main()
