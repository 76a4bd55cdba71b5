"""The small interface of f-BRS's authors: one object, clicked on a picture, undone, begun anew."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import fbrs
from models.prompts import Click, Prompt
from models.segmenter import Image, Prepared, Result, Segmenter
from models.state import State

Mask = npt.NDArray[np.uint8]
Numbers = float | Sequence[float]
Signs = bool | Sequence[bool]


class FbrsEngine:
    """Clicks on one object, one after another, over any segmenter.

    It keeps the clicks and the state after each, and nothing else: the segmenter stays a pure
    function. Not for several threads.

    Of the authors' engine it has the call, and not the defects: a limit of the picture's size is
    obeyed (`first_click_side`, an option of the segmenter), a picture without clicks has a mask
    of its own height and width, undoing brings all of the earlier answer back, and answers do not
    depend on what else was asked in between.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._prepared: Prepared | None = None
        self._image: Image | None = None
        self._clicks: tuple[Click, ...] = ()
        self._results: list[Result] = []

    @classmethod
    def of(cls, name: str, weights: str | Path, device: str = "cpu", **options: Any) -> FbrsEngine:
        """The engine of an f-BRS architecture. Arguments and errors as of `fbrs.segmenter`."""
        return cls(fbrs.segmenter(name, weights, device, **options))

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far, in order."""
        return self._clicks

    def predict(self, x: Numbers, y: Numbers, positive: Signs, image: Image | None = None) -> Mask:
        """The mask after a click, uint8 [H, W] of 0 and 255.

        Single numbers are one more click at column `x`, row `y`. Sequences of equal length are
        all clicks of the object, in order, and take the place of those before; where they begin
        with these, they go on from there. `image` is uint8 [H, W, 3] RGB; another one than before
        begins a new object, None means the same one. Raises ValueError.
        """
        many = _clicks(x, y, positive)
        self._look_at(image)
        self._ask_for(many if isinstance(many, tuple) else (*self._clicks, many))
        return self.mask()

    def undo(self) -> Mask:
        """Take the last click back, if there is one; the mask of before. Raises ValueError."""
        self._ask_for(self._clicks[:-1])
        return self.mask()

    def reset(self) -> None:
        """Begin a new object on the same picture."""
        self._clicks, self._results = (), []

    def mask(self) -> Mask:
        """The mask as it stands, uint8 [H, W] of 0 and 255. Raises ValueError without a picture."""
        if self._prepared is None:
            raise ValueError("there is no picture yet; give one with the first click")
        if not self._results:
            return np.zeros(self._prepared.size, np.uint8)
        return self._results[-1].mask.astype(np.uint8) * np.uint8(255)

    def _look_at(self, image: Image | None) -> None:
        if image is None or (self._image is not None and np.array_equal(image, self._image)):
            return
        self._prepared = self._segmenter.prepare(image)
        self._image = image.copy()
        self.reset()

    def _ask_for(self, clicks: tuple[Click, ...]) -> None:
        """Answer every click that is new, from the state of the last that is not."""
        if self._prepared is None:
            raise ValueError("there is no picture yet; give one with the first click")
        pairs = enumerate(zip(clicks, self._clicks, strict=False))
        shorter = min(len(clicks), len(self._clicks))
        known = next((i for i, (new, old) in pairs if new != old), shorter)
        results = self._results[:known]
        for count in range(known + 1, len(clicks) + 1):
            state: State | None = results[-1].state if results else None
            prompt = Prompt(clicks[:count])
            if prompt.points_at_something:
                results.append(self._segmenter.segment(self._prepared, prompt, state))
            else:
                results.append(Result.empty(self._prepared.size))
        self._clicks, self._results = clicks, results


def _clicks(x: Numbers, y: Numbers, positive: Signs) -> Click | tuple[Click, ...]:
    """One click, or a tuple of them."""
    if isinstance(x, Real) and isinstance(y, Real) and not isinstance(positive, Sequence):
        return Click(float(x), float(y), bool(positive))
    columns, rows, signs = (np.ravel(values).tolist() for values in (x, y, positive))
    if not len(columns) == len(rows) == len(signs):
        raise ValueError(
            f"there are {len(columns)} columns, {len(rows)} rows and {len(signs)} signs of clicks;"
            " give one of each for every click"
        )
    triples = zip(columns, rows, signs, strict=True)
    return tuple(Click(float(column), float(row), bool(sign)) for column, row, sign in triples)
