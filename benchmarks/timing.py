"""How a time is taken and shown: median and 95th percentile of repeated calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Milliseconds of repeated calls."""

    median: float
    p95: float

    @property
    def cells(self) -> tuple[str, str]:
        """Median and 95th percentile for a table."""
        return f"{self.median:.1f} ms", f"{self.p95:.1f} ms"


def of(milliseconds: list[float]) -> Timing:
    """The summary of single measurements."""
    median, p95 = np.percentile(milliseconds, (50, 95))
    return Timing(float(median), float(p95))


def stopwatch(call: Callable[[], object]) -> float:
    """Milliseconds that one call takes; on a GPU `call` has to wait for its result."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def repeated(call: Callable[[], object], rounds: int, warm_up: int = 1) -> Timing:
    """`rounds` calls in a row, after some that do not count."""
    for _ in range(warm_up):
        call()
    return of([stopwatch(call) for _ in range(rounds)])
