"""What queueing alone costs: a whole request to a network that takes no time, inline and by RQ.

    python -m benchmarks.queueing [--rounds N]

Picture, session, queue, worker, log: everything is real but the network. A redis-server and a
worker process are started for RQ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backend.evaluation import machine
from backend.service import Origin, SegmentRequest, Service, build
from backend.settings import Settings, load
from backend.worker import run
from benchmarks.own_redis import own_redis
from benchmarks.timing import Timing, of, stopwatch
from models.prompts import Click, Prompt
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id
from models.state import State

PICTURE = (Path(__file__).parents[1] / "docs" / "example.jpg").read_bytes()
CLICKS = 10
SIDE = 64
START_SECONDS = 60.0


class Instant(Segmenter):
    """Answers every click with the same square, and keeps a state of a usual size."""

    version = "mobilesam@instant:000000000000"
    settings = "instant"

    def prepare(self, image: Image, picture: str | None = None) -> Prepared:
        """Keep nothing of the picture but its name."""
        return Prepared(picture or picture_id(image), (image.shape[0], image.shape[1]), 1)

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """A square in the corner."""
        return [self._answer(query.prepared) for query in queries]

    def _answer(self, prepared: Prepared) -> Result:
        state = State(self.version, prepared.picture, {"map": np.zeros((256, 256), np.float16)})
        values = np.ones((SIDE, SIDE), np.float32)
        return Result(prepared.size, (0, 0, SIDE, SIDE), values, state)


class InstantSource:
    """Gives the instant segmenter under every name."""

    def version(self, model: str) -> str:
        """The only one there is."""
        return Instant.version

    def load(self, model: str) -> Segmenter:
        """A fresh one."""
        return Instant()


def main() -> None:
    """Measure and print; with `--worker`, be the worker."""
    parser = argparse.ArgumentParser(description="What queueing alone costs.")
    parser.add_argument("--rounds", type=int, default=20, help="objects of ten clicks each")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        run(load(), InstantSource())
        return
    table = Table("queue", "click", "median", "p95", "x inline")
    inline: dict[str, float] = {}
    for mode in ("inline", "rq"):
        with tempfile.TemporaryDirectory() as folder, _service(mode, Path(folder)) as service:
            for kind, timing in _measure(service, arguments.rounds).items():
                ratio = timing.median / inline.setdefault(kind, timing.median)
                table.add_row(mode, kind, *timing.cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(machine.describe("cpu"))


def _measure(service: Service, rounds: int) -> dict[str, Timing]:
    """Milliseconds of an object's first click and of those that follow."""
    found: dict[str, list[float]] = {"first": [], "following": []}
    for number in range(rounds + 1):
        clicks: tuple[Click, ...] = ()
        for count in range(CLICKS):
            clicks = (*clicks, Click(5.0 + number, 5.0 + count))
            request = SegmentRequest(PICTURE, Prompt(clicks), Origin("benchmark"))
            taken = stopwatch(partial(service.segment, request))
            if number:  # the first object warms everything up
                found["following" if count else "first"].append(taken)
    return {kind: of(times) for kind, times in found.items()}


@contextmanager
def _service(mode: str, folder: Path) -> Iterator[Service]:
    """A service inline, or with a Redis and a worker of its own."""
    if mode == "inline":
        service = build(Settings(data_dir=folder, redis_url=None), InstantSource())
        yield service
        service.close()
        return
    with own_redis(folder) as url:
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.queueing", "--worker"],
            env={"REDIS_URL": url, "MASKLOOP_DATA_DIR": str(folder), "MASKLOOP_LOG_LEVEL": "error"},
        )
        try:
            service = build(Settings(data_dir=folder, redis_url=url))
            _wait_until_loaded(service, worker)
            yield service
            service.close()
        finally:
            worker.terminate()
            worker.wait()


def _wait_until_loaded(service: Service, worker: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not service.ready().ready:
        if worker.poll() is not None or time.monotonic() > end:
            sys.exit(f"the worker did not start: {'; '.join(service.ready().problems)}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
