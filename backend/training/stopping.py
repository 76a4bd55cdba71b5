"""When a training stops before its end: a signal, or the minutes that it was given."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether to stop after the step in hand, and why.

    Inside the context, SIGINT and SIGTERM ask for a stop, and the same signal a second time does
    what it does elsewhere. `minutes` count from the making of this object. Signals are left alone
    outside the main thread, which alone can receive them.
    """

    def __init__(
        self, minutes: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._end = None if minutes is None else clock() + minutes * 60
        self._minutes = minutes
        self._signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in list(self._before):
            self._restore(number)

    def reason(self) -> str | None:
        """Why to stop, as the beginning of a sentence; None to go on."""
        if self._signal is not None:
            return f"Stopped by {self._signal.name}"
        if self._end is not None and self._clock() >= self._end:
            return f"The {self._minutes:g} minutes are over: stopped"
        return None

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self._restore(self._signal)

    def _restore(self, number: signal.Signals) -> None:
        before = self._before.pop(number, None)
        if before is not None:
            signal.signal(number, before)
