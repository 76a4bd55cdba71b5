"""The database: SQLite in the data directory, or PostgreSQL by address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from backend.errors import InvalidSettings

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x6D61736B6C6F6F70
"""Which lock of a PostgreSQL server is ours: "maskloop" in ASCII."""

DURABLE_BUSY_SECONDS = 0.4
"""What `begin_durable` serves are calls whose callers hang up after a second."""

ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in module globals: one upgrade of a process at a time."""


class Database:
    """A database whose tables are brought up to date before its first use.

    Making one touches nothing; the first transaction creates the directory and the tables.
    `busy_seconds` is how long a SQLite transaction waits for other writers. Raises InvalidSettings
    for an address that is neither a SQLite file nor PostgreSQL.
    """

    def __init__(self, url: str, busy_seconds: float = 30.0) -> None:
        self.url = _checked(url)
        self._busy_seconds = busy_seconds
        self._upgrading = threading.Lock()
        self._upgraded = False

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for PostgreSQL."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and rolled back by an error.

        Raises `sqlalchemy.exc.OperationalError` where the database is locked or out of reach.
        """
        self._upgrade_once()
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def begin_durable(self) -> Iterator[Connection]:
        """Like `begin`; after the block its writes survive a power failure as well.

        Waits at most `DURABLE_BUSY_SECONDS` for other writers.
        """
        self._upgrade_once()
        with self._durable_engine.begin() as connection:
            yield connection

    def upgrade(self) -> None:
        """Bring the tables up to date, while other processes that want to do so wait.

        Raises InvalidSettings where a newer version of the backend has made them.
        """
        with ExitStack() as held:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(f"{self.path}.upgrade.lock"))
            connection = held.enter_context(self._engine.begin())
            if self.path is None:
                lock = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": ADVISORY_LOCK})
            _upgrade(connection)
        self._upgraded = True

    def close(self) -> None:
        """Give back all connections."""
        for name in ("_engine", "_durable_engine"):
            engine = self.__dict__.pop(name, None)
            if engine is not None:
                engine.dispose()

    def _upgrade_once(self) -> None:
        with self._upgrading:
            if not self._upgraded:
                self.upgrade()

    @cached_property
    def _engine(self) -> Engine:
        return self._new_engine("NORMAL", self._busy_seconds)

    @cached_property
    def _durable_engine(self) -> Engine:
        return self._new_engine("FULL", min(self._busy_seconds, DURABLE_BUSY_SECONDS))

    def _new_engine(self, synchronous: str, busy_seconds: float) -> Engine:
        if self.path is None:
            try:
                return sqlalchemy.create_engine(self.url, pool_pre_ping=True, hide_parameters=True)
            except ModuleNotFoundError as error:
                raise InvalidSettings(
                    f"MASKLOOP_DATABASE_URL needs the package {error.name}; install it, or name "
                    "an installed driver (postgresql+DRIVER://...)"
                ) from error
        engine = sqlalchemy.create_engine(
            self.url,
            connect_args={"timeout": busy_seconds, "isolation_level": None},
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepared_for(synchronous))
        event.listen(engine, "begin", _begin_immediately)
        return engine


def _checked(address: str) -> URL:
    try:
        url = make_url(address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidSettings(f"MASKLOOP_DATABASE_URL is not a database address: {error}") from None
    shown = url.render_as_string(hide_password=True)
    if backend not in {"sqlite", "postgresql"}:
        raise InvalidSettings(
            f"MASKLOOP_DATABASE_URL is {shown}; use sqlite:///FILE or postgresql://..."
        )
    if backend == "sqlite" and url.database in {None, "", ":memory:"}:
        raise InvalidSettings(
            f"MASKLOOP_DATABASE_URL is {shown}, which would forget everything; name a file"
        )
    return url


def _prepared_for(synchronous: str) -> Any:
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        # Readers and one writer side by side; FULL syncs the log at every commit.
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    return prepare


def _begin_immediately(connection: Connection) -> None:
    """Take SQLite's write lock at once: a reader that wants to write later fails without waiting.

    `isolation_level` None keeps the driver from beginning transactions of its own.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection) -> None:
    """Run the migrations that are missing."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with ALEMBIC:
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise InvalidSettings(
                f"the database was made by another version of the backend ({error}); use that "
                "version, or another database"
            ) from error
