"""A segmenter for tests that really segments: it grows regions of like colour from the clicks.

No weights, no torch, a millisecond a click on a small picture; and its answer depends on the order
of the clicks and on the state, so whatever loses either is found out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from backend.worker.recovery import Pace
from models.prompts import Prompt
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id
from models.state import State

VERSION = "mobilesam@growing:0123456789ab"
TOLERANCE = 40
FADE = 0.75

PACE = Pace(beat=0.1, lease=1.0, sweep=0.1, idle=0.1)
"""Workers that are missed sooner than in earnest."""

FloatMap = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GrowingPicture(Prepared):
    image: Image


@dataclass
class Growing(Segmenter):
    """`before_pass` sees the questions of each pass before it begins, and may raise or wait."""

    version: str = VERSION
    settings: str = f"tolerance={TOLERANCE}"
    before_pass: Callable[[Sequence[Query]], None] = lambda _: None
    before_prepare: Callable[[], None] = lambda: None
    batches: list[int] = field(default_factory=list)
    prepared: int = 0
    threads: set[str] = field(default_factory=set)

    def prepare(self, image: Image, picture: str | None = None) -> Prepared:
        self.before_prepare()
        self.prepared += 1
        self.threads.add(threading.current_thread().name)
        height, width = image.shape[:2]
        picture = picture or picture_id(image)
        return GrowingPicture(picture, (height, width), image.nbytes, image)

    def batch_key(self, query: Query) -> Hashable:
        return query.prepared.size

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        self.before_pass(queries)
        self.batches.append(len(queries))
        self.threads.add(threading.current_thread().name)
        return [self._answer(query) for query in queries]

    def _answer(self, query: Query) -> Result:
        prepared = query.prepared
        assert isinstance(prepared, GrowingPicture)
        prompt, state = query.prompt, query.state
        if state is not None and state.belongs_to(self.version, prepared.picture):
            values, seeds = state.arrays["map"].astype(np.float32), prompt.clicks[-1:]
        else:
            values, seeds = _base(prepared, prompt), prompt.clicks
        for click in seeds:
            values = _grown(prepared.image, values, click.x, click.y, click.positive)
        kept = State(self.version, prepared.picture, {"map": values.astype(np.float16)})
        rows = np.flatnonzero((values > 0).any(axis=1))
        columns = np.flatnonzero((values > 0).any(axis=0))
        if not rows.size:
            return Result(prepared.size, (0, 0, 0, 0), np.zeros((0, 0), np.float32), kept, 0.0)
        left, top = int(columns[0]), int(rows[0])
        right, bottom = int(columns[-1]) + 1, int(rows[-1]) + 1
        region = values[top:bottom, left:right]
        return Result(
            prepared.size, (left, top, right, bottom), region, kept, float(region.mean()), 0.3
        )


def _base(prepared: GrowingPicture, prompt: Prompt) -> FloatMap:
    values = np.zeros(prepared.size, np.float32)
    if prompt.mask is not None:
        values[prompt.mask] = 0.6
    if prompt.box is not None:
        left, top, right, bottom = (int(edge) for edge in prompt.box)
        x, y = (left + right) / 2, (top + bottom) / 2
        grown = _grown(prepared.image, values, x, y, True)
        values[top:bottom, left:right] = grown[top:bottom, left:right]
    for scribble in prompt.scribbles:
        for x, y in scribble.points:
            values = _grown(prepared.image, values, x, y, scribble.positive)
    return values


def _grown(image: Image, values: FloatMap, x: float, y: float, positive: bool) -> FloatMap:
    """The map with the region around a position raised or lowered; all else fades."""
    row, column = int(y), int(x)
    near = np.abs(image.astype(np.int16) - image[row, column]).max(axis=2) <= TOLERANCE
    _, labels = cv2.connectedComponents(near.astype(np.uint8))
    region = labels == labels[row, column]
    faded = (values * FADE).astype(np.float16).astype(np.float32)
    change = np.float32(0.5 if positive else -0.6)
    return np.clip(faded + np.where(region, change, 0), 0, 1).astype(np.float32)


@dataclass
class GrowingSource:
    """Gives one segmenter for every model, and counts how often it was asked to."""

    segmenter: Growing = field(default_factory=Growing)
    loads: int = 0
    fault: Exception | None = None

    def version(self, model: str) -> str:
        if self.fault is not None:
            raise self.fault
        return self.segmenter.version

    def load(self, model: str) -> Segmenter:
        self.loads += 1
        if self.fault is not None:
            raise self.fault
        return self.segmenter
