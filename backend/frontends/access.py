"""Who may call, how much they may send, and one line in the log for each call.

A caller on this machine needs no key as long as none is set. With `MASKLOOP_API_KEY` set every
caller shows it, as `Authorization: Bearer KEY`, as `X-API-Key: KEY` or as the password of basic
authentication. CVAT sends no credentials, nor do Label Studio's webhooks, so their routes are open
to whomever the network lets through, once the server has been opened to other machines on purpose;
`verified` tells an event that came with the key from one that did not.
"""

from __future__ import annotations

import hmac
import io
import ipaddress
import json
import logging
import time
from typing import IO

import flask
from typing_extensions import Buffer

from backend.errors import Forbidden, Unauthorized
from backend.http_errors import body_too_large, request_id
from backend.settings import Settings

log = logging.getLogger(__name__)

HEALTH = frozenset({("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/health")})
"""What anybody may ask: it tells nothing that is worth a key."""

WITHOUT_CREDENTIALS = frozenset(
    {
        ("POST", "/"),
        ("GET", "/api/functions"),
        ("POST", "/api/function_invocations"),
        ("POST", "/webhook"),
    }
)
"""What CVAT calls, and Label Studio's webhook."""

CVAT_FUNCTION = "/api/functions/"

HOW = (
    "send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY` or as the password of basic "
    "authentication"
)


def register(app: flask.Flask, settings: Settings) -> None:
    """Check every request to `app` before it is read, and log it once it is answered."""
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes

    @app.before_request
    def admit() -> None:
        flask.g.started = time.monotonic()
        check(flask.request, settings)
        _limit(flask.request, settings.max_body_bytes)

    @app.after_request
    def note(response: flask.Response) -> flask.Response:
        response.headers["X-Request-Id"] = request_id()
        response.headers["X-Content-Type-Options"] = "nosniff"
        log.info("%s", _line(flask.request, response))
        return response

    if settings.api_key or settings.no_auth:
        log.warning(
            "CVAT and Label Studio's webhooks send no credentials, so POST /, /api/functions, "
            "/api/function_invocations and /webhook answer every machine that reaches this port; "
            "let the network keep out the others"
        )


def _limit(request: flask.Request, most: int) -> None:
    """Refuse a body by its announced length, or have it refused while it is read."""
    if (request.content_length or 0) > most:
        raise body_too_large(most)
    if request.content_length is None:
        # Werkzeug would cut such a body off at its own limit, and say nothing.
        request.environ["wsgi.input"] = _Counted(request.environ["wsgi.input"], most)
        request.max_content_length = most + 1


class _Counted(io.RawIOBase):
    """A stream that raises BodyTooLarge at the first byte over the limit."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        self._left -= len(data)
        if self._left < 0:
            raise body_too_large(self._most)
        view[: len(data)] = data
        return len(data)


def check(request: flask.Request, settings: Settings) -> None:
    """Let the request pass, or raise Unauthorized (no key, a wrong one) or Forbidden."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Forbidden("a web page of another site may not call this server from a browser")
    method = "GET" if request.method == "HEAD" else request.method
    if (method, request.path) in HEALTH:
        return
    opened = settings.api_key is not None or settings.no_auth
    if not opened:
        if not from_this_machine(request):
            raise Forbidden(
                "this server answers only the machine it runs on; set MASKLOOP_API_KEY and start "
                "it again, or start it with --no-auth"
            )
        return
    if verified(request, settings) or _sends_no_credentials(method, request.path):
        return
    if _key(request) is None:
        raise Unauthorized(f"this address needs the API key; {HOW}")
    raise Unauthorized(f"the API key is not the one in MASKLOOP_API_KEY; {HOW}")


def verified(request: flask.Request, settings: Settings) -> bool:
    """Whether the caller shows the API key; where none is set, whoever gets in is trusted."""
    if settings.api_key is None:
        return True
    key = _key(request)
    expected = settings.api_key.get_secret_value()
    return key is not None and hmac.compare_digest(key.encode(), expected.encode())


def from_this_machine(request: flask.Request) -> bool:
    """Whether the caller is on loopback, and no proxy there speaks for somebody else."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    return is_loopback(request.remote_addr or "")


def is_loopback(address: str) -> bool:
    """Whether an address or host name means this machine and nothing else."""
    if address == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _sends_no_credentials(method: str, path: str) -> bool:
    function = method == "GET" and path.startswith(CVAT_FUNCTION)
    return function or (method, path) in WITHOUT_CREDENTIALS


def _key(request: flask.Request) -> str | None:
    """The key that the caller shows, wherever it is."""
    shown = request.authorization
    if shown is not None and shown.type == "bearer":
        return shown.token
    if shown is not None and shown.type == "basic":
        return shown.password
    return request.headers.get("X-API-Key")


def _line(request: flask.Request, response: flask.Response) -> str:
    """One call as JSON: neither body nor query nor credentials, which may hold secrets."""
    return json.dumps(
        {
            "request_id": request_id(),
            "peer": request.remote_addr,
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "milliseconds": round((time.monotonic() - flask.g.started) * 1000, 1),
            "received": request.content_length,
            "sent": response.content_length,
            "agent": request.headers.get("User-Agent"),
        }
    )
