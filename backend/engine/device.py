"""The one thread that calls the networks of a device, and runs together what waits together."""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from backend.errors import OutOfMemory
from models.segmenter import Query, Result, Segmenter

log = logging.getLogger(__name__)

MAX_BATCH = 16
"""Most questions in one pass of a network."""

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_alloc_failed")
"""What RuntimeErrors say of it: CUDA's, torch's own allocator's on the CPU, cuDNN's and cuBLAS'."""

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, the device's or the machine's, ran out."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)


@dataclass(frozen=True)
class _Pass:
    """A question to a segmenter; those of equal keys may share a pass of the network."""

    segmenter: Segmenter
    query: Query

    @cached_property
    def key(self) -> Hashable:
        """None for a question that stands alone. Asked for on the device's thread."""
        try:
            key = self.segmenter.batch_key(self.query)
        except Exception:  # a question that has no key fails in its own pass, alone
            return None
        return None if key is None else (id(self.segmenter), key)


@dataclass(order=True)
class _Task:
    """Something that waits for the device: a question to a segmenter, or any other work."""

    rank: tuple[int, int]
    future: Future[Any] = field(compare=False)
    work: Callable[[], Any] | _Pass = field(compare=False)

    @property
    def key(self) -> Hashable:
        """What tasks that may run together have in common; None for a task that stands alone."""
        return self.work.key if isinstance(self.work, _Pass) else None


class Device:
    """A thread that takes work by priority (the lower number first), then by arrival.

    It never waits for a batch to fill: questions share a pass if they are there when the device
    becomes free. `on_memory` is called when memory ran out, to free what caches hold. An
    exception fails the work that raised it and nothing else; after one, `usable` is asked whether
    the device still works at all.
    """

    def __init__(
        self,
        on_memory: Callable[[], None] = lambda: None,
        usable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._on_memory = on_memory
        self._usable = usable
        self.failed = False
        self._waiting: list[_Task] = []
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T], priority: int = 0) -> T:
        """Have the device's thread call `work`; wait for what it returns or raises.

        Raises OutOfMemory where it needs more memory than there is with all caches freed.
        """
        future: Future[T] = Future()
        self._add(_Task((priority, next(self._arrivals)), future, work))
        return future.result()

    def segment(self, segmenter: Segmenter, query: Query, priority: int = 0) -> Result:
        """Answer one question, with others if any wait. Raises as `run` does."""
        future: Future[Result] = Future()
        rank = (priority, next(self._arrivals))
        self._add(_Task(rank, future, _Pass(segmenter, query)))
        return future.result()

    def close(self) -> None:
        """Finish what is running, fail what waits, end the thread."""
        with self._changed:
            self._closed = True
            abandoned, self._waiting = self._waiting, []
            self._changed.notify_all()
        for task in abandoned:
            task.future.set_exception(RuntimeError("the device was closed"))
        if self._thread is not None:
            self._thread.join()

    def _add(self, task: _Task) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("the device is closed")
            heapq.heappush(self._waiting, task)
            if self._thread is None:  # not before there is work: a server may fork until then
                self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _serve(self) -> None:
        while tasks := self._next():
            try:
                self._perform(tasks)
            except BaseException as error:  # the thread must outlive whatever a network does
                log.exception("the device's thread met an error")
                for task in tasks:
                    if not task.future.done():
                        task.future.set_exception(RuntimeError(f"the network ended with {error!r}"))

    def _next(self) -> list[_Task]:
        """The most urgent task and what may share its pass; nothing once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return []
            first = heapq.heappop(self._waiting)
            key = first.key
            if key is None:
                return [first]
            waiting, group = sorted(self._waiting), [first]
            self._waiting = []
            for task in waiting:  # what is left stays sorted, which is a heap
                together = len(group) < MAX_BATCH and task.key == key
                (group if together else self._waiting).append(task)
            return group

    def _perform(self, tasks: Sequence[_Task]) -> None:
        try:
            results = _call(tasks)
        except Exception as error:
            out_of_memory = is_out_of_memory(error)
            if not out_of_memory and len(tasks) == 1:
                self._fail(tasks[0], error)
                return
        else:
            for task, result in zip(tasks, results, strict=True):
                task.future.set_result(result)
            return
        # Outside the handler: a traceback would keep the failed pass's tensors alive.
        if out_of_memory:
            self._on_memory()
        for task in tasks:
            self._perform_alone(task)

    def _fail(self, task: _Task, error: Exception) -> None:
        if not self.failed and not self._usable():
            log.critical("the device does not work any longer: this process has to be restarted")
            self.failed = True
        task.future.set_exception(error)

    def _perform_alone(self, task: _Task) -> None:
        """The second try, after a batch failed or memory was freed."""
        try:
            result = _call([task])[0]
        except Exception as error:
            if not is_out_of_memory(error):
                self._fail(task, error)
                return
        else:
            task.future.set_result(result)
            return
        self._on_memory()
        task.future.set_exception(
            OutOfMemory(
                "the device's memory cannot hold this request even alone; send a smaller picture, "
                "choose a smaller model, or give the worker more memory"
            )
        )


def _call(tasks: Sequence[_Task]) -> list[Any]:
    """What the tasks of one pass return, one each."""
    first = tasks[0].work
    if not isinstance(first, _Pass):
        return [first()]
    queries = [task.work.query for task in tasks if isinstance(task.work, _Pass)]
    results = first.segmenter.segment_batch(queries)
    if len(results) != len(tasks):
        raise RuntimeError(
            f"{first.segmenter.version} answered {len(results)} of {len(tasks)} questions"
        )
    return results
