"""Work with S2M as its authors' two programs have it: strokes, commit, reset, undo.

Thin layers over `S2mSegmenter.logits`, for programs that keep a session of their own. What serves
annotators uses the segmenter itself, whose answers need no session.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.s2m_predictor import Map, S2mPrepared, S2mSegmenter, Seen, alone, inner
from models.s2m_strokes import NOTHING, DrawnMap, Points, draw, strokes_in
from models.soft_aggregation import aggregated

Labels = npt.NDArray[np.uint8]
"""[h, w]: the object (1, 2, ...) of a pixel, 0 for the background."""

UNDO_STEPS = 50
"""Strokes that can be taken back."""


class SingleObjectSession:
    """One object, as in the authors' `interactive.py`.

    Every answer uses all strokes since the last commit and the mask that was committed then, with
    its shades. `FAITHFUL_SINGLE` are the options of the original. Answers are as large as what the
    network is shown; strokes are given in pixels of the picture.
    """

    def __init__(
        self, segmenter: S2mSegmenter, prepared: S2mPrepared, mask: Map | None = None
    ) -> None:
        """`mask` is an initial mask, float32 [H, W] in [0, 1]."""
        self._segmenter = segmenter
        self._prepared = prepared
        self._previous = None if mask is None else segmenter.previous_of(prepared, mask)
        self._strokes = np.zeros((2, *prepared.shown), np.uint8)
        self._answer: Tensor | None = None

    @property
    def strokes(self) -> npt.NDArray[np.uint8]:
        """uint8 [2, h, w] of 0 and 1: what was drawn since the last commit, positive first."""
        return self._strokes.copy()

    def draw(self, points: Points, positive: bool = True) -> Map:
        """Draw a stroke; the new answer, float32 [h, w]."""
        size, options = self._prepared.size, self._segmenter.options
        draw(self._strokes[0 if positive else 1], points, 1, size, options)
        return self.probability()

    def commit(self) -> Map:
        """Make the last answer the previous mask and forget the strokes; the new answer."""
        self._strokes[:] = 0
        if self._answer is not None:
            self._previous = self._answer.numpy()
        return self.probability()

    def reset(self) -> Map:
        """Forget strokes and previous mask, an initial one too; the new answer."""
        self._strokes[:] = 0
        self._previous = None
        return self.probability()

    def probability(self) -> Map:
        """The answer as it is, float32 [h, w]."""
        seen = Seen(self._prepared, self._strokes, self._previous)
        (logits,) = self._segmenter.logits([seen])
        self._answer = alone(logits)
        return inner(self._answer, self._prepared)


class MultiObjectSession:
    """Several objects of one picture, as in MiVOS.

    An interaction is what is drawn between two commits: one map for all objects, on which later
    strokes lie over earlier ones. Its answers start from the labels that were there when it began.
    `FAITHFUL` are the options of the original. Answers are as large as what the network is shown;
    strokes are given in pixels of the picture.
    """

    def __init__(self, segmenter: S2mSegmenter, prepared: S2mPrepared, objects: int) -> None:
        """Raises ValueError unless there are 1 to 254 `objects`."""
        if not 0 < objects < NOTHING:
            raise ValueError(f"a session has 1 to {NOTHING - 1} objects, not {objects}")
        self._segmenter = segmenter
        self._prepared = prepared
        self._objects = objects
        self._committed = np.zeros(prepared.shown, np.uint8)
        self._drawn = _blank(prepared)
        self._before: deque[DrawnMap] = deque(maxlen=UNDO_STEPS)

    @property
    def drawn(self) -> DrawnMap:
        """What was drawn in this interaction."""
        return self._drawn.copy()

    @property
    def committed(self) -> Labels:
        """The labels that this interaction starts from."""
        return self._committed.copy()

    def draw(self, number: int, points: Points) -> None:
        """Draw a stroke for object `number`, 0 being the background.

        Raises ValueError for an object that there is not.
        """
        if not 0 <= number <= self._objects:
            raise ValueError(f"there is no object {number}; there are {self._objects} objects")
        self._before.append(self._drawn.copy())
        draw(self._drawn, points, number, self._prepared.size, self._segmenter.options)

    def undo(self) -> bool:
        """Take back the last stroke of this interaction; False where none is remembered."""
        if not self._before:
            return False
        self._drawn = self._before.pop()
        return True

    def independent(self) -> Tensor:
        """What each object would be without the others: float32 [K, h, w], with the border."""
        every = [self._seen(number) for number in range(1, self._objects + 1)]
        return torch.stack(self._segmenter.logits(every)).sigmoid()

    def labels(self) -> Labels:
        """The answer as it is: for each pixel, the object with the largest share."""
        hard = self._segmenter.options.hard_aggregation
        shares = aggregated(self.independent(), hard=hard).probability
        return inner(shares.argmax(dim=0).to(torch.uint8), self._prepared)

    def commit(self) -> Labels:
        """Begin the next interaction, from these labels."""
        self._committed = self.labels()
        self._drawn = _blank(self._prepared)
        self._before.clear()
        return self.committed

    def _seen(self, number: int) -> Seen:
        left, right, top, bottom = self._prepared.border
        own = (self._committed == number).astype(np.float32)
        previous = np.pad(own, ((top, bottom), (left, right)))
        return Seen(self._prepared, strokes_in(self._drawn, number), previous)


def _blank(prepared: S2mPrepared) -> DrawnMap:
    return np.full(prepared.shown, NOTHING, np.uint8)
