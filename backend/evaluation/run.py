"""The evaluation loop: a simulated annotator clicks on every object of a set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backend.errors import InvalidImage, InvalidRequest
from backend.evaluation.clicker import CentreClicker, Clicker, RandomClicker
from backend.evaluation.datasets import OBJECT, DataSet, Labels, Sample
from backend.evaluation.metrics import iou
from backend.masks import Mask
from models.prompts import Box, Prompt
from models.segmenter import Prepared, Segmenter, replay
from models.state import State

STANDARD_CLICKS = 20
"""Clicks per object in the published protocol."""

Clock = Callable[[], float]
Finish = Callable[[Mask, Prompt], Mask]


def as_it_is(mask: Mask, prompt: Prompt) -> Mask:
    """The network's mask, unchanged."""
    return mask


@dataclass(frozen=True)
class Protocol:
    """How objects are clicked.

    `clicks` is the most per object. With `until`, clicking stops once that IoU is reached, which
    saves time where only NoC up to that target is wanted; the mean IoU per click then carries the
    last value on. With `box`, the object's true box comes before the first click. `random_clicks`
    takes the less tidy annotator, whose draws depend on `seed` and the object's key. With `start`
    the annotator corrects the mask of that name that the set brings along.
    """

    clicks: int = STANDARD_CLICKS
    until: float | None = None
    box: bool = False
    random_clicks: bool = False
    seed: int = 0
    start: str | None = None

    def clicker(self, labels: Labels, key: str) -> Clicker:
        """The annotator of one object."""
        if self.random_clicks:
            return RandomClicker(labels, f"{self.seed}:{key}")
        return CentreClicker(labels)


@dataclass(frozen=True)
class ObjectRecord:
    """What came out of one object.

    `answers` are the IoUs after each prompt: first that of the box or the initial mask alone,
    where one was given, then one per click. `mask` is the last one. Seconds are the segmenter's
    own: `prepare_seconds` is None where the picture was prepared for an earlier object;
    `segment_seconds` has one value per prompt.
    """

    sample: Sample
    prompt: Prompt
    answers: tuple[float, ...]
    mask: Mask
    prepare_seconds: float | None
    segment_seconds: tuple[float, ...]

    @property
    def first(self) -> int:
        """The click number of the first answer: 0 for a box or an initial mask, else 1."""
        return 0 if self.prompt.has_base else 1


@dataclass(frozen=True)
class Evaluation:
    """The records of a set, at least one.

    `skipped` are the keys of samples whose ground truth holds no object.
    """

    dataset: DataSet
    protocol: Protocol
    version: str
    settings: str
    records: tuple[ObjectRecord, ...]
    skipped: tuple[str, ...] = ()


class Desk:
    """A segmenter and the picture that lies before it: prepared once for all its objects.

    `clock` gives seconds; `finish` is what becomes of a mask before anybody sees it.
    """

    def __init__(self, segmenter: Segmenter, clock: Clock, finish: Finish) -> None:
        self.segmenter = segmenter
        self.clock = clock
        self.finish = finish
        self._picture: str | None = None
        self._prepared: Prepared | None = None

    def prepare(self, sample: Sample) -> tuple[Prepared, float | None]:
        """The sample's picture, prepared, and the seconds it took if it was not there yet."""
        if self._prepared is not None and self._picture == sample.picture:
            return self._prepared, None
        self._prepared = None
        image = sample.read_image()
        start = self.clock()
        prepared = self.segmenter.prepare(image)
        seconds = self.clock() - start
        self._picture, self._prepared = sample.picture, prepared
        return prepared, seconds


class Attempt:
    """One object being clicked: every prompt continues from the state of the one before."""

    def __init__(self, desk: Desk, prepared: Prepared, labels: Labels) -> None:
        self._desk, self._prepared, self._labels = desk, prepared, labels
        self._state: State | None = None
        self.prompt = Prompt()
        self.mask = Mask.empty((labels.shape[0], labels.shape[1]))
        self.ious: list[float] = []
        self.seconds: list[float] = []

    def ask(self, prompt: Prompt) -> None:
        """Take the answer to `prompt`, one step on, by the rules that serving follows."""
        start = self._desk.clock()
        results = replay(
            self._desk.segmenter, self._prepared, prompt, self._state, answered=len(self.ious)
        )
        mask = results[-1].mask
        self.seconds.append(self._desk.clock() - start)
        self._state, self.prompt = results[-1].state, prompt
        self.mask = self._desk.finish(Mask.of(mask), prompt)
        self.ious.append(iou(self._labels, self.mask.full))

    def reached(self, until: float | None) -> bool:
        """Whether the last answer is good enough; never without a target."""
        return until is not None and bool(self.ious) and self.ious[-1] >= until


def evaluate(
    segmenter: Segmenter,
    dataset: DataSet,
    protocol: Protocol | None = None,
    *,
    progress: Callable[[], None] = lambda: None,
    clock: Clock = time.perf_counter,
    finish: Finish = as_it_is,
) -> Evaluation:
    """Click on every object of `dataset`; `progress` is called after each.

    `finish` is applied to every mask before it is measured and shown to the annotator.

    Raises `InvalidImage` for a file of the set that cannot be read, and `InvalidRequest` where
    not one ground truth holds an object.
    """
    protocol = protocol or Protocol()
    desk = Desk(segmenter, clock, finish)
    records, skipped = [], []
    for sample in dataset.samples:
        labels = sample.read_labels()
        if np.any(labels == OBJECT):
            records.append(evaluate_object(desk, sample, labels, protocol))
        else:
            skipped.append(sample.key)
        progress()
    if not records:
        raise InvalidRequest(f"{dataset.root}: no ground truth of the set holds an object")
    return Evaluation(
        dataset, protocol, segmenter.version, segmenter.settings, tuple(records), tuple(skipped)
    )


def evaluate_object(desk: Desk, sample: Sample, labels: Labels, protocol: Protocol) -> ObjectRecord:
    """Click on one object up to the protocol's limit or target, or until nothing is wrong.

    A given mask is corrected once at least. Raises `InvalidImage` where picture and ground truth
    differ in size, and `InvalidRequest` where the set has no such masks.
    """
    prepared, prepare_seconds = desk.prepare(sample)
    if prepared.size != labels.shape:
        raise InvalidImage(
            f"{sample.picture} is {prepared.size} (height, width) and its mask {labels.shape}"
        )
    attempt = Attempt(desk, prepared, labels)
    clicker = protocol.clicker(labels, sample.key)
    if protocol.box or protocol.start:
        box = bounding_box(labels) if protocol.box else None
        attempt.ask(Prompt(box=box, mask=_start(sample, protocol.start)))
    least = 1 if protocol.start else 0
    while len(attempt.prompt.clicks) < protocol.clicks:
        if len(attempt.prompt.clicks) >= least and attempt.reached(protocol.until):
            break
        click = clicker.next_click(attempt.mask.full)
        if click is None:
            break
        attempt.ask(replace(attempt.prompt, clicks=(*attempt.prompt.clicks, click)))
    return ObjectRecord(
        sample,
        attempt.prompt,
        tuple(attempt.ious),
        attempt.mask,
        prepare_seconds,
        tuple(attempt.seconds),
    )


def _start(sample: Sample, name: str | None) -> npt.NDArray[np.bool_] | None:
    if name is None:
        return None
    if name not in sample.starts:
        known = ", ".join(sample.starts) or "none"
        raise InvalidRequest(
            f"the set has no masks called {name!r} to start from; there are {known}", field="start"
        )
    return sample.starts[name]()


def bounding_box(labels: Labels) -> Box:
    """The tight half-open box around the object; pixels to ignore are not part of it."""
    left, top, right, bottom = Mask.of(labels == OBJECT).box
    return float(left), float(top), float(right), float(bottom)
