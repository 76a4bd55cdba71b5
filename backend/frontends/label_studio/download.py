"""One download under the network policy: pinned, bounded, every redirect checked anew."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin

import certifi
import urllib3
from urllib3.exceptions import HTTPError, SSLError

from backend.errors import BodyTooLarge, ImageUnreachable
from backend.frontends.label_studio.policy import Policy, Resolve, Url, addresses, look_up, split

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
CHUNK = 1 << 16

Headers = Callable[[Url], Mapping[str, str]]
"""The headers to send to an address: where a token goes is decided for every hop."""


class Refused(Exception):
    """The server answered with another status than success."""

    def __init__(self, status: int, url: Url) -> None:
        super().__init__(f"{url.shown} answered {status}")
        self.status = status
        self.url = url


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A body, the media type that the server gave it, and the address that it came from."""

    data: bytes
    media_type: str
    url: Url


@dataclass(frozen=True)
class Downloader:
    """Fetches under a policy, at most `max_bytes` within `seconds`, redirects included."""

    policy: Policy
    max_bytes: int
    seconds: float
    resolve: Resolve = look_up
    clock: Callable[[], float] = time.monotonic

    def get(self, address: str, headers: Headers) -> Downloaded:
        """The body at an address.

        Raises Refused for a status that is no success, ImageForbidden and InvalidRequest by the
        policy, BodyTooLarge, and ImageUnreachable for everything that networks do.
        """
        return self.request("GET", address, headers)

    def request(
        self, method: str, address: str, headers: Headers, body: bytes | None = None
    ) -> Downloaded:
        """As `get`, with another method; only GET follows redirects."""
        end = self.clock() + self.seconds
        for _ in range(MAX_REDIRECTS + 1):
            url = split(address)
            response = self._send(method, url, headers(url), body, end)
            try:
                location = response.headers.get("Location")
                if response.status in REDIRECTS and location and method == "GET":
                    address = urljoin(str(url), location)
                    continue
                if not 200 <= response.status < 300:
                    raise Refused(response.status, url)
                media_type = response.headers.get("Content-Type", "").partition(";")[0]
                return Downloaded(self._body(response, url, end), media_type.strip().lower(), url)
            finally:
                response.close()
        raise ImageUnreachable(
            f"{url.shown} redirects more than {MAX_REDIRECTS} times", field="data"
        )

    def _send(
        self, method: str, url: Url, headers: Mapping[str, str], body: bytes | None, end: float
    ) -> urllib3.BaseHTTPResponse:
        """The response's head, from the first checked address of the host that answers."""
        failure: Exception | None = None
        for machine in addresses(url, self.policy.trust(url), self.resolve):
            left = end - self.clock()
            if left <= 0:
                raise _too_slow(url, self.seconds)
            try:
                return _pool(url, machine, left).urlopen(
                    method,
                    url.target,
                    body=body,
                    headers={"Host": url.authority, "User-Agent": "maskloop", **headers},
                    redirect=False,
                    preload_content=False,
                )
            except SSLError as error:
                raise _unreachable(url, error) from error
            except (HTTPError, OSError, ValueError) as error:
                failure = error
        raise _unreachable(url, failure) from failure

    def _body(self, response: urllib3.BaseHTTPResponse, url: Url, end: float) -> bytes:
        """The body, chunk by chunk, so that neither size nor slowness goes unnoticed."""
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self.max_bytes:
            raise _too_many(url, self.max_bytes)
        chunks = bytearray()
        try:
            while chunk := response.read1(CHUNK, decode_content=True):
                chunks += chunk
                if len(chunks) > self.max_bytes:
                    raise _too_many(url, self.max_bytes)
                if self.clock() > end:
                    raise _too_slow(url, self.seconds)
        except (HTTPError, OSError) as error:
            raise _unreachable(url, error) from error
        return bytes(chunks)


def _pool(url: Url, machine: str, left: float) -> urllib3.HTTPConnectionPool:
    """Connections to this very machine; the certificate must still be that of the host."""
    timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left))
    retries = urllib3.Retry(
        connect=1,
        read=1,
        redirect=0,
        status=2,
        other=0,
        status_forcelist=(502, 503, 504),
        backoff_factor=0.1,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    if url.scheme == "http":
        return urllib3.HTTPConnectionPool(machine, url.port, timeout=timeout, retries=retries)
    return urllib3.HTTPSConnectionPool(
        machine,
        url.port,
        timeout=timeout,
        retries=retries,
        ssl_context=_tls(),
        server_hostname=url.host,
        assert_hostname=url.host,
    )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    own = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    return ssl.create_default_context(cafile=own or certifi.where())


def _unreachable(url: Url, error: Exception | None) -> ImageUnreachable:
    reason = getattr(error, "reason", None) or error
    return ImageUnreachable(
        f"{url.shown} cannot be fetched from this machine ({reason}); check that the address is "
        "right as seen from here, which inside a container is not localhost",
        field="data",
    )


def _too_slow(url: Url, seconds: float) -> ImageUnreachable:
    return ImageUnreachable(f"{url.shown} took longer than {seconds:g} s", field="data")


def _too_many(url: Url, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the picture at {url.shown} has more than {limit} bytes; use a smaller one or raise "
        "MASKLOOP_MAX_IMAGE_BYTES",
        field="data",
    )
