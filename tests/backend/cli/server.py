"""A server of our own in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "backend", "serve")


@dataclass(frozen=True)
class Running:
    """Where it answers, and what it writes."""

    url: str
    port: int
    process: subprocess.Popen[str]
    log: Path

    def stop(self) -> int:
        """Ask it to end, and wait; its exit status."""
        self.process.terminate()
        return self.process.wait(30)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def environment(data_dir: Path, **values: str) -> dict[str, str]:
    """A bare environment, so that the tester's own settings have no say."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"MASKLOOP_DATA_DIR": str(data_dir), "OMP_NUM_THREADS": "1"} | values


@contextmanager
def serving(
    data_dir: Path, *options: str, command: tuple[str, ...] = COMMAND, **values: str
) -> Iterator[Running]:
    """`command` with `options`, on a free port, from when it answers until the block ends."""
    port = free_port()
    log = data_dir / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            cwd=ROOT,
            env=environment(data_dir, **values),
            stdout=stream,
            stderr=stream,
            text=True,
        )
    running = Running(f"http://127.0.0.1:{port}", port, process, log)
    try:
        _wait(running)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(running: Running) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            requests.get(f"{running.url}/healthz", timeout=5)
            return
        except requests.ConnectionError:
            assert running.process.poll() is None, running.log.read_text()
            assert time.monotonic() < end, running.log.read_text()
            time.sleep(0.05)
