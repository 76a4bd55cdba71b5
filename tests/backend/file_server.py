"""A file server for tests: with or without ranges, and able to break off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Serves `files` by path. Each answer ends after `breaks_after` bytes, whatever it promised.

    With `tags` files carry an ETag, and a rest is sent only of a file that is still the same;
    without `lengths` nobody is told how long an answer is.
    """

    files: dict[str, bytes]
    ranges: bool = True
    tags: bool = False
    lengths: bool = True
    breaks_after: int | None = None
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.asked.append((self.path, wanted))
                data = server.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                start = 0
                tag = f'"{hashlib.sha256(data).hexdigest()}"'
                same = self.headers.get("If-Range", tag) == tag
                if wanted and server.ranges and same:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    if start >= len(data):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(data)}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                else:
                    self.send_response(200)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                self.send_header("Content-Type", kind)
                if server.lengths:
                    self.send_header("Content-Length", str(len(data) - start))
                if server.tags:
                    self.send_header("ETag", tag)
                self.end_headers()
                end = None if server.breaks_after is None else start + server.breaks_after
                with suppress(ConnectionError):
                    self.wfile.write(data[start:end])

            def log_message(self, *args: object) -> None:
                """Quiet: what was asked is in `asked`."""

        return Handler


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[FileServer]:
    """A running file server on a port of its own."""
    server = FileServer(files)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), server.handler())
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
