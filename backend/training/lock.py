"""One training at a time writes into a folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from backend.errors import InvalidRequest

FILE = ".lock"


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """The folder is this process's inside; the system gives it free when the process ends.

    Raises InvalidRequest where another process has it.
    """
    with (out / FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest(
                f"another training is writing into {out}; wait for its end, or give another"
                " folder (--out)",
                field="out",
            ) from None
        yield
