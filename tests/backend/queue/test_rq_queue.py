"""What the queue through Redis does beyond what both shapes promise (tests/backend/service)."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backend.engine import ModelStatus, Segmented
from backend.errors import (
    DeadlineExceeded,
    InvalidImage,
    MaskloopError,
    QueueUnavailable,
    WeightsMissing,
)
from backend.masks import Mask
from backend.prompt_record import PromptRecord
from backend.queue import rq_queue
from backend.queue.interface import SegmentJob
from backend.queue.keys import Keys
from backend.queue.replies import KEPT_MS, Replies
from backend.queue.rq_queue import RqQueue
from backend.settings import Settings
from models.prompts import Click, Prompt
from tests.backend.conftest import RedisServer, Serve, encoded, scene
from tests.backend.growing import GrowingSource

OUTCOME = Segmented(Mask.of(np.eye(5, dtype=bool)), "m@w:1", "p" * 64, 0.75, 2, aborted=True)


def job(**values: Any) -> SegmentJob:
    fields = {"request_id": "r", "image_id": "i", "model": "mobilesam", "milliseconds": 9000}
    prompt = PromptRecord((Click(1.0, 2.0),))
    return SegmentJob(**{"prompt": prompt, "object_id": "o"} | fields | values)


class Waiting:
    """A queue whose only worker is alive and never does anything."""

    def __init__(self, settings: Settings, server: RedisServer) -> None:
        self.client: Any = server.client()
        self.keys = Keys(settings.queue_name)
        self.queue = RqQueue(settings, server.client())
        self.lives([])

    def lives(self, models: list[dict[str, Any]], worker: str = "w") -> None:
        self.client.sadd(self.keys.workers, worker)
        self.client.set(self.keys.worker(worker), json.dumps({"models": models}))

    def ids(self) -> list[str]:
        return [job_id.decode() for job_id in self.client.lrange(self.keys.line, 0, -1)]


@pytest.fixture
def waiting(make_settings: Callable[..., Settings], redis_server: RedisServer) -> Waiting:
    return Waiting(make_settings(), redis_server)


def test_a_job_in_redis_is_json_and_small(waiting: Waiting) -> None:
    """No pickle, no picture, no mask; nothing that stays for ever."""
    from rq.job import Job
    from rq.serializers import JSONSerializer

    waiting.queue.submit(job(prompt=PromptRecord((Click(1.0, 2.0),), mask="ab" * 32)))
    (job_id,) = waiting.ids()
    stored = Job.fetch(job_id, connection=waiting.client, serializer=JSONSerializer)
    name, instance, arguments, keywords = json.loads(stored.data)
    assert (name, instance, keywords) == (rq_queue.FUNCTION, None, {})
    assert SegmentJob.from_json(arguments[0]).prompt.mask == "ab" * 32
    assert sum(len(value) for value in waiting.client.hgetall(stored.key).values()) < 1000
    assert stored.result_ttl == 0
    assert 0 < stored.failure_ttl <= 3600
    assert 0 < waiting.client.pttl(waiting.keys.ticket(job_id)) <= 9000
    assert 0 < waiting.client.ttl(stored.key) <= 120


def test_the_urgent_are_put_before_the_others(waiting: Waiting) -> None:
    for number, priority in enumerate([1, 0, 1, 0, 5, 0]):
        waiting.queue.submit(job(request_id=str(number), priority=priority))
    descriptions = [
        waiting.client.hget(Keys.job(job_id), "description").decode() for job_id in waiting.ids()
    ]
    assert descriptions == ["1", "3", "5", "0", "2", "4"]


def test_nobody_alive_means_no_job(waiting: Waiting) -> None:
    waiting.client.delete(waiting.keys.worker("w"))
    with pytest.raises(QueueUnavailable, match="python -m backend worker"):
        waiting.queue.submit(job())
    assert waiting.ids() == []
    jobs = waiting.client.keys("rq:job:*")
    assert waiting.keys.name.encode() not in [waiting.client.hget(key, "origin") for key in jobs]
    assert waiting.client.keys(waiting.keys.ticket("*")) == []


def test_waiting_ends_at_the_deadline(waiting: Waiting) -> None:
    with pytest.raises(DeadlineExceeded):
        waiting.queue.submit(job(milliseconds=50)).result(0.05)


def test_a_forgotten_job_is_told_at_once(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rq_queue, "SLICE_SECONDS", 0.01)
    pending = waiting.queue.submit(job())
    (job_id,) = waiting.ids()
    waiting.client.delete(waiting.keys.ticket(job_id))
    with pytest.raises(QueueUnavailable, match="forgotten"):
        pending.result(1000.0)


def test_no_redis(make_settings: Callable[..., Settings]) -> None:
    from backend.redis_connection import connect

    queue = RqQueue(make_settings(), connect("redis://:secret@127.0.0.1:1/0"))
    with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1:1.*REDIS_URL") as raised:
        queue.submit(job())
    assert "secret" not in raised.value.message
    status = queue.status()
    assert [model.name for model in status.models] == ["mobilesam"]
    assert "127.0.0.1:1" in status.problems[0]


def test_status_is_the_best_that_any_worker_says(
    make_settings: Callable[..., Settings], redis_server: RedisServer
) -> None:
    now = [0.0]
    settings = make_settings(models=("ritm-hrnet18", "ritm-hrnet32"))
    waiting = Waiting(settings, redis_server)
    queue = RqQueue(settings, redis_server.client(), GrowingSource(), lambda: now[0])
    waiting.lives([ModelStatus("mobilesam", "m@w:1", False, "broken").to_json()], "a")
    waiting.lives(
        [
            ModelStatus("mobilesam", "m@w:1", True).to_json(),
            ModelStatus("ritm-hrnet18", None, False, "type: pull").to_json(),
        ],
        "b",
    )
    loaded, missing, unserved = queue.status().models
    assert (loaded.version, loaded.loaded, loaded.problem) == ("m@w:1", True, None)
    assert missing.problem == "type: pull"
    assert "no worker serves ritm-hrnet32" in (unserved.problem or "")
    assert unserved.version == GrowingSource().segmenter.version, "as installed here"
    for worker in "abw":
        waiting.client.delete(waiting.keys.worker(worker))
    assert queue.status().problems == (), "heartbeats are not read again at once"
    now[0] = 1.0
    assert "python -m backend worker" in queue.status().problems[0]


def test_replies_come_back_whole(redis_server: RedisServer) -> None:
    client: Any = redis_server.client()
    keys = Keys(uuid.uuid4().hex)
    replies = Replies(client, keys)
    client.hset(keys.ticket("j"), "attempts", 1)
    replies.answer("j", OUTCOME)
    assert 0 < client.pttl(keys.mask("j")) <= KEPT_MS
    assert 0 < client.pttl(keys.reply("j")) <= KEPT_MS
    assert not client.exists(keys.ticket("j")), "the job's time is over"
    reply = client.lindex(keys.reply("j"), 0)
    assert len(reply) < 300
    outcome = replies.wait("j", 1.0)
    assert outcome is not None
    assert outcome.mask.to_bytes() == OUTCOME.mask.to_bytes()
    assert (outcome.version, outcome.score, outcome.remembered) == ("m@w:1", 0.75, 2)
    assert client.keys(f"{keys.name}:*") == []
    assert replies.wait("j", 0.001) is None


@pytest.mark.parametrize("error", [InvalidImage("torn", field="image"), WeightsMissing("pull")])
def test_errors_come_back_as_they_were(redis_server: RedisServer, error: MaskloopError) -> None:
    replies = Replies(redis_server.client(), Keys(uuid.uuid4().hex))
    replies.fail("j", error)
    with pytest.raises(type(error)) as raised:
        replies.wait("j", 1.0)
    assert (raised.value.message, raised.value.field) == (error.message, error.field)


def test_a_mask_that_is_lost_is_an_error(redis_server: RedisServer) -> None:
    client: Any = redis_server.client()
    keys = Keys(uuid.uuid4().hex)
    replies = Replies(client, keys)
    replies.answer("j", OUTCOME)
    client.delete(keys.mask("j"))
    with pytest.raises(MaskloopError, match="lost"):
        replies.wait("j", 1.0)


def test_pictures_and_masks_are_in_redis_once_and_not_for_ever(
    serve_rq: Serve, redis_server: RedisServer
) -> None:
    served = serve_rq(session_seconds=100)
    client: Any = redis_server.client()
    image = encoded(scene())
    mask = np.zeros((48, 64), bool)
    mask[4:20, 4:20] = True
    for _ in range(2):
        served.segment(image, Click(12.0, 21.0), mask=mask)
    prefix = f"{served.settings.queue_name}:"
    names = [key.decode().removeprefix(prefix) for key in client.keys(f"{prefix}*")]
    kinds = sorted(name.split(":")[0] for name in names)
    assert kinds.count("picture") == kinds.count("prompt-mask") == 1
    lasting = {"picture", "prompt-mask", "state", "trail"}
    assert set(kinds) <= lasting | {"worker", "workers", "sweep", "running"}
    for name in names:
        if name.split(":")[0] in lasting:
            assert 0 < client.ttl(prefix + name) <= 100
            assert b"pickle" not in client.get(prefix + name)[:100]


def test_the_web_process_never_imports_torch(
    serve_rq: Serve, redis_server: RedisServer, picture: bytes
) -> None:
    """It answers a click, tells the versions, and is ready, in a process without torch."""
    served = serve_rq()
    served.segment(picture, Click(12.0, 21.0))
    source = """
import sys
from backend.service import Origin, SegmentRequest, build
from backend.settings import load
from models.prompts import Click, Prompt

service = build(load())
service.start()
request = SegmentRequest(sys.stdin.buffer.read(), Prompt((Click(12.0, 21.0),)), Origin("test"))
print(service.segment(request).mask.area, service.ready().ready, service.offered()[0].version)
service.close()
print("torch" in sys.modules)
"""
    environment = {
        "PATH": "/usr/bin:/bin",
        "REDIS_URL": redis_server.url,
        "MASKLOOP_QUEUE_NAME": served.settings.queue_name,
        "MASKLOOP_DATA_DIR": str(served.settings.data_dir / "web"),
    }
    done = subprocess.run(
        [sys.executable, "-c", source],
        input=picture,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer, torch = done.stdout.decode().splitlines()
    area = served.service.segment(_request(picture, Click(12.0, 21.0))).mask.area
    assert answer == f"{area} True {served.segmenter.version}"
    assert torch == "False"


def _request(picture: bytes, *clicks: Click) -> Any:
    from backend.service import Origin, SegmentRequest

    return SegmentRequest(picture, Prompt(clicks), Origin("test"))
