"""A Redis of a benchmark's own, on a socket in its folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_redis(folder: Path) -> Iterator[str]:
    """The address of a redis-server that keeps nothing and ends with the block."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is not installed: sudo apt-get install redis-server")
    path = folder / "redis.sock"
    redis = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not path.exists() and redis.poll() is None:
            time.sleep(0.05)
        yield f"unix://{path}?db=0"
    finally:
        redis.terminate()
        redis.wait()
