"""What `/setup` told about each project, for the calls that follow.

Label Studio repeats `/setup` each time somebody opens a project, but not before a click. Model
and options therefore outlive the process, in a small file that all web processes share; the
token that comes with them does not.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.errors import InvalidRequest
from backend.frontends.access import is_loopback
from backend.frontends.label_studio.policy import split
from backend.frontends.label_studio.tokens import Instance
from backend.settings import Settings

log = logging.getLogger(__name__)

MAX_PROJECTS = 10_000
OPTIONS = ("model", "scribbles")


@dataclass(frozen=True, slots=True)
class Connection:
    """One project's connection: the model it names, if any, and whether drafts are scribbles.

    `hostname` is Label Studio's own idea of its address, `token` the legacy token of the
    project's creator, and `local` says that it runs on this machine.
    """

    model: str | None = None
    scribbles: bool = True
    hostname: str | None = None
    token: str | None = field(default=None, repr=False)
    local: bool = False

    @property
    def lasting(self) -> Connection:
        """What outlives the process: nothing that opens doors."""
        return replace(self, token=None, local=False)


def instance(settings: Settings, connection: Connection) -> Instance | None:
    """The Label Studio that a project's pictures may be fetched from, None where none is known.

    It is the configured one. `/setup` merely adds a token where none is configured, which goes to
    that address and to no other. Only where no address is configured, and `/setup` came from this
    machine and names a loopback address, is that one taken, and never with a configured token.
    """
    if settings.label_studio_url:
        configured = settings.label_studio_api_key
        key = configured.get_secret_value() if configured else connection.token
        return Instance(settings.label_studio_url.rstrip("/"), key)
    if not connection.local or not connection.hostname:
        return None
    try:
        url = split(connection.hostname)
    except InvalidRequest:
        return None
    return Instance(connection.hostname, connection.token) if is_loopback(url.host) else None


def options(extra_params: object) -> dict[str, Any]:
    """The options in a connection's `extra_params`: a JSON object, or its text, or nothing.

    Raises InvalidRequest for anything else, and for an option that does not exist.
    """
    if extra_params is None or extra_params == "":
        return {}
    found = extra_params
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise InvalidRequest(
                f"extra_params is not JSON: {error}", field="extra_params"
            ) from None
    if not isinstance(found, dict) or not set(found) <= set(OPTIONS):
        raise InvalidRequest(
            f"extra_params {found!r:.200} must be a JSON object with no other keys than "
            f"{', '.join(OPTIONS)}",
            field="extra_params",
        )
    if not isinstance(found.get("model"), str | None):
        raise InvalidRequest("extra_params.model must be a model's name", field="extra_params")
    if not isinstance(found.get("scribbles", True), bool):
        raise InvalidRequest("extra_params.scribbles must be true or false", field="extra_params")
    return found


class Connections:
    """The connections by project, the least recently used forgotten first; safe for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._known: OrderedDict[str, Connection] = OrderedDict()

    def of(self, project: str | None) -> Connection:
        """What is known of a project; the defaults where nothing is."""
        with self._lock:
            self._read()
            return self._known.get(project or "", Connection())

    def remember(self, project: str, connection: Connection) -> None:
        """Keep what a project's `/setup` said; a repetition costs nothing."""
        with self._lock:
            self._read()
            before = self._known.get(project)
            self._known[project] = connection
            self._known.move_to_end(project)
            while len(self._known) > MAX_PROJECTS:
                self._known.popitem(last=False)
            if before is None or before.lasting != connection.lasting:
                self._write()

    def forget(self, project: str) -> None:
        """Drop a project."""
        with self._lock:
            self._read()
            if self._known.pop(project, None) is not None:
                self._write()

    def _read(self) -> None:
        """Take over what another process has written since, keeping the tokens known here."""
        try:
            changed = self._path.stat().st_mtime_ns
            if changed == self._read_at:
                return
            stored: Mapping[str, Mapping[str, Any]] = json.loads(self._path.read_text("utf-8"))
            fresh = {name: Connection(**fields) for name, fields in stored.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s): projects use the default model", self._path, error)
            return
        self._read_at = changed
        for name, connection in fresh.items():
            here = self._known.get(name, connection)
            self._known[name] = replace(connection, token=here.token, local=here.local)

    def _write(self) -> None:
        rows = {name: asdict(connection.lasting) for name, connection in self._known.items()}
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(rows), "utf-8")
            fresh.replace(self._path)
            self._read_at = self._path.stat().st_mtime_ns
        except OSError as error:
            log.warning("%s cannot be written (%s): it is kept in memory only", self._path, error)
