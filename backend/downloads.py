"""Large files over HTTP that may break off: resumed where they stopped, checked at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

ATTEMPTS = 6
CHUNK = 1 << 14
"""Bytes written at once; of a connection that breaks off, no more than this is lost."""
LARGEST = 4 << 30
"""Nothing that is fetched here comes near this; a longer answer is not the file asked for."""


class DownloadFailed(Exception):
    """The file could not be had; the message says why."""


Progress = Callable[[str, int, int | None], None]
"""Told a file's name, how many of its bytes are there, and of how many (None: not known)."""


def unseen(file: str, done: int, total: int | None) -> None:
    """A `Progress` that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch: where it is, and its bytes and hex sha256 where they are known.

    `timeout` is (seconds to connect, seconds of silence).
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    timeout: tuple[float, float] = (10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches files over one session; `pause` is slept between attempts."""

    session: requests.Session
    progress: Progress = unseen
    pause: Callable[[float], None] = time.sleep

    def fetch(self, wanted: Wanted, target: Path) -> None:
        """Fetch a file to `target`, which appears only once it is whole and its digest is right.

        What has arrived lies beside it as `.part` and is continued from by the next attempt, in
        this call or in a later one. Raises DownloadFailed.
        """
        part = target.with_name(target.name + ".part")
        if wanted.sha256 is None:
            # Nothing could tell whether the rest still belongs to what an earlier call left here.
            part.unlink(missing_ok=True)
        self._complete(wanted, part)
        if wanted.sha256 is not None and _sha256(part) != wanted.sha256:
            part.unlink()
            raise DownloadFailed(
                f"{target.name} arrived with other contents than published (its sha256 is not"
                f" {wanted.sha256[:12]}…), so it was thrown away"
            )
        part.replace(target)

    def _complete(self, wanted: Wanted, part: Path) -> None:
        """Fill `part`; a broken connection is taken up again while each brings something."""
        for attempt in range(1, ATTEMPTS + 1):
            before = _size(part)
            try:
                self._receive(wanted, part)
                return
            except requests.HTTPError as error:
                raise DownloadFailed(f"the server answered {error.response.status_code}") from None
            except requests.RequestException as error:
                if attempt == ATTEMPTS or _size(part) <= before:
                    raise DownloadFailed(_reason(error)) from None
            self.pause(min(2.0 ** (attempt - 1), 8.0))

    def _receive(self, wanted: Wanted, part: Path) -> None:
        """One request for what `part` still lacks."""
        have = _size(part)
        if wanted.size is not None and have >= wanted.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self.session.get(
            wanted.url, headers=headers, timeout=wanted.timeout, stream=True
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                # There is no more than what is here: whether that is right, the digest tells.
                return
            response.raise_for_status()
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                have = 0
            self._write(response, wanted, part, have)

    def _write(self, response: requests.Response, wanted: Wanted, part: Path, have: int) -> None:
        """Append the answer's bytes to the first `have` bytes of `part`."""
        total = wanted.size or _total(response, have)
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            for chunk in response.iter_content(CHUNK):
                have += len(chunk)
                if have > (wanted.size or LARGEST):
                    raise DownloadFailed("the server sends more bytes than the file has")
                file.write(chunk)
                self.progress(part.stem, have, total)
        if total is not None and have < total:
            raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")


def _total(response: requests.Response, have: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: requests.RequestException) -> str:
    """What happened, without the address: it may carry a password."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server, or it broke off"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off again and again"
    return type(error).__name__
