"""Who does which job, who lives, and what becomes of the jobs of the dead."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from backend.errors import MaskloopError
from backend.queue.keys import Keys
from backend.queue.replies import Replies
from backend.worker.recovery import Begun, Heartbeat, Pace, Sweeper
from tests.backend.conftest import RedisServer

PACE = Pace(beat=0.1, lease=60.0, sweep=0.001)


class Worker:
    """One worker's view of the queue."""

    def __init__(self, server: RedisServer, keys: Keys, name: str) -> None:
        self.begun = Begun(server.client(), keys, name)
        self.heartbeat = Heartbeat(server.client(), keys, name, PACE, lambda: {"id": name})
        self.sweeper = Sweeper(server.client(), keys, name, PACE, self.begun)


class Scene:
    def __init__(self, server: RedisServer) -> None:
        self.client: Any = server.client()
        self.keys = Keys(uuid.uuid4().hex)
        self.dead: list[Any] = []
        self.one, self.two = (Worker(server, self.keys, name) for name in ("one", "two"))
        for worker in (self.one, self.two):
            worker.heartbeat.beat()

    def submit(self, job_id: str, milliseconds: int = 60_000) -> None:
        self.client.hset(self.keys.ticket(job_id), "attempts", 0)
        self.client.pexpire(self.keys.ticket(job_id), milliseconds)
        self.client.hset(self.keys.job(job_id), "data", "x")

    def dies_doing(self, worker: Worker, job_id: str) -> None:
        """The worker begins a job and then nothing more is heard of it."""
        holding = worker.begun.job(job_id)
        holding.__enter__()
        self.dead.append(holding)
        self.client.delete(self.keys.worker(worker.begun._worker_id))

    def sweep(self, worker: Worker) -> list[str]:
        self.client.delete(self.keys.sweep)
        return worker.sweeper.sweep()

    def line(self) -> list[str]:
        return [job.decode() for job in self.client.lrange(self.keys.line, 0, -1)]


@pytest.fixture
def scene(redis_server: RedisServer) -> Scene:
    return Scene(redis_server)


def test_a_job_in_hand_is_written_down_and_its_time_told(scene: Scene) -> None:
    scene.submit("j", 60_000)
    with scene.one.begun.job("j") as seconds:
        assert seconds is not None and 50 < seconds <= 60
        assert scene.client.hgetall(scene.keys.running) == {b"j": b"one"}
        assert scene.sweep(scene.two) == []
        assert "j" in scene.one.begun
    assert scene.client.hlen(scene.keys.running) == 0
    assert "j" not in scene.one.begun


def test_a_job_whose_time_is_over_gets_none(scene: Scene) -> None:
    with scene.one.begun.job("never submitted") as seconds:
        assert seconds is None
    assert not scene.client.exists(scene.keys.ticket("never submitted"))


def test_the_jobs_of_the_dead_go_to_the_front_of_the_line(scene: Scene) -> None:
    scene.submit("j")
    scene.client.rpush(scene.keys.line, "later")
    scene.dies_doing(scene.one, "j")
    assert scene.sweep(scene.two) == ["j"]
    assert scene.line() == ["j", "later"]
    assert scene.client.hlen(scene.keys.running) == 0
    assert scene.client.smembers(scene.keys.workers) == {b"two"}
    assert scene.sweep(scene.two) == []


def test_a_dead_workers_job_past_its_deadline_is_forgotten(scene: Scene) -> None:
    scene.submit("j")
    scene.dies_doing(scene.one, "j")
    scene.client.delete(scene.keys.ticket("j"))
    assert scene.sweep(scene.two) == []
    assert scene.line() == []
    assert not scene.client.exists(scene.keys.job("j"))


def test_what_ends_two_workers_is_given_up(scene: Scene) -> None:
    scene.submit("j")
    scene.dies_doing(scene.one, "j")
    assert scene.sweep(scene.two) == ["j"]
    scene.one.heartbeat.beat()
    scene.dies_doing(scene.one, "j")
    assert scene.sweep(scene.two) == []
    assert scene.line() == ["j"], "only the first time put it back"
    with pytest.raises(MaskloopError, match="twice"):
        Replies(scene.client, scene.keys).wait("j", 1.0)
    assert not scene.client.exists(scene.keys.job("j"))


def test_suspects_are_done_one_at_a_time(scene: Scene) -> None:
    for job_id in ("a", "b"):
        scene.submit(job_id)
        scene.client.hset(scene.keys.ticket(job_id), "attempts", 1)
    done = []

    def do_b() -> None:
        with scene.two.begun.job("b"):
            done.append("b")

    with scene.two.begun.job("a") as seconds:
        assert seconds is not None
        other = threading.Thread(target=do_b)
        other.start()
        while not scene.client.hexists(scene.keys.running, "b"):
            pass
        assert done == []
        assert scene.client.hget(scene.keys.ticket("b"), "attempts") == b"1", "not begun yet"
    other.join()
    assert done == ["b"]


def test_a_job_taken_and_never_begun_is_put_back_after_two_looks(scene: Scene) -> None:
    scene.submit("j")
    scene.client.rpush(scene.keys.taken, "j", "gone")
    assert scene.sweep(scene.two) == []
    assert scene.sweep(scene.two) == ["j"]
    assert scene.line() == ["j"]
    assert scene.client.llen(scene.keys.taken) == 0


def test_a_job_that_its_own_worker_lost_sight_of_is_put_back(scene: Scene) -> None:
    scene.submit("j")
    scene.client.hset(scene.keys.running, "j", "two")
    assert scene.sweep(scene.one) == [], "its worker lives"
    assert scene.sweep(scene.two) == ["j"]


def test_one_sweeps_at_a_time(scene: Scene) -> None:
    scene.submit("j")
    scene.dies_doing(scene.one, "j")
    scene.client.set(scene.keys.sweep, "another")
    assert scene.two.sweeper.sweep() == []
    assert scene.sweep(scene.two) == ["j"]


def test_a_heartbeat_is_a_lease(scene: Scene) -> None:
    assert 0 < scene.client.pttl(scene.keys.worker("one")) <= 60_000
    scene.one.heartbeat.end()
    assert not scene.client.exists(scene.keys.worker("one"))
    assert scene.client.smembers(scene.keys.workers) == {b"two"}
