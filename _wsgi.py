"""`app`: everything this backend serves, for any WSGI server: `gunicorn --threads 80 _wsgi:app`.

One process, unless REDIS_URL is set: without it the sessions are in this process's memory.
"""

from __future__ import annotations

from backend import logs
from backend.app import create_app
from backend.settings import load

settings = load()
logs.configure(settings.log_level)
app = create_app(settings)
