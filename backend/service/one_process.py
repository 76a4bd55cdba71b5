"""Keeps several web processes of one server from each running an inline queue of its own.

Each would have its own sessions and its own copy of every network, and a click would land in
another one than the click before. A server that forks its workers (gunicorn, uWSGI) is recognised
by them: they share a parent, which runs the same command line. They meet in a file lock named
after that parent. Servers that were started apart do not meet.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from backend.errors import InvalidSettings

PATIENCE_SECONDS = 5.0
"""How long to wait for the lock: a server that reloads starts the new process first."""

_held: dict[Path, FileLock] = {}


def claim(data_dir: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Claim to be the only web process of this server, until the process ends.

    Does nothing in a process that no server forked. Raises InvalidSettings where a sibling has
    the claim.
    """
    parent = os.getppid()
    if not _was_forked_by(parent):
        return
    path = data_dir / "web" / f"{parent}.lock"
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise InvalidSettings(
            "starting several web processes needs REDIS_URL: without it each would remember only "
            "its own clicks; start one process with threads, or set REDIS_URL and start a worker "
            "with `python -m backend worker`"
        ) from None
    _held[path] = lock


def _was_forked_by(parent: int) -> bool:
    """Whether the parent runs what this process runs, as after a fork and not after an exec.

    False where the system does not tell, which Linux does.
    """
    own, other = (_command_line(pid) for pid in (os.getpid(), parent))
    if own is None or other is None:
        return False
    return own == other or (own.startswith(b"gunicorn:") and other.startswith(b"gunicorn:"))


def _command_line(pid: int) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() or None
    except OSError:
        return None
