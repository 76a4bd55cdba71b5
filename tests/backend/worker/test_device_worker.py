"""What a worker refuses to do, whoever wrote it into the queue."""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
from rq import Callback
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from backend.queue.keys import Keys
from backend.worker.device_worker import DeviceWorker
from backend.worker.recovery import Begun
from tests.backend.conftest import RedisServer


class Shop:
    """A queue with a worker that works it off once."""

    def __init__(self, server: RedisServer) -> None:
        self.client: Any = server.client()
        self.keys = Keys(uuid.uuid4().hex)
        self.queue = Queue(self.keys.name, connection=self.client, serializer=JSONSerializer)
        self.done: list[Any] = []

    def put(self, function: str, *arguments: Any, **values: Any) -> Job:
        job = self.queue.create_job(function, args=arguments, **values)
        self.client.hset(self.keys.ticket(job.id), "attempts", 0)
        self.client.pexpire(self.keys.ticket(job.id), 60_000)
        return self.queue.enqueue_job(job)

    def work(self) -> None:
        begun = Begun(self.client, self.keys, "w")
        worker = DeviceWorker(self.keys, self.client, {"permitted": self._do}, begun, 0.01)
        dequeue = worker.dequeue_job_and_maintain_ttl

        def until_empty(*arguments: Any, **values: Any) -> Any:
            if not self.client.llen(self.keys.line):
                worker.stop()
            return dequeue(*arguments, **values)

        worker.dequeue_job_and_maintain_ttl = until_empty  # type: ignore[method-assign]
        worker.work(logging_level=None)

    def _do(self, job_id: str, data: Any, seconds_left: float) -> None:
        assert seconds_left > 0
        self.done.append(data)
        if data == "fail":
            raise ValueError("a defect")


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    return Shop(redis_server)


def test_what_is_permitted_is_done_and_leaves_nothing(shop: Shop) -> None:
    jobs = [shop.put("permitted", {"n": number}, result_ttl=0) for number in range(3)]
    shop.work()
    assert shop.done == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert not any(shop.client.exists(job.key) for job in jobs)
    for key in (shop.keys.line, shop.keys.taken, shop.keys.running, shop.keys.started):
        assert not shop.client.exists(key)


@pytest.mark.parametrize("name", ["os.mkdir", "builtins.eval", "backend.worker.run", "", "done"])
def test_other_functions_are_refused_and_never_looked_up(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    job = shop.put(name or "x", str(tmp_path / "made"), failure_ttl=60)
    shop.put("permitted", 1)
    shop.work()
    assert not (tmp_path / "made").exists()
    assert job.get_status() == "failed"
    assert shop.done == [1], "the worker goes on"


def test_callbacks_and_keyword_arguments_do_not_exist(shop: Shop, tmp_path: Path) -> None:
    callback = Callback("tests.backend.worker.test_device_worker.leave_a_trace")
    shop.put("permitted", "fail", on_failure=callback, on_success=callback, failure_ttl=60)
    shop.put("permitted", "well", on_failure=callback, on_success=callback)
    refused = shop.put("permitted", "too", "many", failure_ttl=60)
    shop.work()
    assert shop.done == ["fail", "well"]
    assert TRACES == []
    assert refused.get_status() == "failed"


TRACES: list[object] = []


def leave_a_trace(*arguments: object) -> None:
    TRACES.append(arguments)


class Trap:
    """What a pickle can do to whoever opens it."""

    def __reduce__(self) -> tuple[object, ...]:
        return leave_a_trace, ("unpickled",)


def test_a_pickle_is_not_opened(shop: Shop) -> None:
    job = shop.put("permitted", 1, failure_ttl=60)
    shop.client.hset(job.key, "data", pickle.dumps(("permitted", None, (Trap(),), {})))
    shop.put("permitted", 2)
    shop.work()
    assert TRACES == []
    assert shop.done == [2]


def test_a_job_whose_deadline_has_passed_is_dropped(shop: Shop) -> None:
    job = shop.put("permitted", 1)
    shop.client.delete(shop.keys.ticket(job.id))
    shop.work()
    assert shop.done == []
    assert not shop.client.exists(job.key)
    assert not shop.client.exists(shop.keys.taken)
