"""Batches ahead of the training step: fetched in a thread, copied on a stream of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import torch
from torch import Tensor

Batch = TypeVar("Batch")

AHEAD = 2
"""Batches that wait on the device for their step."""

MOST_BEHIND = 3
"""Steps that the device may lag behind the processor: what is queued holds its batch's memory."""


def each_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with every tensor in it changed: in tuples, lists, mappings and dataclasses."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(each_tensor(item, change) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(each_tensor(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: each_tensor(item, change) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: each_tensor(getattr(value, field.name), change)
            for field in dataclasses.fields(value)
            if field.init
        }
        return dataclasses.replace(value, **changed)
    return value


@dataclass(frozen=True)
class _Ready(Generic[Batch]):
    batch: Batch
    copied: torch.cuda.Event | None


class Feed(Generic[Batch]):
    """The batches of a task on the device, at most `AHEAD` of them waiting.

    On CUDA, the thread pins what is not pinned and copies on its own stream while the training
    step computes on the other. `waited` is how long training stood still for data, in seconds:
    the processor's wait on the CPU; on CUDA the time in which the device had nothing to do,
    measured between events on its stream. A context manager; inside it, `take` gives the next
    batch, `parts` of which make a step.
    """

    def __init__(self, batches: Iterator[Batch], device: torch.device, parts: int = 1) -> None:
        self._batches = batches
        self._device = device
        self._cuda = device.type == "cuda"
        self._stream = _stream(device) if self._cuda else None
        self._queue: queue.Queue[_Ready[Batch] | BaseException] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="feed", daemon=True)
        self._waited = 0.0
        self._most_behind = MOST_BEHIND * parts
        self._idle: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()

    def __enter__(self) -> Self:
        if self._stream is not None:
            # Pictures that the task has put on the device are there before they are read.
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
            self._thread.join(0.05)

    def take(self) -> Batch:
        """The next batch. Raises whatever the task's batches raised."""
        before = self._mark()
        begun = time.monotonic()
        ready = self._queue.get()
        if isinstance(ready, BaseException):
            raise ready
        if before is None or ready.copied is None:
            self._waited += time.monotonic() - begun
            return ready.batch
        current = torch.cuda.current_stream(self._device)
        current.wait_event(ready.copied)
        each_tensor(ready.batch, lambda tensor: _used_on(tensor, current))
        after = self._mark()
        self._idle.append((before, cast(torch.cuda.Event, after)))
        self._settle(self._most_behind)
        return ready.batch

    def waited(self) -> float:
        """Seconds without data since the last call."""
        self._settle(0)
        waited, self._waited = self._waited, 0.0
        return waited

    def _mark(self) -> torch.cuda.Event | None:
        if not self._cuda:
            return None
        event = _event(timed=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _settle(self, leave: int) -> None:
        """Wait for all but the newest `leave` pairs of events and count the time between."""
        while len(self._idle) > leave:
            before, after = self._idle.popleft()
            after.synchronize()
            self._waited += before.elapsed_time(after) / 1000

    def _fill(self) -> None:
        if self._cuda:
            torch.cuda.set_device(self._device)
        stream = torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext()
        try:
            with stream:
                for batch in self._batches:
                    self._queue.put(self._moved(batch))
                    if self._closed.is_set():
                        return
            raise RuntimeError("the task's batches came to an end, and they must not")
        except BaseException as error:
            self._queue.put(error)
        finally:
            close = getattr(self._batches, "close", None)
            if close is not None:
                close()

    def _moved(self, batch: Batch) -> _Ready[Batch]:
        moved = each_tensor(batch, self._copied)
        if self._stream is None:
            return _Ready(moved, None)
        copied = _event()
        copied.record(self._stream)
        return _Ready(moved, copied)

    def _copied(self, tensor: Tensor) -> Tensor:
        if self._cuda and tensor.device.type == "cpu" and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=self._cuda)


def _used_on(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """The tensor, whose memory is not given away before the stream is done with it."""
    tensor.record_stream(stream)
    return tensor


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event(*, timed: bool = False) -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=timed)  # type: ignore[no-untyped-call]
