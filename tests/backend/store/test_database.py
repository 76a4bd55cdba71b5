"""One database, made and brought up to date by whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError, StatementError

from backend.errors import InvalidSettings
from backend.settings import Settings
from backend.store import Database
from backend.store.tables import Base, EventRow

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/deep/below/maskloop.db", busy_seconds=0.05)


def event(**changes: object) -> dict[str, object]:
    return {
        "received": datetime.now(UTC),
        "source": "tool",
        "action": "act",
        "body": "{}",
        "digest": "d",
        "verified": True,
        "processed": None,
    } | changes


def test_nothing_is_touched_before_the_first_use(database: Database, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    with database.begin() as connection:
        assert connection.execute(select(EventRow)).all() == []
    assert database.path is not None
    assert database.path.exists()


def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    with database.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_an_up_to_date_database_stays_as_it_is(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(insert(EventRow), [event()])
    database.close()
    again = Database(str(database.url))
    again.upgrade()
    with again.begin() as connection:
        assert len(connection.execute(select(EventRow)).all()) == 1


def test_processes_that_start_together_do_not_collide(tmp_path: Path) -> None:
    address = Settings(data_dir=tmp_path / "new").database
    program = (
        "import sys; from backend.store import Database; database = Database(sys.argv[1]); "
        "database.upgrade(); database.close()"
    )
    command = [sys.executable, "-c", program, address]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(5)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Database(address).begin() as connection:
        versions = connection.execute(sqlalchemy.text("SELECT * FROM alembic_version")).all()
    assert len(versions) == 1


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InvalidSettings, match="another version of the backend"):
        Database(str(database.url)).upgrade()


def test_an_error_rolls_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        connection.execute(insert(EventRow), [event()])
        raise ZeroDivisionError
    with database.begin() as connection:
        assert connection.execute(select(EventRow)).all() == []


def test_durable_transactions_sync_the_log_and_others_do_not(database: Database) -> None:
    full, normal = 2, 1
    for begin, level in ((database.begin_durable, full), (database.begin, normal)):
        with begin() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_locked_database_says_so_after_a_while(database: Database) -> None:
    other = Database(str(database.url), busy_seconds=0.05)
    other.upgrade()
    with (
        database.begin(),
        pytest.raises(OperationalError, match="locked"),
        other.begin_durable(),
    ):
        pass


def test_moments_come_back_in_utc(database: Database) -> None:
    east = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
    with database.begin() as connection:
        connection.execute(insert(EventRow), [event(received=east)])
        found = connection.execute(select(EventRow.received, EventRow.processed)).one()
    assert found.received == east
    assert found.received.tzinfo is UTC
    assert found.processed is None


def test_moments_without_a_zone_are_refused(database: Database) -> None:
    naive = datetime(2024, 5, 1)
    with database.begin() as connection, pytest.raises(StatementError, match="no time zone"):
        connection.execute(insert(EventRow), [event(received=naive)])


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "mysql://host/name", "oracle://host", "sqlite://", "sqlite:///:memory:"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InvalidSettings, match="MASKLOOP_DATABASE_URL"):
        Database(address)


def test_the_password_of_an_address_is_not_shown() -> None:
    with pytest.raises(InvalidSettings) as raised:
        Database("mysql://user:secret@host/name")
    assert "secret" not in raised.value.message


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(InvalidSettings, match="psycopg"):
        Database("postgresql+psycopg://user@localhost/name").upgrade()
