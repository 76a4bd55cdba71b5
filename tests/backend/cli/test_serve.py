"""`serve`: a real server, what it refuses to do, and what it does with difficult clients."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from backend.cli.serve import refuse as refuse_to_serve
from backend.errors import InvalidSettings
from backend.settings import Settings
from tests.backend.cli.server import ROOT, Running, environment, free_port, serving

if TYPE_CHECKING:
    from tests.backend.conftest import RedisServer

MEGABYTE = 1 << 20
PICTURE = (ROOT / "docs" / "example.jpg").read_bytes()


def click(server: Running, image: bytes = PICTURE, **headers: str) -> requests.Response:
    return requests.post(
        f"{server.url}/api/v1/segment",
        files={"image": image},
        data={"clicks": "[[255, 285]]"},
        headers=headers,
        timeout=60,
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without weights, which takes a megabyte at most."""
    folder = tmp_path_factory.mktemp("bare")
    with serving(folder, MASKLOOP_MAX_BODY_BYTES=str(MEGABYTE)) as server:
        yield server


def test_it_starts_without_weights_and_says_what_to_type(bare: Running) -> None:
    assert requests.get(f"{bare.url}/healthz", timeout=5).json() == {"status": "UP"}
    ready = requests.get(f"{bare.url}/readyz", timeout=5)
    assert ready.status_code == 503
    assert "python -m backend weights pull mobilesam" in ready.text
    answer = click(bare)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "weights_missing"
    assert "python -m backend weights pull mobilesam" in answer.json()["error"]["message"]
    assert f"Maskloop listens on {bare.url}" in bare.log.read_text()


@pytest.mark.parametrize("size", [MEGABYTE + 1, 5 * MEGABYTE])
def test_a_large_body_gets_a_sentence_and_not_a_broken_connection(bare: Running, size: int) -> None:
    answer = requests.post(f"{bare.url}/api/v1/segment", data=b"x" * size, timeout=30)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_a_large_body_in_chunks_gets_a_sentence_too(bare: Running) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * (MEGABYTE // 20)

    answer = requests.post(
        f"{bare.url}/api/v1/segment",
        data=chunks(),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    assert answer.status_code == 413


def test_health_is_told_while_many_requests_hang(bare: Running) -> None:
    hanging = []
    for _ in range(40):
        sock = socket.create_connection(("127.0.0.1", bare.port))
        sock.sendall(b"POST /api/v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        hanging.append(sock)
    assert requests.get(f"{bare.url}/healthz", timeout=5).status_code == 200
    for sock in hanging:
        sock.close()


def test_a_request_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.backend.cli.impatient_server", "serve")
    with serving(tmp_path, command=command) as server:
        for sent in (b"POST /", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
                sock.sendall(sent)
                assert b"200 OK" not in sock.recv(1000)
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", MASKLOOP_API_KEY="secret") as server:  # noqa: S104
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
        assert click(server).status_code == 401
        assert click(server, Authorization="Bearer secret").status_code == 503
        assert "send no credentials" in server.log.read_text()
        assert "secret" not in server.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.process.send_signal(number)
        assert server.process.wait(30) == 0


def test_several_processes_share_a_queue(tmp_path: Path, redis_server: RedisServer) -> None:
    with serving(tmp_path, "--workers", "2", REDIS_URL=redis_server.url) as server:
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
        ready = requests.get(f"{server.url}/readyz", timeout=30)
        assert ready.status_code == 503
        assert "python -m backend worker" in ready.text


# what it refuses


def refuse(make_settings: Callable[..., Settings], **values: object) -> str:
    """What `serve` says to these options; fails where it has nothing to say."""
    place = {"host": "127.0.0.1", "port": free_port(), "workers": 1}
    options = {name: values.pop(name, default) for name, default in place.items()}
    with pytest.raises(InvalidSettings) as caught:
        refuse_to_serve(make_settings(**values), **options)  # type: ignore[arg-type]
    return caught.value.message


def test_several_processes_without_a_queue(make_settings: Callable[..., Settings]) -> None:
    assert "REDIS_URL" in refuse(make_settings, workers=2)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104
def test_other_machines_without_a_key(make_settings: Callable[..., Settings], host: str) -> None:
    message = refuse(make_settings, host=host)
    assert "MASKLOOP_API_KEY" in message
    assert "--no-auth" in message


@pytest.mark.parametrize("values", [{"api_key": "x"}, {"no_auth": True}])
def test_other_machines_on_purpose(
    make_settings: Callable[..., Settings], values: dict[str, object]
) -> None:
    refuse_to_serve(make_settings(**values), "0.0.0.0", free_port(), 1)  # noqa: S104


def test_an_address_of_another_machine(make_settings: Callable[..., Settings]) -> None:
    assert "192.0.2.1" in refuse(make_settings, host="192.0.2.1", no_auth=True)


def test_a_port_that_is_taken(make_settings: Callable[..., Settings]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--port" in refuse(make_settings, port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("options", "values", "words"),
    [
        (["--host", "0.0.0.0"], {}, "MASKLOOP_API_KEY"),  # noqa: S104
        (["--workers", "2"], {}, "REDIS_URL"),
        ([], {"MASKLOOP_PORT": "1"}, "MASKLOOP_PORT"),
        ([], {"MASKLOOP_MODEL": "mobilesan"}, "mobilesan"),
        ([], {"REDIS_URL": "nonsense"}, "REDIS_URL"),
    ],
)
def test_a_mistake_gets_one_sentence(
    tmp_path: Path, options: list[str], values: dict[str, str], words: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "backend", "serve", "--port", str(free_port()), *options],
        cwd=ROOT,
        env=environment(tmp_path, **values),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
