"""Milliseconds of a click through CVAT's function, from the request's body to the answer's text.

    python -m benchmarks.cvat [--pictures N] [--clicks N] [--cvat VERSION]

Inline and through RQ (a redis-server and a worker process are started), for the first click on a
picture and for the ones that follow, with the default model. Every picture is new to the server.
The body is read and parsed as behind nuclio; HTTP itself is not in the numbers.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import nuclio_sdk
import numpy as np
from rich.console import Console
from rich.table import Table

from backend.evaluation import machine
from backend.frontends.cvat import nuclio
from backend.settings import load
from benchmarks.own_redis import own_redis
from benchmarks.timing import of

PICTURE = Path(__file__).parents[1] / "docs" / "example.jpg"
OBJECT = (0.40, 0.59)
"""Where the orange lies, in parts of the picture's width and height."""
RADIUS = 0.08
SIZES = ((1280, 960), (4000, 3000))
LOADING_SECONDS = 120.0


Case = tuple[str, str]
"""A size of picture and a kind of click."""


@dataclass
class Times:
    """The calls of one case: milliseconds, and bytes of requests and answers."""

    milliseconds: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what was started here as well
    os.environ["MASKLOOP_LOG_LEVEL"] = "error"
    # RQ comes first: the web process then has no torch in it, as where it is deployed.
    found = {mode: _measure(mode, arguments) for mode in ("rq", "inline")}
    table = Table("queue", "picture", "click", "sent", "answer", "median", "p95", "x inline")
    for mode in ("inline", "rq"):
        for case, times in found[mode].items():
            timing = of(times.milliseconds)
            ratio = timing.median / of(found["inline"][case].milliseconds).median
            sizes = (f"{np.median(n) / 1e3:.1f} kB" for n in (times.sent, times.answered))
            table.add_row(mode, *case, *sizes, *timing.cells, f"{ratio:.2f}")
    console = Console(width=100)
    console.print(table)
    settings = load()
    console.print(f"model {settings.model}, answers as for CVAT {arguments.cvat}")
    console.print(machine.describe("cuda" if settings.device.startswith("cuda") else "cpu"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Milliseconds of a click from CVAT.")
    parser.add_argument("--pictures", type=int, default=10, help="new pictures of each size")
    parser.add_argument("--clicks", type=int, default=5, help="clicks on each picture")
    parser.add_argument("--cvat", default="2.70.0", help="CVAT's version: the answer's form")
    return parser.parse_args()


def _measure(mode: str, arguments: argparse.Namespace) -> dict[Case, Times]:
    """The calls of every case through one kind of queue."""
    found: dict[Case, Times] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MASKLOOP_DATABASE_URL"] = f"sqlite:///{folder}/log.db"
        with _queue(mode, Path(folder)), _function() as context:
            for width, height in SIZES:
                pictures = _bodies(width, height, arguments.pictures + 1, arguments.clicks)
                _call(context, next(pictures)[0], arguments.cvat)  # warms everything up
                for bodies in pictures:
                    for number, body in enumerate(bodies):
                        case = f"{width}x{height}", "following" if number else "first"
                        times = found.setdefault(case, Times())
                        started = time.perf_counter()
                        answer = _call(context, body, arguments.cvat)
                        times.milliseconds.append((time.perf_counter() - started) * 1000)
                        times.sent.append(len(body))
                        times.answered.append(len(answer))
    return found


def _bodies(width: int, height: int, pictures: int, clicks: int) -> Iterator[list[bytes]]:
    """For each of some different pictures, the bodies of its clicks, one after the other."""
    example = cv2.imread(str(PICTURE))
    assert example is not None, f"{PICTURE} is missing"
    image = cv2.resize(example, (width, height), interpolation=cv2.INTER_CUBIC)
    angles = np.arange(clicks) * 2.4
    reach = np.where(np.arange(clicks) > 0, RADIUS * 0.6, 0)
    xs = (OBJECT[0] + reach * np.cos(angles)) * width
    ys = (OBJECT[1] + reach * np.sin(angles)) * height
    points = np.column_stack([xs, ys]).round(2).tolist()
    for number in range(pictures):
        cv2.putText(image, str(number), (8, 32), cv2.FONT_HERSHEY_PLAIN, 2, (0, 0, 0), 2)
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        text = base64.b64encode(data).decode()
        yield [
            json.dumps(
                {
                    "image": text,
                    "pos_points": points[:count],
                    "neg_points": [],
                    "obj_bbox": [],
                }
            ).encode()
            for count in range(1, clicks + 1)
        ]


def _call(context: Any, body: bytes, version: str) -> str:
    event = nuclio_sdk.Event(
        body=body,
        content_type="application/json; charset=utf-8",
        headers={"User-Agent": f"CVAT/{version} python-requests/2.32.3"},
    )
    response = nuclio.handler(context, event)
    if response.status_code != 200:
        sys.exit(f"the function answered {response.status_code}: {response.body}")
    text: str = response.body
    return text


@contextmanager
def _function() -> Iterator[Any]:
    """A started function; its model is loaded."""
    logger = nuclio_sdk.Logger(logging.ERROR)
    context = nuclio_sdk.Context(logger, nuclio_sdk.Platform("local"))
    nuclio.init_context(context)
    service = context.user_data.maskloop.service
    model = service.offered()[0]
    if not model.loaded:
        sys.exit(f"{model.name} cannot answer: {' '.join(service.ready().problems)}")
    try:
        yield context
    finally:
        service.close()


@contextmanager
def _queue(mode: str, folder: Path) -> Iterator[None]:
    """Nothing inline; for RQ a Redis and a worker of our own."""
    os.environ.pop("REDIS_URL", None)
    if mode == "inline":
        yield
        return
    with own_redis(folder) as url:
        os.environ["REDIS_URL"] = url
        worker = subprocess.Popen([sys.executable, "-m", "backend", "worker"])
        try:
            _wait_for(worker)
            yield
        finally:
            worker.terminate()
            worker.wait()
            os.environ.pop("REDIS_URL")


def _wait_for(worker: subprocess.Popen[bytes]) -> None:
    """Return when the worker has reported itself with its model loaded, or has had long enough."""
    from backend.service import build

    service = build(load())
    end = time.monotonic() + LOADING_SECONDS
    while not service.offered()[0].loaded and time.monotonic() < end:
        if worker.poll() is not None:
            sys.exit("the worker did not start; see above")
        time.sleep(0.2)
    service.close()


if __name__ == "__main__":
    main()
