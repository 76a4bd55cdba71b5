"""Milliseconds of a network alone: preparing a picture, and a click on it.

    python -m benchmarks.segmenters [--rounds N] [--device cpu] [MODEL ...]

RITM's three HRNets at zoom 400 with flip, and MobileSAM, on a picture of 1280 x 960 pixels, without
HTTP, queue or codecs. A following click continues from the state of the one before it. Where no
weights are installed, random ones are measured: they take the same time, but as what they see is
no object to zoom in on, the object is then given as an initial mask.
"""

from __future__ import annotations

import argparse
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
from benchmarks.timing import repeated
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
    table = Table("model", "weights", "step", "median", "p95", "x " + arguments.models[0])
    table.columns[0].no_wrap = True
    base: dict[str, float] = {}
    for name in arguments.models:
        for step, cells, median in _rows(name, settings, device, arguments.rounds):
            ratio = median / base.setdefault(step, median)
            table.add_row(name, *cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe(device))


def _rows(
    name: str, settings: Settings, device: str, rounds: int
) -> list[tuple[str, tuple[str, ...], float]]:
    """(step, cells, median) of each step of one model."""
    segmenter, origin = _segmenter(name, settings, device)
    image = _picture()
    prepared = segmenter.prepare(image)
    first = Prompt(CLICKS[:1])
    mask = _object() if origin == "random" else None
    state = segmenter.segment(prepared, first if mask is None else Prompt(mask=mask)).state
    following = Prompt(CLICKS, mask=mask)
    steps = {
        "prepare": lambda: segmenter.prepare(image),
        "first click": lambda: segmenter.segment(prepared, first).mask,
        "following click": lambda: segmenter.segment(prepared, following, state).mask,
    }
    found: list[tuple[str, tuple[str, ...], float]] = []
    for step, call in steps.items():
        timing = repeated(call, rounds)
        found.append((step, (origin, step, *timing.cells), timing.median))
    return found


def _segmenter(name: str, settings: Settings, device: str) -> tuple[Segmenter, str]:
    """The segmenter as it is served, and whether its weights are real."""
    architecture, _ = zoo.parse(name)
    options = served_options(architecture.system, settings)
    try:
        path, origin = weights.installed(settings, name).path, "installed"
    except WeightsMissing:
        path, origin = None, "random"
    made = models.segmenter(architecture.name, weights=path, device=device, **options)
    return made, origin


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
