"""gunicorn, set up for this application: one process, many threads, no endless requests."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import TConn, ThreadWorker

APP_LOAD_ERROR: int = Arbiter.APP_LOAD_ERROR
"""The exit status of a web process that ends the whole server, not to be started again."""

RECEIVE_SECONDS = 60.0
"""A request that has not arrived completely after so long is given up."""

SPARE_THREADS = 16
"""Threads beyond those that may wait for a mask: health checks never queue behind clicks."""


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with a limit to how long one request may take to arrive."""

    def handle(self, conn: TConn) -> Any:
        """Answer a connection; a client that sends too slowly is read as one that has hung up."""
        timer = threading.Timer(RECEIVE_SECONDS, _stop_reading, (conn.sock,))
        timer.daemon = True
        timer.start()
        try:
            return super().handle(conn)
        finally:
            timer.cancel()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End in order, on Ctrl+C too.

        gunicorn would exit from within the signal's handler, wherever the process is just then:
        a thread that is being started would never be told to end, and the exit wait for it.
        """
        self.handle_exit(sig, frame)


def _stop_reading(sock: socket.socket) -> None:
    """End what is still to come; the answer to what has arrived can still be written."""
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        return  # gone already


class Server(BaseApplication):  # type: ignore[misc]
    """The application on an address, in `workers` processes of `threads` threads."""

    def __init__(
        self,
        make_app: Callable[[], flask.Flask],
        address: str,
        *,
        workers: int,
        threads: int,
        ready: Callable[[], None],
    ) -> None:
        self._make_app = make_app
        self._options = {
            "bind": address,
            "workers": workers,
            "threads": threads,
            "worker_class": ReceivingWorker,
            "worker_connections": threads + 1000,
            "timeout": 120,
            "graceful_timeout": 10,
            "keepalive": 5,
            "loglevel": "warning",
            "when_ready": lambda _: ready(),
        }
        super().__init__()

    def load_config(self) -> None:
        """Take over the options; gunicorn's own command line and environment have no say."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Make the application, inside the process that serves it."""
        return self._make_app()


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there. Raises OSError for an address that is none of ours."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
