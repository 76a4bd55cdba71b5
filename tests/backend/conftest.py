"""Pictures, settings, and a real Redis, for everything that serves."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from backend.queue.keys import Keys
from backend.queue.rq_queue import read_heartbeats
from backend.redis_connection import connect
from backend.service import Answer, Origin, SegmentRequest, build
from backend.settings import Settings
from backend.worker import WorkerProcess
from models.prompts import Click, Prompt
from tests.backend.growing import PACE, GrowingSource


class RedisServer:
    """A redis-server of our own on a unix socket, without anything on disk."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder / 'redis.sock'}?db=0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        socket = str(self._folder / "redis.sock")
        self._process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", socket, "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client = self.client()
        while True:
            try:
                client.ping()
                return
            except NoConnection:
                assert self._process.poll() is None, "redis-server did not start"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Redis:
        return connect(self.url)


@pytest.fixture(scope="session")
def redis_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], RedisServer]]:
    if shutil.which("redis-server") is None:
        pytest.skip("needs the program redis-server, which is not installed")
    servers: list[RedisServer] = []

    def start() -> RedisServer:
        servers.append(RedisServer(tmp_path_factory.mktemp("r")))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def redis_server(redis_factory: Callable[[], RedisServer]) -> RedisServer:
    """One Redis for all tests; each has a queue name of its own."""
    return redis_factory()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**values: Any) -> Settings:
        name = f"test-{uuid.uuid4().hex[:8]}"
        return Settings(**{"data_dir": tmp_path, "queue_name": name} | values)

    return make


def encoded(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def scene(seed: int = 0, height: int = 48, width: int = 64) -> np.ndarray:
    """Patches of colour on a background, with a little noise: uint8 HxWx3."""
    random = np.random.default_rng(seed)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = random.integers(0, 256, 3)
    for _ in range(5):
        top, left = random.integers(0, height - 8), random.integers(0, width - 8)
        image[top : top + 16, left : left + 20] = random.integers(0, 256, 3)
    noise = random.integers(-6, 7, image.shape)
    return np.clip(image.astype(np.int16) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def picture() -> bytes:
    """A small PNG."""
    return encoded(scene())


class Served:
    """A service with its growing segmenter; with RQ also a worker, in a thread of this process."""

    def __init__(self, settings: Settings, source: GrowingSource) -> None:
        self.settings = settings
        self.source = source
        self.segmenter = source.segmenter
        self.service = build(settings, source)
        self._worker: WorkerProcess | None = None
        if settings.redis_url is not None:
            self._worker = WorkerProcess(settings, source, PACE)
            self._thread = threading.Thread(target=self._worker.run, daemon=True)
            self._thread.start()
            self.wait_for_worker()

    def wait_for_worker(self) -> None:
        assert self.settings.redis_url is not None
        client, keys = connect(self.settings.redis_url), Keys(self.settings.queue_name)
        while not read_heartbeats(client, keys):
            pass

    def waiting(self) -> int:
        """How many jobs are in line."""
        if self.settings.redis_url is None:
            return len(self.service._queue._line)  # type: ignore[attr-defined]
        client: Any = connect(self.settings.redis_url)
        return int(client.llen(Keys(self.settings.queue_name).line))

    def segment(self, image: bytes, *clicks: Click, **values: Any) -> Answer:
        fields = {name: values.pop(name) for name in ("box", "scribbles", "mask") if name in values}
        origin = values.pop("origin", Origin("test"))
        return self.service.segment(
            SegmentRequest(image, Prompt(clicks, **fields), origin, **values)
        )

    def close(self) -> None:
        self.service.close()
        if self._worker is not None:
            self._worker.stop()
            self._thread.join()


Serve = Callable[..., Served]


@pytest.fixture
def serve_inline(make_settings: Callable[..., Settings]) -> Iterator[Serve]:
    served: list[Served] = []

    def start(source: GrowingSource | None = None, **values: Any) -> Served:
        served.append(Served(make_settings(**values), source or GrowingSource()))
        return served[-1]

    yield start
    for each in served:
        each.close()


@pytest.fixture
def serve_rq(serve_inline: Serve, redis_server: RedisServer) -> Serve:
    def start(source: GrowingSource | None = None, **values: Any) -> Served:
        return serve_inline(source, **{"redis_url": redis_server.url} | values)

    return start


@pytest.fixture(params=["inline", "rq"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """A service of either shape: what is said of it must hold for both."""
    start: Serve = request.getfixturevalue(f"serve_{request.param}")
    return start
