"""The three addresses that `doctor` asks of Label Studio 1.23, with that version's answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def label_studio(projects: list[dict[str, Any]]) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/api/version/":
                self._answer(200, {"release": "1.23.2"})
            elif self.headers.get("Authorization") != f"Token {TOKEN}":
                self._answer(401, {"detail": "legacy token authentication has been disabled"})
            elif self.path.startswith("/api/projects"):
                self._answer(200, {"count": len(projects), "results": projects})
            else:
                self._answer(404, {})

        def _answer(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
