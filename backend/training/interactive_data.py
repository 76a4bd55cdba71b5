"""Batches for networks that take clicks: samples made by worker processes, and their loader."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from backend.errors import InvalidImage, TrainingFailed
from backend.training.data.sample import Sample, SampleSettings, sample
from backend.training.data.source import Source
from backend.training.focus import focus, without_specks
from backend.training.task import Batch, Share

MOST_TRIES = 64
"""Samples in a row that do not fit, after which the data are to blame."""


@dataclass(frozen=True)
class Sampling:
    """How the samples of a training are made.

    `settings` are those of `backend.training.data.sample`. With `focused` every sample brings a
    close view for FocalClick's refiner. Pictures whose object has no more than `least` pixels or
    fills `fullest` of the sample or more are drawn again (None: any object will do, and none too);
    parts of an object of less than `speck` pixels are removed first.
    """

    settings: SampleSettings
    focused: bool = False
    least: int | None = None
    fullest: float = 1.0
    speck: int = 0


@dataclass(frozen=True)
class FocusBatch:
    """Close views: `images` uint8 [B, 3, H, W], `labels` int8 and `trimaps` uint8 [B, 1, H, W].

    `regions` float32 [B, 4] are (left, top, right, bottom), half-open, in the samples' pixels.
    """

    images: Tensor
    labels: Tensor
    trimaps: Tensor
    regions: Tensor


@dataclass(frozen=True)
class InteractiveBatch:
    """`images` uint8 [B, 3, H, W] RGB, `labels` int8 [B, 1, H, W] of 1, 0 and -1 (unknown).

    `points` float32 [B, 2P, 3] of (row, column, index), positive ones first, -1 for none.
    """

    images: Tensor
    labels: Tensor
    points: Tensor
    focus: FocusBatch | None = None

    def first(self, count: int) -> InteractiveBatch:
        """The first `count` samples of the batch, without their close views."""
        return InteractiveBatch(self.images[:count], self.labels[:count], self.points[:count])


class Samples(Dataset[InteractiveBatch]):
    """Sample number n, as a batch of one: a function of the source, the seed and n alone."""

    def __init__(self, source: Source, sampling: Sampling, seed: int) -> None:
        self.source, self.sampling, self.seed = source, sampling, seed

    def __getitem__(self, number: int) -> InteractiveBatch:
        """Raises TrainingFailed where hardly any picture makes a sample that fits."""
        random = np.random.default_rng((self.seed, number))
        for _ in range(MOST_TRIES):
            index = self.source.draw(random)
            try:
                drawn = sample(self.source, index, random, self.sampling.settings)
            except InvalidImage:
                continue
            labels = without_specks(drawn.target, self.sampling.speck)
            if self._fits(labels):
                return self._batch(drawn, labels, random)
        raise TrainingFailed(
            f"{MOST_TRIES} pictures in a row gave no sample: none could be read, or none had an"
            f" object of the right size (more than {self.sampling.least} pixels, less than"
            f" {self.sampling.fullest:.0%} of the crop); use other data or another --recipe"
        )

    def _fits(self, labels: npt.NDArray[np.int8]) -> bool:
        if self.sampling.least is None:
            return True
        area = int(np.count_nonzero(labels == 1))
        return self.sampling.least < area < self.sampling.fullest * labels.size

    def _batch(
        self, drawn: Sample, labels: npt.NDArray[np.int8], random: np.random.Generator
    ) -> InteractiveBatch:
        views = None
        if self.sampling.focused:
            seen = focus(drawn.image, labels, random)
            views = FocusBatch(
                _image(seen.image),
                torch.from_numpy(seen.labels)[None, None],
                torch.from_numpy(seen.trimap.astype(np.uint8))[None, None],
                torch.tensor([seen.region], dtype=torch.float32),
            )
        points = torch.from_numpy(np.asarray(drawn.points, np.float32))[None]
        truth = torch.from_numpy(np.ascontiguousarray(labels))[None, None]
        return InteractiveBatch(_image(drawn.image), truth, points, views)


def batches(
    samples: Dataset[Batch],
    start: int,
    share: Share,
    workers: int,
    join: Callable[[Sequence[Batch]], Batch],
) -> Iterator[Batch]:
    """The share's batches from number `start` on, made by `workers` processes; 0: by this one.

    `join` makes one batch of samples, each of which is a batch of one.
    """
    loader = DataLoader(
        samples,
        batch_sampler=_Numbers(start, share),
        num_workers=workers,
        collate_fn=join,
        worker_init_fn=_one_thread,
        # Its own generator: the global one belongs to the training step.
        generator=torch.Generator().manual_seed(0),
        multiprocessing_context=_context(workers),
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


def joined(parts: Sequence[InteractiveBatch]) -> InteractiveBatch:
    """Batches as one."""
    views = [part.focus for part in parts if part.focus is not None]
    return InteractiveBatch(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.points for part in parts]),
        _joined_views(views) if views else None,
    )


def _joined_views(views: Sequence[FocusBatch]) -> FocusBatch:
    return FocusBatch(
        torch.cat([view.images for view in views]),
        torch.cat([view.labels for view in views]),
        torch.cat([view.trimaps for view in views]),
        torch.cat([view.regions for view in views]),
    )


@dataclass(frozen=True)
class _Numbers:
    """The numbers of the samples of each batch, without end."""

    start: int
    share: Share = field(default_factory=Share)

    def __iter__(self) -> Iterator[list[int]]:
        batch = self.start
        while True:
            yield list(self.share.samples(batch))
            batch += 1


def _image(image: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 HxWx3 -> [1, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def _context(workers: int) -> multiprocessing.context.BaseContext | None:
    """Processes that inherit nothing: this one runs threads, and perhaps CUDA."""
    return multiprocessing.get_context("spawn") if workers else None


def _one_thread(worker: int) -> None:
    """There are as many worker processes as there should be threads."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
