"""Several web processes of one server, each with its own queue, are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend.service import one_process

SERVER = """
import os, sys, time
from pathlib import Path
from backend.errors import InvalidSettings
from backend.service.one_process import claim

def worker(write):
    try:
        claim(Path(sys.argv[1]), patience=0.2)
        os.write(write, b"claimed\\n")
        time.sleep(60)
    except InvalidSettings as error:
        os.write(write, str(error).encode() + b"\\n")
    os._exit(0)

read, write = os.pipe()
out = os.fdopen(read)
children = []
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        worker(write)
    children.append(child)
    print(out.readline(), end="", flush=True)
os.kill(children[0], 9)
os.waitpid(children[0], 0)
if os.fork() == 0:
    worker(write)
print(out.readline(), end="", flush=True)
for child in children[1:]:
    os.waitpid(child, 0)
sys.stdin.readline()
os.killpg(0, 9)
"""


def serve(data_dir: Path, processes: int) -> tuple[subprocess.Popen[str], list[str]]:
    """A server that forks workers one after the other, then kills and replaces the first."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data_dir), str(processes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
    )
    assert server.stdout is not None
    return server, [server.stdout.readline().strip() for _ in range(processes + 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process forked which")
def test_the_second_process_of_a_server_is_refused(tmp_path: Path) -> None:
    one, first = serve(tmp_path, 2)
    other, second = serve(tmp_path, 1)
    for server in (one, other):
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert first[0] == "claimed"
    assert "needs REDIS_URL" in first[1]
    assert "python -m backend worker" in first[1]
    assert first[2] == "claimed", "the one that takes the place of a dead one"
    assert second == ["claimed", "claimed"], "another server over the same directory"


def test_a_process_that_no_server_forked_claims_nothing(tmp_path: Path) -> None:
    one_process.claim(tmp_path)
    one_process.claim(tmp_path)
    assert list(tmp_path.iterdir()) == []
