"""Large files over HTTP that may break off: resumed where they stopped, checked at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

ATTEMPTS = 6
CHUNK = 1 << 14
"""Bytes written at once; of a connection that breaks off, no more than this is lost."""
NOTHING_MORE = requests.codes.requested_range_not_satisfiable
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
class Part:
    """What has arrived of a file: its first bytes, and beside them what the server calls it.

    `tag` is the ETag or date of the file that the bytes belong to; a server that is asked for the
    rest with it sends the whole of a file that has changed since.
    """

    path: Path

    @classmethod
    def of(cls, target: Path) -> Part:
        """What has arrived of `target`."""
        return cls(target.with_name(target.name + ".part"))

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def tag(self) -> str | None:
        """None where the server gave none."""
        return self._tag_file.read_text() if self._tag_file.exists() else None

    def note(self, headers: Mapping[str, str]) -> None:
        """Keep the tag of an answer; a weak ETag promises no equal bytes and is none."""
        etag = headers.get("ETag", "")
        tag = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        if tag:
            self._tag_file.write_text(tag)
        else:
            self._tag_file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Throw it away."""
        self.path.unlink(missing_ok=True)
        self._tag_file.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """It is whole and right: let it be `target`."""
        self.path.replace(target)
        self._tag_file.unlink(missing_ok=True)

    @property
    def _tag_file(self) -> Path:
        return self.path.with_name(self.path.name + ".tag")


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
        part = Part.of(target)
        if wanted.sha256 is None and part.tag is None:
            # Nothing could tell whether the rest still belongs to what an earlier call left here.
            part.clear()
        continued = part.size > 0
        self._complete(wanted, part)
        if continued and not _right(wanted, part):
            # Perhaps the beginning was another file's; only what comes in one go can be judged.
            part.clear()
            self._complete(wanted, part)
        if not _right(wanted, part):
            part.clear()
            raise DownloadFailed(
                f"{target.name} arrived with other contents than published (its sha256 is not"
                f" {str(wanted.sha256)[:12]}…), so it was thrown away"
            )
        part.finish(target)

    def _complete(self, wanted: Wanted, part: Part) -> None:
        """Fill `part`; a broken connection is taken up again while each brings something."""
        for attempt in range(1, ATTEMPTS + 1):
            before = part.size
            try:
                self._receive(wanted, part)
                return
            except requests.HTTPError as error:
                raise DownloadFailed(f"the server answered {error.response.status_code}") from None
            except requests.RequestException as error:
                if attempt == ATTEMPTS or part.size <= before:
                    raise DownloadFailed(_reason(error)) from None
            self.pause(min(2.0 ** (attempt - 1), 8.0))

    def _receive(self, wanted: Wanted, part: Part) -> None:
        """One request for what `part` still lacks."""
        have = part.size
        if wanted.size is not None and have >= wanted.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if part.tag:
                headers["If-Range"] = part.tag
        with self.session.get(
            wanted.url, headers=headers, timeout=wanted.timeout, stream=True
        ) as response:
            if not (have and response.status_code == NOTHING_MORE):
                response.raise_for_status()
                if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    have = 0
                self._write(response, wanted, part, have)
                return
            # Whether that is right is told by the digest, or else by the length; where neither
            # is known, it is all fetched anew.
            if wanted.sha256 or response.headers.get("Content-Range") == f"bytes */{have}":
                return
        part.clear()
        self._receive(wanted, part)

    def _write(self, response: requests.Response, wanted: Wanted, part: Part, have: int) -> None:
        """Append the answer's bytes to the first `have` bytes of `part`."""
        offered = _total(response, have)
        if wanted.size is not None and offered not in (None, wanted.size):
            raise DownloadFailed(
                f"the server offers {offered} bytes, and the published file has {wanted.size}"
            )
        total = wanted.size or offered
        with part.path.open("r+b" if have else "wb") as file:
            part.note(response.headers)
            file.seek(have)
            for chunk in response.iter_content(CHUNK):
                have += len(chunk)
                if have > (wanted.size or LARGEST):
                    raise DownloadFailed("the server sends more bytes than the file has")
                file.write(chunk)
                self.progress(part.path.stem, have, total)
        if total is not None and have < total:
            raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")


def _right(wanted: Wanted, part: Part) -> bool:
    """Whether the digest is what was published, where one was."""
    if wanted.sha256 is None:
        return True
    with part.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256


def _total(response: requests.Response, have: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None


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
