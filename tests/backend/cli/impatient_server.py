"""`python -m backend serve`, but a request has to arrive within a fraction of a second."""

from __future__ import annotations

from backend.cli import http_server, main

if __name__ == "__main__":
    http_server.RECEIVE_SECONDS = 0.3
    main()
