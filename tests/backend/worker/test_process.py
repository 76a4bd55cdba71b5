"""Worker processes that are killed, stopped, poisoned, and whose Redis is restarted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import InvalidSettings, MaskloopError, QueueUnavailable
from backend.queue.keys import Keys
from backend.queue.rq_queue import read_heartbeats
from backend.service import Answer, Origin, SegmentRequest, Service, build
from backend.settings import Settings
from backend.worker import WorkerProcess
from models.prompts import Click, Prompt
from tests.backend.conftest import RedisServer, Serve, scene
from tests.backend.growing import PACE, Growing, GrowingSource
from tests.backend.service.scenario import expected
from tests.backend.worker.worker_process import BEGUN, GO

ROOT = Path(__file__).parents[3]
HOLD, POISON, PLAIN = Click(7.0, 21.0), Click(13.0, 21.0), Click(58.0, 16.0)


class Site:
    """A web process' service, and worker processes that come and go."""

    def __init__(self, settings: Settings, server: RedisServer) -> None:
        self.settings = settings
        self.client: Any = server.client()
        self.keys = Keys(settings.queue_name)
        self.service: Service = build(settings)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.pool = ThreadPoolExecutor(8)

    def start_worker(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "REDIS_URL": self.settings.redis_url or "",
            "MASKLOOP_QUEUE_NAME": self.settings.queue_name,
            "MASKLOOP_DATA_DIR": str(self.settings.data_dir),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.backend.worker.worker_process"],
            env=environment,
            cwd=ROOT,
        )
        self.workers.append(process)
        while process.pid not in [beat["pid"] for beat in read_heartbeats(self.client, self.keys)]:
            assert process.poll() is None, "the worker did not start"
        return process

    def ask(self, picture: bytes, *clicks: Click, **values: Any) -> Any:
        request = SegmentRequest(picture, Prompt(clicks), Origin("test"), **values)
        return self.pool.submit(self.service.segment, request)

    def wait_for_begun(self) -> int:
        found = self.client.blpop([f"{self.keys.name}:{BEGUN}"], timeout=4)
        assert found is not None, "no worker began the job"
        return int(found[1])

    def let_go(self) -> None:
        self.client.rpush(f"{self.keys.name}:{GO}", 1)

    def close(self) -> None:
        self.service.close()
        for process in self.workers:
            process.kill()
            process.wait()
        self.pool.shutdown()


@pytest.fixture
def site(make_settings: Callable[..., Settings], redis_server: RedisServer) -> Iterator[Site]:
    site = Site(make_settings(redis_url=redis_server.url), redis_server)
    yield site
    site.close()


def is_right(answer: Answer, *clicks: Click) -> bool:
    return np.array_equal(answer.mask.full, expected(scene(), Prompt(clicks)))


def test_a_killed_workers_job_is_done_by_another(site: Site, picture: bytes) -> None:
    first = site.start_worker()
    answer = site.ask(picture, PLAIN, HOLD)
    assert site.wait_for_begun() == first.pid
    second = site.start_worker()
    first.kill()
    assert site.wait_for_begun() == second.pid
    site.let_go()
    assert is_right(answer.result(), PLAIN, HOLD)
    assert answer.result().remembered == 1, "the dead worker's first step was not lost"
    assert site.client.hlen(site.keys.running) <= 1


def test_a_worker_that_comes_back_finds_the_job_of_the_one_before(
    site: Site, picture: bytes
) -> None:
    site.start_worker()
    answer = site.ask(picture, HOLD)
    site.wait_for_begun()
    site.workers[0].kill()
    site.workers[0].wait()
    site.start_worker()
    site.wait_for_begun()
    site.let_go()
    assert is_right(answer.result(), HOLD)


def test_poison_is_given_up_and_what_ran_beside_it_is_not(site: Site, picture: bytes) -> None:
    site.start_worker()
    beside = site.ask(picture, HOLD)
    site.wait_for_begun()
    poison = site.ask(picture, POISON)
    assert site.workers[0].wait() == -signal.SIGKILL
    # Whichever worker takes it next dies of it as well; it is not tried a third time.
    while not poison.done():
        if all(worker.poll() is not None for worker in site.workers):
            try:
                site.start_worker()
            except AssertionError:
                continue
        if site.client.blpop([f"{site.keys.name}:{BEGUN}"], timeout=0.05):
            site.let_go()
    with pytest.raises(MaskloopError, match="ended the worker"):
        poison.result()
    assert sum(worker.poll() == -signal.SIGKILL for worker in site.workers) == 2
    if all(worker.poll() is not None for worker in site.workers):
        site.start_worker()
    site.let_go()
    assert is_right(beside.result(), HOLD)
    assert is_right(site.ask(picture, PLAIN).result(), PLAIN)


def test_sigterm_finishes_what_is_in_hand_and_leaves_the_rest(site: Site, picture: bytes) -> None:
    worker = site.start_worker()
    answer = site.ask(picture, HOLD)
    site.wait_for_begun()
    worker.send_signal(signal.SIGTERM)
    site.let_go()
    assert is_right(answer.result(), HOLD)
    assert worker.wait(20) == 0
    assert read_heartbeats(site.client, site.keys) == [], "it is counted on no longer"
    with pytest.raises(QueueUnavailable, match="no worker is alive"):
        site.ask(picture, PLAIN).result()


def test_redis_restarted(
    redis_factory: Callable[[], RedisServer], serve_rq: Serve, picture: bytes
) -> None:
    """Web and worker processes outlive it; what was remembered is computed again, alike."""
    server = redis_factory()
    served = serve_rq(redis_url=server.url)
    clicks = (Click(12.0, 21.0), Click(56.0, 0.0, False))
    before = [served.segment(picture, *clicks[:count]) for count in (1, 2)]
    server.stop()
    with pytest.raises(QueueUnavailable, match="REDIS_URL"):
        served.segment(picture, *clicks)
    while served.service.ready().ready:
        pass
    assert "REDIS_URL" in served.service.ready().problems[0]
    server.start()
    served.wait_for_worker()
    after = served.segment(picture, *clicks)
    assert after.remembered == 0
    assert after.mask.to_bytes() == before[1].mask.to_bytes()


def test_a_worker_waits_for_redis_and_can_be_stopped_meanwhile(
    make_settings: Callable[..., Settings],
) -> None:
    worker = WorkerProcess(make_settings(redis_url="redis://127.0.0.1:1/0"))
    running = ThreadPoolExecutor(1).submit(worker.run)
    worker.stop()
    running.result(20)


def test_a_worker_whose_device_is_lost_leaves(
    make_settings: Callable[..., Settings], redis_server: RedisServer, picture: bytes
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    settings = make_settings(redis_url=redis_server.url)
    worker = WorkerProcess(settings, GrowingSource(Growing(before_pass=fail)), PACE)
    worker._engine._device._usable = lambda: False
    running = ThreadPoolExecutor(1).submit(worker.run)
    site = Site(settings, redis_server)
    while not read_heartbeats(site.client, site.keys):
        pass
    with pytest.raises(MaskloopError, match="failed on this request"):
        site.ask(picture, PLAIN).result()
    with pytest.raises(MaskloopError, match="start the worker anew"):
        running.result(20)
    assert read_heartbeats(site.client, site.keys) == []
    site.close()


def test_a_worker_needs_an_address(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(InvalidSettings, match="REDIS_URL"):
        WorkerProcess(make_settings())
    with pytest.raises(InvalidSettings, match="redis://HOST:PORT"):
        WorkerProcess(make_settings(redis_url="http://nowhere"))
