"""A server on loopback that answers as Label Studio does, tokens and redirects included."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt

LEGACY = "0123456789abcdef0123456789abcdef01234567"
SECRET = "a secret of at least thirty-two bytes"
PERSONAL = jwt.encode({"token_type": "refresh", "exp": 9_999_999_999}, SECRET)


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    host: str
    authorization: str | None


@dataclass
class StandIn:
    """What the server has and how it behaves; tests change it while it runs."""

    files: dict[str, bytes] = field(default_factory=dict)
    prefix: str = ""
    open: bool = False
    legacy_allowed: bool = True
    lifetime: int = 300
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    media_type: str = "image/png"
    announced: int | None = None
    trickle: float = 0.0
    hold: threading.Event | None = None
    asked: list[Asked] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]

    def issue(self) -> str:
        claims = {"token_type": "access", "iat": 1000, "exp": 1000 + self.lifetime}
        self.issued.append(jwt.encode({**claims, "jti": len(self.issued)}, SECRET))
        return self.issued[-1]

    def admits(self, authorization: str | None) -> bool:
        if self.open:
            return True
        if authorization == f"Token {LEGACY}":
            return self.legacy_allowed
        kind, _, token = (authorization or "").partition(" ")
        return kind == "Bearer" and token in self.issued and token not in self.revoked


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self._note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != f"{self.stand_in.prefix}/api/token/refresh":
            self._answer(404, b"")
        elif body != {"refresh": PERSONAL}:
            self._answer(401, b"{}")
        else:
            access = json.dumps({"access": self.stand_in.issue()}).encode()
            self._answer(200, access, {"Content-Type": "application/json"})

    def do_GET(self) -> None:
        stand_in = self.stand_in
        asked = self._note()
        if stand_in.hold is not None:
            stand_in.hold.wait(10)
        if statuses := stand_in.statuses.get(asked.path):
            self._answer(statuses.pop(0) if len(statuses) > 1 else statuses[0], b"")
        elif asked.path in stand_in.redirects:
            self._answer(302, b"", {"Location": stand_in.redirects[asked.path]})
        elif not stand_in.admits(asked.authorization):
            self._answer(401, b"{}", {"Content-Type": "application/json"})
        elif (found := stand_in.files.get(self._file(asked))) is not None:
            self._answer(200, found, {"Content-Type": stand_in.media_type})
        else:
            self._answer(404, b"<html>", {"Content-Type": "text/html"})

    def _file(self, asked: Asked) -> str:
        """The path, or what the query names where the path is one of Label Studio's views."""
        path = asked.path.removeprefix(self.stand_in.prefix)
        query = parse_qs(asked.query)
        for key in ("d", "fileuri", "filepath"):
            if key in query:
                return f"{path}?{key}={query[key][0]}"
        return path

    def _note(self) -> Asked:
        parts = urlsplit(self.path)
        asked = Asked(
            str(self.command),
            parts.path,
            parts.query,
            self.headers["Host"],
            self.headers["Authorization"],
        )
        self.stand_in.asked.append(asked)
        return asked

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        announced = self.stand_in.announced
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        try:
            if self.stand_in.trickle and status == 200 and self.command == "GET":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(self.stand_in.trickle)
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True


def presign_path(task: str, uri: str) -> str:
    """Where a stand-in keeps what Label Studio would redirect a cloud address to."""
    return f"/tasks/{task}/presign/?fileuri={urlsafe_b64encode(uri.encode()).decode()}"


@contextmanager
def running(**options: object) -> Iterator[StandIn]:
    """A stand-in on a free port of 127.0.0.1 for as long as the block runs."""
    stand_in = StandIn(**options)  # type: ignore[arg-type]
    handler = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stand_in.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ticking(start: float = 0.0) -> tuple[Callable[[], float], Callable[[float], None]]:
    """A clock that stands still, and what moves it."""
    now = [start]

    def move(seconds: float) -> None:
        now[0] += seconds

    return (lambda: now[0]), move
